//! A turn is bounded in events and in its handlers' time; what is left comes next, without a wait.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{Recorder, Seen, Simulated, batch, listen, turn_until, uring};
use throng_ring::limits::{EVENTS_PER_CLOCK_READ, EVENTS_PER_TURN_MAX, TURN_BUDGET};
use throng_ring::sim::{Sim, SimConfig, SimIo};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Arm, CloseKind, ConnId, Driver, Event, Handler, Io};

/// Spends virtual time on each event.
struct Slow<'a> {
    recorder: &'a mut Recorder,
    sim: Sim,
    spends: Duration,
}

impl Handler<SimIo> for Slow<'_> {
    fn event(&mut self, io: &mut SimIo, event: Event<'_>) {
        self.sim.advance(self.spends);
        self.recorder.event(io, event);
    }
}

/// A world in which `messages` of one byte each wait in the completion queue.
fn burst(messages: usize) -> (Simulated, ConnId) {
    let mut s = Simulated::new(SimConfig {
        receive_buffers: 8192,
        receive_buffer_bytes: 1,
        completion_entries: 16384,
        ..SimConfig::default()
    });
    let (conn, peer) = s.pair(Arm::Hot);
    peer.write(&vec![7; messages]);
    (s, conn)
}

fn received(s: &Simulated) -> usize {
    s.recorder.count(|seen| matches!(seen, Seen::Received(..)))
}

#[test]
fn a_handler_that_used_the_budget_gets_the_rest_in_the_next_turn_at_once() {
    let (mut s, _) = burst(32);
    let mut slow = Slow { recorder: &mut s.recorder, sim: s.sim.clone(), spends: TURN_BUDGET };
    s.driver.turn(Duration::from_secs(1), &mut slow).unwrap();
    assert_eq!(received(&s), EVENTS_PER_CLOCK_READ);
    let before = s.sim.now();
    s.driver.turn(Duration::from_secs(1), &mut s.recorder).unwrap();
    assert_eq!((received(&s), s.sim.now()), (32, before));
}

#[test]
fn a_handler_within_the_budget_gets_all() {
    let (mut s, _) = burst(32);
    let spends = TURN_BUDGET / 33;
    let mut slow = Slow { recorder: &mut s.recorder, sim: s.sim.clone(), spends };
    s.driver.turn(Duration::from_secs(1), &mut slow).unwrap();
    assert_eq!(received(&s), 32);
}

#[test]
fn a_turn_hands_out_no_more_than_its_bound() {
    let mut s = Simulated::new(SimConfig {
        receive_buffers: 8192,
        receive_buffer_bytes: 1,
        completion_entries: 16384,
        ..SimConfig::default()
    });
    let pairs: Vec<_> = (0..EVENTS_PER_TURN_MAX / 32 + 1).map(|_| s.pair(Arm::Hot)).collect();
    pairs.iter().for_each(|(_, peer)| assert_eq!(peer.write(&[7; 32]), 32));
    s.turns(1);
    assert_eq!(received(&s), EVENTS_PER_TURN_MAX);
    s.turns(1);
    assert_eq!(received(&s), EVENTS_PER_TURN_MAX + 32);
}

#[test]
fn the_clock_stands_still_within_a_turn() {
    struct Clock(Vec<std::time::Instant>, Sim);
    impl Handler<SimIo> for Clock {
        fn event(&mut self, io: &mut SimIo, _event: Event<'_>) {
            self.1.advance(Duration::from_micros(10));
            self.0.push(io.now());
        }
    }
    let (mut s, _) = burst(10);
    let mut clock = Clock(Vec::new(), s.sim.clone());
    s.driver.turn(Duration::ZERO, &mut clock).unwrap();
    assert_eq!(clock.0.len(), 10);
    assert!(clock.0.iter().all(|now| *now == clock.0[0]));
}

#[test]
fn operations_on_a_stale_connection_do_nothing_to_the_slots_next_one() {
    let mut s = Simulated::new(SimConfig { connections_max: 1, ..SimConfig::default() });
    let (stale, _) = s.pair(Arm::Hot);
    s.driver.io().close(stale, CloseKind::Abort);
    s.turns(3);
    let (fresh, peer) = s.pair(Arm::Hot);
    assert_eq!(stale.slot, fresh.slot);
    s.driver.io().arm(stale, Arm::Off);
    s.driver.io().close(stale, CloseKind::Abort);
    assert!(s.driver.io().send(stale, batch(b"x")).is_err());
    assert!(!s.driver.io().sending(stale));
    peer.write(b"still here");
    s.turns(3);
    assert_eq!(s.recorder.bytes(fresh), b"still here");
    assert_eq!(s.recorder.bytes(stale), b"");
    assert_eq!((s.recorder.closed(stale), s.recorder.closed(fresh)), (1, 0));
}

/// Looks at both clocks after time has passed within a turn.
struct TwoClocks {
    sim: Sim,
    behind: Option<Duration>,
}

impl Handler<SimIo> for TwoClocks {
    fn event(&mut self, io: &mut SimIo, _event: Event<'_>) {
        self.sim.advance(Duration::from_millis(3));
        self.behind = Some(io.clock() - io.now());
    }
}

#[test]
fn within_a_turn_one_clock_stands_still_and_the_other_goes_on() {
    let (mut s, _) = burst(1);
    let mut clocks = TwoClocks { sim: s.sim.clone(), behind: None };
    s.driver.turn(Duration::from_secs(1), &mut clocks).unwrap();
    assert_eq!(clocks.behind, Some(Duration::from_millis(3)));
    assert_eq!(s.driver.io().clock(), s.sim.now());
}

/// A driver that gathers, with two accepted connections that wait for bytes, and their peers.
fn gathering(gather: Duration) -> Option<(UringDriver, Recorder, [TcpStream; 2])> {
    let mut driver = uring(|config| config.gather = gather);
    let (_, at) = listen(&mut driver);
    let peers = [(); 2].map(|()| TcpStream::connect(at).unwrap());
    let mut recorder = Recorder::arming(Arm::Hot);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == 2);
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    driver.gathers().then_some((driver, recorder, peers))
}

#[test]
fn a_turn_that_waits_gathers_what_comes_a_little_later() {
    // Where the kernel cannot, the driver says so.
    let Some((mut driver, mut recorder, mut peers)) = gathering(Duration::from_millis(500)) else {
        return;
    };
    let writer = std::thread::spawn(move || {
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        peers
    });
    driver.turn(Duration::from_secs(10), &mut recorder).unwrap();
    let heard = |recorder: &Recorder| {
        recorder.accepted().iter().filter(|conn| recorder.bytes(**conn) == b"x").count()
    };
    assert_eq!(heard(&recorder), 2, "both in one turn");
    writer.join().unwrap();
}

#[test]
fn gathering_does_not_outlast_the_wait() {
    let Some((mut driver, mut recorder, _peers)) = gathering(Duration::from_secs(1)) else {
        return;
    };
    let began = Instant::now();
    driver.turn(Duration::from_millis(20), &mut recorder).unwrap();
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}

#[test]
fn more_than_a_second_may_not_be_gathered() {
    let config = |gather| UringConfig { connections_max: 16, gather, ..UringConfig::default() };
    assert!(UringDriver::new(config(Duration::from_secs(1))).is_ok());
    let refused = UringDriver::new(config(Duration::from_millis(1001))).unwrap_err();
    assert!(refused.to_string().contains("gather"), "{refused}");
}
