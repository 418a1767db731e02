//! Waking: a wake from any thread ends the wait, none is lost, and many are one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{Real, Recorder, Seen, Simulated, real};
use throng_ring::sim::SimConfig;
use throng_ring::{Driver, Io};

on_each_backend! {
    a_wake_from_another_thread_ends_the_wait;
    wakes_between_two_turns_are_one_event_and_hold_the_next_wait_off;
    a_waker_outlives_its_driver;
}

fn woken(recorder: &Recorder) -> usize {
    recorder.count(|seen| *seen == Seen::Woken)
}

fn a_wake_from_another_thread_ends_the_wait<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let mut recorder = Recorder::default();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    let waker = driver.io().waker();
    for round in 1..=20 {
        let waker = waker.clone();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(round % 3));
            waker.wake();
        });
        let started = Instant::now();
        while woken(&recorder) < round as usize {
            driver.turn(Duration::from_secs(5), &mut recorder).unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(4), "the wait ran out in round {round}");
        other.join().unwrap();
    }
}

fn wakes_between_two_turns_are_one_event_and_hold_the_next_wait_off<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let mut recorder = Recorder::default();
    let waker = driver.io().waker();
    (0..1000).for_each(|_| waker.wake());
    let started = Instant::now();
    driver.turn(Duration::from_secs(5), &mut recorder).unwrap();
    assert!(started.elapsed() < Duration::from_secs(4));
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    assert_eq!(woken(&recorder), 1);
}

#[test]
fn the_simulation_is_woken_too() {
    let mut s = Simulated::new(SimConfig::default());
    let before = s.sim.now();
    s.driver.io().waker().wake();
    s.driver.io().waker().wake();
    s.turns(1);
    assert_eq!((woken(&s.recorder), s.sim.now()), (1, before));
    s.turns(1);
    assert_eq!((woken(&s.recorder), s.sim.now()), (1, before + Duration::from_millis(1)));
}

fn a_waker_outlives_its_driver<D: Real>() {
    let driver = real::<D>(|_| {}).io().waker();
    driver.wake();
}
