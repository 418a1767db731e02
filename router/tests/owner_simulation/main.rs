//! I1, I2, I3, I4, I7 and after-work: the real owner code in several processes over a store of
//! three adversarial replicas, on a virtual clock, from one seed.
//!
//! Processes die, are paused and wake up (some without seeing that time has passed), and take the
//! partitions over from each other, also where nothing is wrong. Clients send each message until it
//! is acknowledged, to whoever may be the owner, and read. Then every process dies at once, and
//! what a new one makes of it is judged; then the clients finish, and all of it is judged again.
//!
//! One seed, with all that happened: `THRONG_SIM_SEED=7 cargo test -p throng-router --test
//! owner_simulation one_seed -- --ignored --nocapture`; many: `THRONG_SIM_SEEDS=10000` and
//! `many_seeds`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod clients;
mod history;
mod process;
mod run;

use run::Run;

/// Says how to repeat a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "again: THRONG_SIM_SEED={} cargo test -p throng-router --test owner_simulation \
                 one_seed -- --ignored --nocapture",
                self.0
            );
        }
    }
}

fn simulate(seed: u64) -> Run {
    let seed = Seed(seed);
    let mut run = Run::new(seed.0);
    run.all();
    run
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn what_was_acknowledged_or_seen_stays_whatever_happens_to_owners_and_replicas() {
    let (mut acknowledged, mut takeovers) = (0, 0);
    for seed in 0..200 {
        let run = simulate(seed);
        acknowledged += run.history.acknowledged();
        takeovers += run.takeovers;
    }
    println!("{acknowledged} messages acknowledged, {takeovers} takeovers");
    // Or nothing was tried.
    assert!(acknowledged > 5_000 && takeovers > 500, "{acknowledged}, {takeovers}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let (one, other) = (simulate(1), simulate(1));
    assert!(one.trace.len() > 10_000 && one.trace == other.trace);
    assert_ne!(one.trace, simulate(2).trace);
}

#[test]
#[ignore = "to look at one run"]
fn one_seed() {
    let mut run = Run::new(number("THRONG_SIM_SEED").unwrap_or(0));
    run.shows = true;
    run.all();
}

#[test]
#[ignore = "minutes; by hand"]
fn many_seeds() {
    for seed in 0..number("THRONG_SIM_SEEDS").unwrap_or(10_000) {
        simulate(seed);
    }
}
