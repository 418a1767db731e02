//! The simulated store may do what a replicated one may, and keeps what that promises.
#![allow(clippy::unwrap_used, clippy::expect_used)] // the exception for tests does not see their helpers

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use throng_store::sim::{Faults, Kind, Sim, SimStore, Step};
use throng_store::{
    Append, AppendOutcome, ConvId, FenceOutcome, Outcomes, Ownership, OwnershipError, PageLimit,
    RouterId, Row, Store, UserId,
};

const CONV: ConvId = ConvId([1; 16]);
const FIRST: RouterId = RouterId(1);
const SECOND: RouterId = RouterId(2);

fn row(seq: u64, epoch: u32) -> Row {
    Row {
        seq,
        epoch,
        acked: 0,
        base: 1,
        n: seq,
        created_at_ms: 1,
        sender: UserId([2; 16]),
        client_msg_id: [3; 16],
        digest: [4; 8],
        kind: 1,
        flags: 0,
        ref_seq: 0,
        body: Bytes::from_static(b"body"),
    }
}

fn poll<T>(future: &mut Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Everything happens, in the order in which it became possible, but that nobody gives up.
fn smoothly<T>(sim: &Sim, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Some(value) = poll(&mut future) {
            return value;
        }
        assert!(sim.take(|step| step.kind != Kind::Expire), "nothing can happen");
    }
}

/// Only these two replicas answer a read.
fn seen_by(sim: &Sim, store: &SimStore, replicas: [usize; 2]) -> Vec<(u64, u32)> {
    let mut read = pin!(store.tail(CONV, PageLimit::from(10)));
    assert!(poll(&mut read).is_none());
    for replica in replicas {
        assert!(sim.take(|step| step.kind == Kind::Answer { replica }));
    }
    assert!(sim.take(|step| step.kind == Kind::Tell));
    let rows = poll(&mut read).expect("two replicas have answered").expect("and say so");
    while sim.take(|step| matches!(step.kind, Kind::Answer { .. })) {}
    rows.iter().map(|row| (row.seq, row.epoch)).collect()
}

type Told = Arc<Mutex<Vec<AppendOutcome>>>;

fn append(store: &SimStore, rows: Vec<Row>) -> Told {
    let told = Told::default();
    let tells = Arc::clone(&told);
    let outcomes = Outcomes::new(move |outcomes| {
        tells.lock().unwrap().extend(outcomes.into_iter().map(|(_, outcome)| outcome));
    });
    let append = Append { conv: CONV, epoch: rows[0].epoch, rows, dirty: None };
    store.append(append, 1, &outcomes).unwrap();
    told
}

fn reaches(seq: u64, at: usize) -> impl Fn(&Step) -> bool {
    move |step| {
        step.kind == Kind::Arrive { replica: at } && step.row().is_some_and(|row| row.0 == seq)
    }
}

#[test]
fn a_row_at_one_replica_is_seen_by_one_quorum_and_not_by_another() {
    let sim = Sim::by_hand();
    let store = sim.handle();
    let told = append(&store, vec![row(1, 1)]);
    assert!(sim.take(reaches(1, 0)));
    assert_eq!(seen_by(&sim, &store, [0, 1]), [(1, 1)]);
    assert_eq!(seen_by(&sim, &store, [1, 2]), []);
    assert!(told.lock().unwrap().is_empty());
}

#[test]
fn the_rows_of_one_append_arrive_each_by_itself() {
    let sim = Sim::by_hand();
    let store = sim.handle();
    let told = append(&store, vec![row(1, 1), row(2, 1)]);
    assert!(sim.take(reaches(2, 0)) && sim.take(reaches(2, 1)));
    assert_eq!(seen_by(&sim, &store, [0, 2]), [(2, 1)]);
    assert!(!sim.take(|step| step.kind == Kind::Tell));
    assert!(sim.take(reaches(1, 1)) && sim.take(reaches(1, 2)));
    assert!(sim.take(|step| step.kind == Kind::Tell));
    assert_eq!(*told.lock().unwrap(), [AppendOutcome::Ok]);
}

#[test]
fn a_row_whose_writer_was_told_that_nobody_knows_may_arrive_later() {
    let sim = Sim::by_hand();
    let store = sim.handle();
    let told = append(&store, vec![row(1, 1)]);
    assert!(sim.take(|step| step.kind == Kind::Expire));
    assert_eq!(*told.lock().unwrap(), [AppendOutcome::Unknown]);
    assert_eq!(seen_by(&sim, &store, [0, 1]), []);
    assert!(sim.take(reaches(1, 1)));
    assert_eq!(seen_by(&sim, &store, [0, 1]), [(1, 1)]);
}

