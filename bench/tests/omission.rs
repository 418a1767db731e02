//! Coordinated omission: a server that stalls keeps messages from being sent. The corrected times
//! show it; the uncorrected ones, which leave out what was not sent, hide it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::simulated::{Served, Simulation};
use throng_bench::generator::{Arrival, Counter, Metric};
use throng_bench::workload::echo::{Echo, EchoPlan, Window};

const STALL_BEGIN: Duration = Duration::from_millis(1_500);
const STALL: Duration = Duration::from_millis(400);

/// A second of 500 messages on one connection with one under way at a time.
fn open_loop() -> Simulation<Echo> {
    let plan = EchoPlan {
        size_bytes: 64,
        depth: 1,
        rate: Some(Arrival::Constant { rate: 500.0 }),
        warm_up: Duration::from_millis(100),
        seconds: Duration::from_secs(1),
    };
    let window = Window::new(&plan, 1);
    Simulation::new(1, |_| {}, |info, _| Echo::new(plan, info, window))
}

fn run(mut simulation: Simulation<Echo>, mut act: impl FnMut(&mut Served, Duration)) -> Vec<f64> {
    simulation.run_for(Duration::from_secs(3), &mut act);
    assert!(simulation.shard.is_done());
    simulation.close_all(&mut act);
    let total = simulation.total();
    assert_eq!(total.count(Counter::Failed), 0);
    assert_eq!(total.count(Counter::Intended), 500);
    assert_eq!(total.count(Counter::Unsent), 0);
    let p99 = |metric| total.times(metric).unwrap().value_at_quantile(0.99) as f64 / 1e6;
    vec![p99(Metric::Echo), p99(Metric::EchoSent)]
}

#[test]
fn a_server_that_does_not_stall_has_the_same_times_both_ways() {
    let p99_ms = run(open_loop(), |served, _| served.echo());
    assert!(p99_ms[0] < 5.0 && p99_ms[1] < 5.0, "{p99_ms:?}");
}

#[test]
fn a_stall_shows_in_the_corrected_times_and_hides_in_the_uncorrected() {
    let p99_ms = run(open_loop(), |served, now| {
        if !(STALL_BEGIN..STALL_BEGIN + STALL).contains(&now) {
            served.echo();
        }
    });
    assert!(p99_ms[0] > 350.0, "corrected: {p99_ms:?}");
    assert!(p99_ms[1] < 20.0, "uncorrected: {p99_ms:?}");
}

#[test]
fn what_is_never_answered_counts_with_its_age() {
    let mut simulation = open_loop();
    // From the middle of the measured second on, nothing comes back.
    let mut act = |served: &mut Served, now: Duration| {
        if now < STALL_BEGIN {
            served.echo();
        }
    };
    simulation.run_for(Duration::from_millis(2_100), &mut act);
    simulation.close_all(|served, _| {
        served.take();
        served.close();
    });
    let total = simulation.total();
    let times = total.times(Metric::Echo).unwrap();
    assert_eq!(times.len(), 500);
    assert!((240..=260).contains(&total.count(Counter::Unanswered)));
    let p75_ms = times.value_at_quantile(0.75) as f64 / 1e6;
    assert!((200.0..300.0).contains(&p75_ms), "half of the second was lost: {p75_ms}");
}
