//! Closing: whatever is in flight, the peer sees the end, one `Closed` comes, and nothing after it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::{Real, Recorder, Seen, Simulated, batch, listen, real, turn_until};
use throng_ring::sim::{Faults, PeerEnd, SimConfig};
use throng_ring::{Arm, CloseKind, ConnId, Driver, Io};

on_each_backend! {
    on_the_kernel_the_peer_sees_the_end_of_an_abort_in_each_arm;
    on_the_kernel_an_abort_ends_with_a_send_stuck_in_flight;
    on_the_kernel_a_graceful_close_loses_nothing_of_what_was_sent;
    on_the_kernel_connections_closed_in_the_midst_of_a_flood_all_end;
}

fn events_of(recorder: &Recorder, conn: ConnId) -> usize {
    recorder.count(|seen| {
        matches!(seen, Seen::Received(c, _) | Seen::ReceiveEnd(c, _) | Seen::Sent(c, _) if *c == conn)
    })
}

#[test]
fn an_abort_ends_an_armed_connection_in_each_arm() {
    for arm in [Arm::Hot, Arm::Cold, Arm::Off] {
        let mut s = Simulated::new(SimConfig::default());
        let (conn, peer) = s.pair(arm);
        s.driver.io().close(conn, CloseKind::Abort);
        s.turns(3);
        assert_eq!(s.recorder.closed(conn), 1, "{arm:?}");
        assert_eq!(peer.end(), Some(PeerEnd::Fin));
        assert_eq!(s.driver.io().connections(), 0);
    }
}

#[test]
fn an_abort_ends_although_its_cancels_miss() {
    let faults = Faults { cancel_miss: 900, ..Faults::default() };
    let mut s = Simulated::new(SimConfig { faults, ..SimConfig::default() });
    let (conn, peer) = s.pair(Arm::Hot);
    peer.set_window(0);
    s.driver.io().send(conn, batch(b"stuck")).unwrap();
    s.turns(1);
    s.driver.io().close(conn, CloseKind::Abort);
    s.turns(200);
    assert_eq!(s.recorder.closed(conn), 1);
    assert_eq!(peer.end(), Some(PeerEnd::Fin));
}

#[test]
fn nothing_is_delivered_after_close_although_bytes_race_it() {
    let delay = Faults { delay: 500, delay_max: Duration::from_millis(5), ..Faults::default() };
    for seed in 0..50 {
        let mut s = Simulated::new(SimConfig { seed, ..SimConfig::default() });
        let (conn, peer) = s.pair(Arm::Hot);
        s.sim.set_faults(delay);
        peer.write(b"late");
        s.driver.io().close(conn, CloseKind::Abort);
        s.turns(30);
        assert_eq!(events_of(&s.recorder, conn), 0, "seed {seed}");
        assert_eq!(s.recorder.seen.last(), Some(&Seen::Closed(conn)), "seed {seed}");
    }
}

#[test]
fn a_graceful_close_sends_what_is_in_flight_then_fin_and_waits_for_the_peers() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Hot);
    peer.set_window(3);
    s.driver.io().send(conn, batch(b"last words")).unwrap();
    s.driver.io().close(conn, CloseKind::Graceful);
    s.turns(3);
    assert_eq!((peer.read(), peer.end()), (b"las".to_vec(), None));
    peer.set_window(100);
    s.turns(3);
    assert_eq!((peer.read(), peer.end()), (b"t words".to_vec(), Some(PeerEnd::Fin)));
    peer.write(b"unread");
    s.turns(3);
    assert_eq!(s.recorder.closed(conn), 0);
    peer.finish();
    s.turns(3);
    assert_eq!(s.recorder.closed(conn), 1);
    assert_eq!(events_of(&s.recorder, conn), 0);
    assert_eq!(peer.end(), Some(PeerEnd::Fin));
}

#[test]
fn an_abort_hastens_a_graceful_close_whose_peer_is_silent() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, _peer) = s.pair(Arm::Cold);
    s.driver.io().close(conn, CloseKind::Graceful);
    s.turns(20);
    assert_eq!(s.recorder.closed(conn), 0);
    s.driver.io().close(conn, CloseKind::Abort);
    s.turns(3);
    assert_eq!(s.recorder.closed(conn), 1);
}

