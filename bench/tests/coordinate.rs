//! One run over several workers: they start together, their shards count as one run, and what goes
//! wrong with one of them is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use throng_bench::coordinate::{
    CoordinateError, Coordinator, Finish, Message, Workers, join, read_message, write_message,
};
use throng_bench::generator::run::{Elsewhere, News, Part, Stage, Workforce};
use throng_bench::generator::{Counter, Metric, Sample};
use throng_bench::host::Host;
use throng_bench::measure::{Reading, Readings};

const PATIENCE: Duration = Duration::from_secs(10);

fn coordinator() -> (Coordinator, SocketAddr) {
    let coordinator = Coordinator::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = coordinator.local_addr().unwrap();
    (coordinator, address)
}

/// What a shard says in a run of one interval.
fn stages() -> [Stage; 4] {
    [Stage::Interval(1), Stage::Done, Stage::Stopped, Stage::Gone]
}

/// A worker that runs `shards` shards, each of which sends `messages` messages.
fn worker(address: SocketAddr, shards: u32, messages: u64) -> JoinHandle<(Instant, Part)> {
    thread::spawn(move || {
        let assignment = join(&address.to_string()).unwrap();
        assert_eq!(assignment.arguments, job());
        let chosen = assignment.able(shards).unwrap();
        let part = chosen.part;
        let (at, mut reporter) = chosen.ready().unwrap();
        for stage in stages() {
            for _ in 0..shards {
                let mut sample = Sample::default();
                if stage == Stage::Interval(1) {
                    sample.at = Duration::from_secs(1);
                    sample.add(Counter::Sent, messages);
                    sample.record(Metric::Echo, Duration::from_millis(messages));
                }
                reporter.news(News { stage: stage.clone(), sample }).unwrap();
            }
            reporter.alive().unwrap();
        }
        reporter.done(finish(u64::from(shards))).unwrap();
        (at, part)
    })
}

/// Of a process that took so many bytes.
fn finish(resident_bytes: u64) -> Finish {
    let full = Reading { cpu: Duration::from_secs(1), resident_bytes };
    let readings = Readings { pids: vec![7], after: full.clone(), full, ..Readings::default() };
    Finish { readings, ..Finish::default() }
}

fn job() -> Vec<String> {
    ["flood", "--connections", "10"].map(str::to_owned).to_vec()
}

/// All news, and what the work cost.
fn hear(mut workers: Workers) -> (Vec<News>, Elsewhere) {
    let mut gone = 0;
    let mut all = Vec::new();
    while gone < workers.shards() {
        let news = workers.news(PATIENCE).unwrap();
        gone += u32::from(matches!(news.stage, Stage::Gone | Stage::Failed { .. }));
        all.push(news);
    }
    (all, workers.join().unwrap())
}

#[test]
fn shards_of_all_workers_count_as_one_run_and_all_start_at_one_moment() {
    let (coordinator, address) = coordinator();
    let workers = [worker(address, 2, 5), worker(address, 3, 100)];
    let mut team = coordinator.gather(2, PATIENCE, |_, _| {}).unwrap();
    assert_eq!(team.here(), 2);
    assert_eq!(team.assign(&job()).unwrap(), 5);
    let (running, at) = team.start().unwrap();
    assert!(at > Instant::now(), "the start reaches all before it comes");
    assert_eq!(running.shards(), 5);
    let (news, cost) = hear(running);
    for stage in stages() {
        assert_eq!(news.iter().filter(|one| one.stage == stage).count(), 5, "{stage:?}");
    }
    let mut total = Sample::default();
    news.iter().for_each(|one| total.merge(&one.sample));
    assert_eq!(total.count(Counter::Sent), 2 * 5 + 3 * 100);
    let times = total.times(Metric::Echo).unwrap();
    assert_eq!(times.len(), 5);
    assert!(times.max() >= 99_000_000, "the slowest of all, not a mean");
    assert_eq!((cost.readings.full.resident_bytes, cost.readings.pids), (5, vec![7, 7]));
    assert_eq!(cost.readings.after.cpu, Duration::from_secs(2));
    assert_eq!(cost.growth, None, "the kernel of this host is read anyway");

    let mut begun: Vec<_> = workers.map(|worker| worker.join().unwrap()).into();
    begun.sort_by_key(|(_, part)| part.first_shard);
    let (first, second) = (begun[0], begun[1]);
    assert_eq!(first.1.first_shard, 0);
    let next = second.1.first_shard;
    assert!(next == 2 || next == 3, "after the first worker's shards");
    assert_eq!((first.1.shards, second.1.shards), (5, 5));
    let apart = first.0.max(second.0) - first.0.min(second.0);
    assert!(apart < Duration::from_millis(100), "one clock, and two estimates of it: {apart:?}");
}

