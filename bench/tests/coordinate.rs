//! One run over several workers: they start together, their samples add up, and what goes wrong
//! with one of them is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use throng_bench::coordinate::{
    CoordinateError, Coordinator, Finish, Message, Report, join, read_message, write_message,
};
use throng_bench::generator::{Counter, Metric, Sample};
use throng_bench::host::Host;

const PATIENCE: Duration = Duration::from_secs(10);

fn coordinator() -> (Coordinator, SocketAddr) {
    let coordinator = Coordinator::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = coordinator.local_addr().unwrap();
    (coordinator, address)
}

/// A worker that runs `shards` shards, each of which sends `messages` messages.
fn worker(address: SocketAddr, shards: u32, messages: u64) -> JoinHandle<(Instant, u32, u32)> {
    thread::spawn(move || {
        let assignment = join(&address.to_string()).unwrap();
        assert_eq!(assignment.arguments, ["flood", "--connections", "10"]);
        let mut start = assignment.ready(shards).unwrap();
        for _ in 0..shards {
            let mut sample = Sample::default();
            sample.at = Duration::from_secs(1);
            sample.add(Counter::Sent, messages);
            sample.record(Metric::Echo, Duration::from_millis(messages));
            start.reporter.sample(sample).unwrap();
        }
        start.reporter.done(Finish::default()).unwrap();
        (start.at, start.first_shard, start.shards)
    })
}

fn job() -> Vec<String> {
    ["flood", "--connections", "10"].map(str::to_owned).to_vec()
}

#[test]
fn samples_of_all_workers_add_up_and_all_start_at_one_moment() {
    let (coordinator, address) = coordinator();
    let workers = [worker(address, 2, 5), worker(address, 3, 100)];
    let mut crew = coordinator.gather(2, PATIENCE, |_, _| {}).unwrap();
    assert_eq!(crew.assign(&job()).unwrap(), 5);
    let running = crew.start().unwrap();
    let mut total = Sample::default();
    let mut done = 0;
    while let Some(report) = running.next(PATIENCE) {
        match report {
            Report::Sample { sample, .. } => total.merge(&sample),
            Report::Done { .. } => done += 1,
            Report::Lost { error, .. } => panic!("{error}"),
        }
    }
    assert_eq!(done, 2);
    assert_eq!(total.count(Counter::Sent), 2 * 5 + 3 * 100);
    let times = total.times(Metric::Echo).unwrap();
    assert_eq!(times.len(), 5);
    assert!(times.max() >= 99_000_000, "the slowest of all, not a mean");

    let mut begun: Vec<_> = workers.map(|worker| worker.join().unwrap()).into();
    begun.sort_by_key(|(_, first_shard, _)| *first_shard);
    let (first, second) = (begun[0], begun[1]);
    assert_eq!(first.1, 0);
    assert!(second.1 == 2 || second.1 == 3, "after the first worker's shards");
    assert_eq!((first.2, second.2), (5, 5));
    let apart = first.0.max(second.0) - first.0.min(second.0);
    assert!(apart < Duration::from_millis(100), "one clock, and two estimates of it: {apart:?}");
}

#[test]
fn a_worker_that_cannot_says_why_and_the_others_are_told_to_stop() {
    let (coordinator, address) = coordinator();
    let able = thread::spawn(move || join(&address.to_string()).unwrap().ready(1).unwrap_err());
    let unable = thread::spawn(move || {
        let assignment = join(&address.to_string()).unwrap();
        assignment.refuse("ports: 10 needed, 5 there".to_owned()).unwrap();
    });
    let mut crew = coordinator.gather(2, PATIENCE, |_, _| {}).unwrap();
    let error = crew.assign(&job()).unwrap_err();
    assert!(error.to_string().contains("ports: 10 needed, 5 there"), "{error}");
    unable.join().unwrap();
    let told = able.join().unwrap();
    assert!(told.to_string().contains("gave the run up"), "{told}");
}

#[test]
fn workers_that_do_not_come_are_counted() {
    let (coordinator, address) = coordinator();
    let one = thread::spawn(move || join(&address.to_string()).unwrap_err());
    let error = coordinator.gather(2, Duration::from_millis(300), |_, _| {}).unwrap_err();
    assert!(matches!(error, CoordinateError::Missing { came: 1, wanted: 2 }), "{error}");
    one.join().unwrap();
}

#[test]
fn a_worker_of_another_version_is_refused_and_told() {
    let (coordinator, address) = coordinator();
    let other = thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let hello = Message::Hello { version: "9.9.9".to_owned(), host: Box::new(Host::read()) };
        write_message(&mut stream, &hello).unwrap();
        read_message(&mut stream).unwrap()
    });
    let error = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("9.9.9"), "{error}");
    assert!(matches!(other.join().unwrap(), Message::Refused { .. }));
}

#[test]
fn a_worker_that_dies_in_the_run_is_reported_lost_and_its_samples_stay() {
    let (coordinator, address) = coordinator();
    let dying = thread::spawn(move || {
        let mut start = join(&address.to_string()).unwrap().ready(1).unwrap();
        start.reporter.sample(Sample::default()).unwrap();
    });
    let mut crew = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap();
    crew.assign(&job()).unwrap();
    let running = crew.start().unwrap();
    assert!(matches!(running.next(PATIENCE), Some(Report::Sample { worker: 0, .. })));
    assert!(matches!(running.next(PATIENCE), Some(Report::Lost { worker: 0, .. })));
    assert!(running.next(PATIENCE).is_none());
    dying.join().unwrap();
}

#[test]
fn stop_reaches_every_worker() {
    let (coordinator, address) = coordinator();
    let worker = thread::spawn(move || {
        let start = join(&address.to_string()).unwrap().ready(1).unwrap();
        let stop = start.reporter.stop_flag();
        let deadline = Instant::now() + PATIENCE;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(Instant::now() < deadline, "never told");
            thread::sleep(Duration::from_millis(1));
        }
        start.reporter.done(Finish::default()).unwrap();
    });
    let mut crew = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap();
    crew.assign(&job()).unwrap();
    let mut running = crew.start().unwrap();
    running.stop();
    assert!(matches!(running.next(PATIENCE), Some(Report::Done { worker: 0, .. })));
    worker.join().unwrap();
}
