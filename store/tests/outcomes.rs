//! Every append gets one outcome, in order, and a queue is called once per commit.

mod fixture;

use fixture::{PATIENCE, append, open, outcomes, write};
use throng_store::embedded::{Config, Embedded};
use throng_store::{AppendOutcome, Busy, Store};

#[test]
fn outcomes_of_a_queue_come_in_the_order_of_its_appends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let queues = [outcomes(), outcomes()];
    for tag in 0..2_000_u64 {
        let to = &queues[(tag % 2) as usize].0;
        store.append(append(tag % 5, tag + 1..=tag + 1, store.epoch()), tag, to).unwrap();
    }
    for (parity, (_, receiver)) in queues.iter().enumerate() {
        let tags: Vec<_> = (parity as u64..2_000).step_by(2).collect();
        let mut expected = tags.into_iter();
        let mut calls = 0;
        while expected.len() > 0 {
            calls += 1;
            for (tag, outcome) in receiver.recv_timeout(PATIENCE).unwrap() {
                assert_eq!((Some(tag), outcome), (expected.next(), AppendOutcome::Ok));
            }
        }
        let commits = store.stats().commit_appends.count();
        assert!(calls <= commits, "{calls} calls in {commits} commits");
    }
}

#[test]
fn an_append_of_another_epoch_is_fenced_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let store = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for epoch in [store.epoch() - 1, store.epoch() + 1] {
        assert_eq!(write(&store, append(1, 1..=1, epoch)), AppendOutcome::Fenced);
    }
    assert!(runtime.block_on(store.tail(fixture::conv(1), 9.into())).unwrap().is_empty());
}

#[test]
fn appends_before_a_close_are_answered_and_after_it_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (queue, receiver) = outcomes();
    for tag in 0..500 {
        store.append(append(tag, 1..=1, store.epoch()), tag, &queue).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.close()).unwrap();
    let answered: Vec<_> = receiver.try_iter().flatten().collect();
    assert_eq!(answered, (0..500).map(|tag| (tag, AppendOutcome::Ok)).collect::<Vec<_>>());
    let Busy(given_back) = store.append(append(3, 2..=4, 1), 0, &queue).unwrap_err();
    assert_eq!(given_back.rows.len(), 3);
    assert!(runtime.block_on(store.project(Vec::new())).is_err());
}

#[test]
fn an_outcome_receiver_may_drop_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(Config::new(dir.path())).unwrap();
    let epoch = store.epoch();
    let (sender, receiver) = std::sync::mpsc::channel();
    let own = std::sync::Mutex::new(Some(store.clone()));
    let queue = throng_store::Outcomes::new(move |batch| {
        drop(own.lock().unwrap().take());
        let _ = sender.send(batch);
    });
    store.append(append(1, 1..=1, epoch), 5, &queue).unwrap();
    drop(store);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), [(5, AppendOutcome::Ok)]);
}