#[test]
fn a_worker_that_cannot_says_why_and_the_others_are_told_to_stop() {
    let (coordinator, address) = coordinator();
    let able = thread::spawn(move || join(&address.to_string()).unwrap().able(1).unwrap_err());
    let unable = thread::spawn(move || {
        let assignment = join(&address.to_string()).unwrap();
        assignment.refuse("ports: 10 needed, 5 there".to_owned()).unwrap();
    });
    let mut team = coordinator.gather(2, PATIENCE, |_, _| {}).unwrap();
    let error = team.assign(&job()).unwrap_err();
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
fn a_worker_whose_part_cannot_be_set_up_says_why() {
    let (coordinator, address) = coordinator();
    let unable = thread::spawn(move || {
        let chosen = join(&address.to_string()).unwrap().able(2).unwrap();
        chosen.refuse("shard 1: ENOMEM".to_owned()).unwrap();
    });
    let mut team = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap();
    let error = team.assign(&job()).unwrap_err();
    assert!(error.to_string().contains("shard 1: ENOMEM"), "{error}");
    unable.join().unwrap();
}

#[test]
fn the_shards_of_a_worker_that_dies_fail_and_what_they_told_stays() {
    let (coordinator, address) = coordinator();
    let dying = thread::spawn(move || {
        let chosen = join(&address.to_string()).unwrap().able(2).unwrap();
        let (_, mut reporter) = chosen.ready().unwrap();
        let stage = Stage::Interval(1);
        reporter.news(News { stage, sample: Sample::default() }).unwrap();
    });
    let mut team = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap();
    team.assign(&job()).unwrap();
    let (running, _) = team.start().unwrap();
    let (news, _) = hear(running);
    assert_eq!((news.len(), &news[0].stage), (3, &Stage::Interval(1)));
    for lost in &news[1..] {
        let Stage::Failed { why, .. } = &lost.stage else { panic!("{:?}", lost.stage) };
        assert!(why.starts_with("worker 0 is lost"), "{why}");
    }
    dying.join().unwrap();
}

#[test]
fn stop_reaches_every_worker() {
    let (coordinator, address) = coordinator();
    let worker = thread::spawn(move || {
        let chosen = join(&address.to_string()).unwrap().able(1).unwrap();
        let (_, mut reporter) = chosen.ready().unwrap();
        let stop = reporter.stop_flag();
        let deadline = Instant::now() + PATIENCE;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(Instant::now() < deadline, "never told");
            thread::sleep(Duration::from_millis(1));
        }
        reporter.news(News { stage: Stage::Gone, sample: Sample::default() }).unwrap();
        reporter.done(Finish::default()).unwrap();
    });
    let mut team = coordinator.gather(1, PATIENCE, |_, _| {}).unwrap();
    team.assign(&job()).unwrap();
    let (mut running, _) = team.start().unwrap();
    running.stop();
    let (news, _) = hear(running);
    assert_eq!(news.len(), 1);
    worker.join().unwrap();
}
