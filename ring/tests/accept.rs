//! Accepting: a full table keeps peers waiting and loses none, failures are told and mended, a
//! closed listener accepts no more.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use support::{Real, Recorder, Seen, Simulated, listen, real, turn_until};
use throng_ring::limits::LISTENERS_MAX;
use throng_ring::sim::{Faults, SimConfig};
use throng_ring::{Arm, CloseKind, Driver, Io, ListenOptions};

on_each_backend! {
    on_the_kernel_a_full_table_drops_nobody;
    on_the_kernel_a_held_listener_lets_peers_wait_and_a_closed_one_frees_its_port;
    on_the_kernel_a_taken_address_is_told_and_shared_ones_are_not;
}

fn failures(recorder: &Recorder) -> usize {
    recorder.count(|seen| matches!(seen, Seen::AcceptFailed(..)))
}

#[test]
fn a_full_table_keeps_peers_waiting_and_goes_on_when_a_slot_is_free() {
    let mut s = Simulated::new(SimConfig { connections_max: 3, ..SimConfig::default() });
    let peers: Vec<_> = (0..5).map(|_| s.peer()).collect();
    s.turns(20);
    assert_eq!((s.recorder.accepted().len(), failures(&s.recorder)), (3, 1));
    assert!(peers.iter().all(|peer| peer.end().is_none()));
    for round in 0..2 {
        let conn = s.recorder.accepted()[round];
        s.driver.io().close(conn, CloseKind::Abort);
        s.turns(5);
        assert_eq!(s.recorder.accepted().len(), 4 + round);
    }
}

#[test]
fn the_last_slot_of_the_table_is_used_and_one_more_connection_is_refused() {
    let mut s = Simulated::new(SimConfig { connections_max: 2, ..SimConfig::default() });
    s.driver.io().accept(s.listener, false);
    let (first, _a) = s.sim.endpoint().unwrap();
    let (second, _b) = s.sim.endpoint().unwrap();
    let (third, _c) = s.sim.endpoint().unwrap();
    assert!(s.driver.io().adopt(first).is_ok() && s.driver.io().adopt(second).is_ok());
    let refused = s.driver.io().adopt(third).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENFILE));
}

#[test]
fn a_failing_accept_is_told_and_the_peer_is_accepted_later() {
    let faults = Faults { accept_failure: 700, ..Faults::default() };
    let mut s = Simulated::new(SimConfig { faults, ..SimConfig::default() });
    let peers: Vec<_> = (0..10).map(|_| s.peer()).collect();
    for _ in 0..200 {
        s.sim.advance(Duration::from_millis(100));
        s.turns(1);
    }
    assert!(failures(&s.recorder) > 0);
    assert_eq!(s.recorder.accepted().len(), peers.len());
}

#[test]
fn a_held_listener_leaves_peers_in_the_queue_until_it_goes_on() {
    let faults = Faults { cancel_miss: 500, ..Faults::default() };
    let mut s = Simulated::new(SimConfig { faults, ..SimConfig::default() });
    s.turns(2);
    s.driver.io().accept(s.listener, false);
    s.turns(50);
    assert_eq!(s.sim.armed(), 0);
    let peer = s.peer();
    s.turns(3);
    assert_eq!(s.recorder.accepted().len(), 0);
    assert_eq!(peer.end(), None);
    s.driver.io().accept(s.listener, true);
    s.turns(3);
    assert_eq!(s.recorder.accepted().len(), 1);
}

#[test]
fn a_closed_listener_accepts_no_more_and_leaks_nothing() {
    let delay = Faults { delay: 800, delay_max: Duration::from_millis(5), ..Faults::default() };
    for seed in 0..20 {
        let mut s = Simulated::new(SimConfig { seed, faults: delay, ..SimConfig::default() });
        s.turns(2);
        let peers: Vec<_> = (0..4).map(|_| s.peer()).collect();
        s.turns(1);
        let before = s.recorder.accepted().len();
        s.driver.io().close_listener(s.listener);
        s.turns(200);
        assert_eq!(s.recorder.accepted().len(), before, "seed {seed}");
        assert_eq!(s.sim.armed(), 0, "seed {seed}");
        assert_eq!(s.driver.io().connections(), before, "seed {seed}");
        let ended = peers.iter().filter(|peer| peer.end().is_some()).count();
        assert_eq!(ended, peers.len() - before, "seed {seed}: a peer hangs");
        assert!(s.driver.io().local_addr(s.listener).is_err());
    }
}

#[test]
fn the_last_listener_is_made_and_one_more_is_refused() {
    let mut s = Simulated::new(SimConfig { connections_max: 4096, ..SimConfig::default() });
    let options = ListenOptions { backlog: 1, reuse_port: false };
    let any = "127.0.0.1:0".parse().unwrap();
    for _ in 1..LISTENERS_MAX {
        s.driver.io().listen(any, options).unwrap();
    }
    let error = s.driver.io().listen(any, options).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    s.driver.io().close_listener(s.listener);
    assert!(s.driver.io().listen(any, options).is_ok());
}

fn on_the_kernel_a_full_table_drops_nobody<D: Real>() {
    let mut driver = real::<D>(|asked| asked.connections_max = 3);
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::arming(Arm::Hot);
    let mut peers: Vec<_> = (0..5).map(|_| TcpStream::connect(at).unwrap()).collect();
    turn_until(&mut driver, &mut recorder, "full table", |r| failures(r) == 1);
    assert_eq!(recorder.accepted().len(), 3);
    for conn in recorder.accepted() {
        driver.io().close(conn, CloseKind::Abort);
    }
    turn_until(&mut driver, &mut recorder, "the rest", |r| r.accepted().len() == 5);
    for peer in &mut peers[3..] {
        peer.set_nonblocking(true).unwrap();
        let error = peer.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

fn on_the_kernel_a_held_listener_lets_peers_wait_and_a_closed_one_frees_its_port<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (listener, at) = listen(&mut driver);
    let mut recorder = Recorder::default();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    driver.io().accept(listener, false);
    for _ in 0..3 {
        driver.turn(Duration::from_millis(1), &mut recorder).unwrap();
    }
    let _waiting = TcpStream::connect(at).unwrap();
    driver.turn(Duration::from_millis(20), &mut recorder).unwrap();
    assert_eq!(recorder.accepted().len(), 0);
    driver.io().accept(listener, true);
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    driver.io().close_listener(listener);
    for _ in 0..3 {
        driver.turn(Duration::from_millis(1), &mut recorder).unwrap();
    }
    assert!(TcpStream::connect(at).is_err());
    let options = ListenOptions { backlog: 8, reuse_port: false };
    assert!(driver.io().listen(at, options).is_ok());
}

fn on_the_kernel_a_taken_address_is_told_and_shared_ones_are_not<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let alone = ListenOptions { backlog: 8, reuse_port: false };
    let error = driver.io().listen(at, alone).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let shared = ListenOptions { backlog: 8, reuse_port: true };
    let first = driver.io().listen("127.0.0.1:0".parse().unwrap(), shared).unwrap();
    let at = driver.io().local_addr(first).unwrap();
    assert!(driver.io().listen(at, shared).is_ok());
}
