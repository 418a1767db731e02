//! A ring's table that is full, and a process without descriptors, are told apart. One test: the
//! limit is the whole process's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::real::{Scripted, upgrade, wait_for_end};
use support::simulated::settings;
use throng_bench::generator::settings::ShardInfo;
use throng_bench::generator::shard::Shard;
use throng_bench::generator::{Arrival, Cause};
use throng_bench::workload::flood::{Flood, FloodPlan, Shares};
use throng_bench::workload::greeting::Greeting;
use throng_ring::uring::{UringConfig, UringDriver};

/// What becomes of five clients in a table of `slots`.
fn failures(slots: u32, server: &Scripted, prepare: impl FnOnce()) -> Vec<(Cause, u32, u64)> {
    let config = UringConfig { connections_max: slots, ..UringConfig::default() };
    let mut driver = UringDriver::new(config).expect("these tests need io_uring");
    let info = ShardInfo { shard: 0, shards: 1, clients: 5, seed: 1 };
    let flood = FloodPlan {
        arrival: Arrival::Constant { rate: 1000.0 },
        greeting: Greeting::None,
        hold: Duration::from_millis(100),
        mean_life: None,
        shares: Shares::default(),
    };
    let start = Instant::now();
    let flood = Flood::new(flood, info, start);
    let mut shard = Shard::new(settings(server.address), info, slots as usize, start, flood);
    prepare();
    while !shard.is_done() {
        shard.step(&mut driver, Instant::now() + Duration::from_millis(10)).unwrap();
    }
    shard.take_sample(Duration::ZERO, Duration::ZERO).failures().collect()
}

#[test]
fn a_full_table_is_told_from_a_process_without_descriptors() {
    let server = Scripted::start(|mut stream| {
        upgrade(&mut stream);
        wait_for_end(&mut stream);
    });
    assert_eq!(failures(5, &server, || {}), []);
    assert_eq!(failures(4, &server, || {}), [(Cause::TableFull, 0, 1)]);
    let before = getrlimit(Resource::Nofile);
    let none_left = || {
        // The next descriptor would have this number.
        let next = std::fs::File::open("/dev/null")
            .map(|file| u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap());
        let limit = Rlimit { current: Some(next.unwrap()), maximum: before.maximum };
        setrlimit(Resource::Nofile, limit).unwrap();
    };
    let failures = failures(16, &server, none_left);
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(failures, [(Cause::Descriptors, 0, 5)]);
}