#[test]
fn the_replicas_of_one_read_answer_at_different_moments() {
    let sim = Sim::by_hand();
    let store = sim.handle();
    append(&store, vec![row(1, 1)]);
    append(&store, vec![row(2, 1)]);
    let mut read = pin!(store.tail(CONV, PageLimit::from(10)));
    assert!(poll(&mut read).is_none());
    assert!(sim.take(|step| step.kind == Kind::Answer { replica: 0 }));
    for seq in [1, 2] {
        assert!(sim.take(reaches(seq, 0)) && sim.take(reaches(seq, 2 - seq as usize % 2)));
    }
    assert!(sim.take(|step| step.kind == Kind::Answer { replica: 2 }));
    while sim.take(|step| step.kind == Kind::Tell) {}
    let rows = poll(&mut read).unwrap().unwrap();
    // The second row is seen, and not the first, which was at a quorum before it.
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_partition_is_taken_only_from_who_is_fenced() {
    let sim = Sim::by_hand();
    let first = smoothly(&sim, sim.handle().register(FIRST, "a")).unwrap();
    let second = smoothly(&sim, sim.handle().register(SECOND, "b")).unwrap();
    assert_eq!(smoothly(&sim, first.take(7)), Ok(1));
    let owner = first.incarnation().unwrap();
    assert_eq!(smoothly(&sim, second.take(7)), Err(OwnershipError::Held(owner)));
    assert_eq!(smoothly(&sim, first.fence()), FenceOutcome::Held);
    smoothly(&sim, second.fence_off(owner)).unwrap();
    assert_eq!(smoothly(&sim, first.fence()), FenceOutcome::Fenced);
    assert_eq!(smoothly(&sim, second.take(7)), Ok(2));
    let again = smoothly(&sim, sim.handle().register(FIRST, "a")).unwrap();
    assert_eq!(again.incarnation().map(|incarnation| incarnation.number), Some(2));
    assert_eq!(smoothly(&sim, again.fence()), FenceOutcome::Held);
    assert_eq!(smoothly(&sim, first.fence()), FenceOutcome::Fenced);
}

#[test]
fn what_was_handed_over_is_taken_without_a_fence() {
    let sim = Sim::by_hand();
    let first = smoothly(&sim, sim.handle().register(FIRST, "a")).unwrap();
    let second = smoothly(&sim, sim.handle().register(SECOND, "b")).unwrap();
    assert_eq!(smoothly(&sim, first.take(7)), Ok(1));
    smoothly(&sim, first.hand_over(7, 1, SECOND)).unwrap();
    assert_eq!(smoothly(&sim, second.take(7)), Ok(2));
    assert_eq!(smoothly(&sim, first.fence()), FenceOutcome::Held);
    let late = smoothly(&sim, first.hand_over(7, 1, SECOND));
    assert_eq!(late, Err(OwnershipError::Lost(second.incarnation().unwrap().to_string())));
}

#[test]
fn a_conditional_write_of_unknown_outcome_may_be_decided_later_and_only_once() {
    let sim = Sim::by_hand();
    let first = smoothly(&sim, sim.handle().register(FIRST, "a")).unwrap();
    let second = smoothly(&sim, sim.handle().register(SECOND, "b")).unwrap();
    {
        let mut take = pin!(first.take(7));
        assert!(poll(&mut take).is_none());
        assert!(sim.take(|step| step.kind == Kind::Decide));
        assert!(sim.take(|step| step.kind == Kind::Tell));
        assert!(poll(&mut take).is_none());
        let steps = sim.steps();
        let undecided = steps.iter().rfind(|step| step.kind == Kind::Decide).unwrap();
        let request = undecided.request;
        assert!(sim.take(|step| step.kind == Kind::Expire && step.request == request));
        assert!(matches!(poll(&mut take), Some(Err(OwnershipError::Unknown(_)))));
    }
    // The late decision takes effect between what the second saw and what it writes.
    let mut take = pin!(second.take(7));
    assert!(poll(&mut take).is_none());
    let seen = sim.steps().iter().rfind(|step| step.kind == Kind::Decide).unwrap().request;
    assert!(sim.take(|step| step.kind == Kind::Decide && step.request == seen));
    assert!(sim.take(|step| step.kind == Kind::Tell));
    assert!(poll(&mut take).is_none());
    assert!(sim.take(|step| step.kind == Kind::Decide && step.request < seen));
    let result = smoothly(&sim, take);
    assert!(matches!(result, Err(OwnershipError::Lost(_))), "{result:?}");
}

#[test]
fn the_same_seed_gives_the_same_steps() {
    let faults =
        Faults { late_permille: 100, late_ms_max: 900, never_permille: 50, ..Faults::NONE };
    let run = |seed| {
        let sim = Sim::seeded(seed, faults);
        for seq in 1..=20 {
            append(&sim.handle(), vec![row(seq, 1)]);
        }
        let steps = sim.advance(2_000).into_iter();
        steps.map(|(at_ms, step)| format!("{at_ms} {step}")).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