#[test]
fn a_graceful_close_ends_when_the_peer_resets() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Off);
    s.driver.io().close(conn, CloseKind::Graceful);
    s.turns(2);
    peer.reset();
    s.turns(3);
    assert_eq!(s.recorder.closed(conn), 1);
}

fn real_pair<D: Real>(arm: Arm) -> (D, Recorder, ConnId, TcpStream) {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut recorder = Recorder::arming(arm);
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    let conn = recorder.accepted()[0];
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    (driver, recorder, conn, stream)
}

fn on_the_kernel_the_peer_sees_the_end_of_an_abort_in_each_arm<D: Real>() {
    for arm in [Arm::Hot, Arm::Cold, Arm::Off] {
        let (mut driver, mut recorder, conn, mut stream) = real_pair::<D>(arm);
        driver.io().close(conn, CloseKind::Abort);
        turn_until(&mut driver, &mut recorder, "closed", |r| r.closed(conn) == 1);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{arm:?}: no FIN");
    }
}

fn on_the_kernel_an_abort_ends_with_a_send_stuck_in_flight<D: Real>() {
    let (mut driver, mut recorder, conn, mut stream) = real_pair::<D>(Arm::Hot);
    driver.io().send(conn, batch(&vec![7; 16 << 20])).unwrap();
    driver.turn(Duration::from_millis(20), &mut recorder).unwrap();
    assert!(driver.io().sending(conn));
    driver.io().close(conn, CloseKind::Abort);
    turn_until(&mut driver, &mut recorder, "closed", |r| r.closed(conn) == 1);
    let mut sink = vec![0; 1 << 20];
    while stream.read(&mut sink).unwrap() > 0 {}
}

fn on_the_kernel_a_graceful_close_loses_nothing_of_what_was_sent<D: Real>() {
    let (mut driver, mut recorder, conn, mut stream) = real_pair::<D>(Arm::Cold);
    stream.write_all(b"unread by the driver").unwrap();
    driver.io().send(conn, batch(&vec![7; 4 << 20])).unwrap();
    driver.io().close(conn, CloseKind::Graceful);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        all.len()
    });
    turn_until(&mut driver, &mut recorder, "closed", |r| r.closed(conn) == 1);
    assert_eq!(reader.join().unwrap(), 4 << 20);
}

fn on_the_kernel_connections_closed_in_the_midst_of_a_flood_all_end<D: Real>() {
    const PEERS: usize = 60;
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let flood = std::thread::spawn(move || {
        let mut peers: Vec<_> = (0..PEERS).map(|_| TcpStream::connect(at).unwrap()).collect();
        peers.iter().for_each(|peer| peer.set_nonblocking(true).unwrap());
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !peers.is_empty() && std::time::Instant::now() < deadline {
            peers.retain_mut(|peer| match peer.write(&[7; 4096]) {
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            });
        }
        peers.len()
    });
    let mut recorder = Recorder::arming(Arm::Hot);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == PEERS);
    for (i, conn) in recorder.accepted().into_iter().enumerate() {
        let kind = if i % 3 == 0 { CloseKind::Graceful } else { CloseKind::Abort };
        let _ = driver.io().send(conn, batch(&[1; 1000]));
        driver.io().arm(conn, [Arm::Hot, Arm::Cold, Arm::Off][i % 3]);
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
        driver.io().close(conn, kind);
    }
    for _ in 0..20 {
        driver.turn(Duration::from_millis(1), &mut recorder).unwrap();
    }
    for conn in recorder.accepted() {
        driver.io().close(conn, CloseKind::Abort);
    }
    turn_until(&mut driver, &mut recorder, "all closed", |r| {
        r.count(|seen| matches!(seen, Seen::Closed(_))) == PEERS
    });
    assert_eq!(driver.io().connections(), 0);
    assert_eq!(flood.join().unwrap(), 0, "a peer was not told");
}
