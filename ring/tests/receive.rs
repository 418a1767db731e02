//! Receiving: nothing is lost or doubled when buffers run out, the completion queue overflows, arms
//! change in mid-stream, or completions come late.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{Real, Recorder, Seen, Simulated, epoll, listen, real, turn_until, uring};
use throng_ring::limits::RECEIVES_PER_TURN;
use throng_ring::sim::{Faults, SimConfig};
use throng_ring::{Arm, Driver, Io};

on_each_backend! {
    on_the_kernel_arms_change_in_mid_stream_without_loss;
    on_the_kernel_fin_and_reset_are_told_apart;
    on_the_kernel_everything_that_many_peers_write_at_once_is_delivered;
    on_the_kernel_what_came_while_nothing_was_armed_is_delivered_when_something_is;
    on_the_kernel_a_peer_that_waits_costs_no_turn_whatever_its_arm;
    on_the_kernel_a_flood_does_not_hold_another_connection_up;
}

fn stream(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn starved_connections_are_armed_again_and_each_gets_its_bytes() {
    let config = SimConfig { receive_buffers: 2, receive_buffer_bytes: 16, ..SimConfig::default() };
    let mut s = Simulated::new(config);
    let pairs: Vec<_> = (0..20).map(|_| s.pair(Arm::Hot)).collect();
    let data = stream(1000);
    pairs.iter().for_each(|(_, peer)| assert_eq!(peer.write(&data), data.len()));
    s.turns(1200);
    for (conn, _) in &pairs {
        assert_eq!(s.recorder.bytes(*conn), data);
    }
    assert_eq!(s.sim.buffers_provided(), 2);
}

#[test]
fn a_flood_on_one_connection_does_not_starve_another_for_ever() {
    let config = SimConfig { receive_buffers: 1, receive_buffer_bytes: 16, ..SimConfig::default() };
    let mut s = Simulated::new(config);
    let (_, flood) = s.pair(Arm::Hot);
    let (conn, peer) = s.pair(Arm::Hot);
    peer.write(b"hello");
    for _ in 0..20 {
        flood.write(&[0; 64]);
        s.turns(1);
    }
    assert_eq!(s.recorder.bytes(conn), b"hello");
}

#[test]
fn an_overflow_that_ends_receives_loses_nothing() {
    let faults = Faults { overflow: 300, ..Faults::default() };
    let config = SimConfig { faults, receive_buffer_bytes: 10, ..SimConfig::default() };
    let mut s = Simulated::new(config);
    let (conn, peer) = s.pair(Arm::Hot);
    peer.write(&stream(5000));
    s.turns(500);
    assert_eq!(s.recorder.bytes(conn), stream(5000));
}

#[test]
fn changing_arms_in_mid_stream_loses_nothing() {
    let faults = Faults {
        delay: 300,
        delay_max: Duration::from_millis(3),
        cancel_miss: 300,
        no_buffers: 100,
        ..Faults::default()
    };
    for seed in 0..30 {
        let config = SimConfig { seed, faults, receive_buffer_bytes: 10, ..SimConfig::default() };
        let mut s = Simulated::new(config);
        let peer = s.peer();
        s.turns(20);
        let conn = s.recorder.accepted()[0];
        let data = stream(600);
        for (i, piece) in data.chunks(20).enumerate() {
            s.driver.io().arm(conn, [Arm::Cold, Arm::Hot, Arm::Off, Arm::Cold][i % 4]);
            peer.write(piece);
            s.turns(i % 3);
        }
        s.driver.io().arm(conn, Arm::Hot);
        s.turns(300);
        assert_eq!(s.recorder.bytes(conn), data, "seed {seed}");
    }
}

#[test]
fn a_connection_that_is_off_gets_nothing_until_it_is_armed() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Off);
    peer.write(b"wait");
    s.turns(10);
    assert_eq!(s.recorder.bytes(conn), b"");
    s.driver.io().arm(conn, Arm::Cold);
    s.turns(3);
    assert_eq!(s.recorder.bytes(conn), b"wait");
}

#[test]
fn each_change_of_arms_takes_effect_and_the_next_one_too() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Off);
    let arms = [Arm::Hot, Arm::Cold, Arm::Off];
    for (from, to) in arms.iter().flat_map(|from| arms.iter().map(move |to| (*from, *to))) {
        for arm in [from, to, from, to] {
            s.driver.io().arm(conn, arm);
            s.turns(3);
            assert_eq!(peer.armed(), arm, "{from:?} and {to:?} in turn");
        }
        s.driver.io().arm(conn, from);
        s.turns(3);
        s.driver.io().arm(conn, to);
        s.driver.io().arm(conn, from);
        s.turns(3);
        assert_eq!(peer.armed(), from, "{to:?} taken back at once");
    }
}

#[test]
fn a_cold_connection_turns_hot_by_itself_and_cold_again_when_told() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Cold);
    for _ in 0..3 {
        assert_eq!(peer.armed(), Arm::Cold);
        peer.write(b"knock");
        s.turns(3);
        assert_eq!(peer.armed(), Arm::Hot);
        s.driver.io().arm(conn, Arm::Cold);
        s.turns(3);
    }
    assert_eq!(s.recorder.bytes(conn), b"knock".repeat(3));
}

#[test]
fn a_fin_ends_receiving_well_and_a_reset_with_its_error() {
    let mut s = Simulated::new(SimConfig::default());
    for arm in [Arm::Hot, Arm::Cold] {
        let (finished, peer) = s.pair(arm);
        peer.write(b"bye");
        peer.finish();
        let (broken, peer) = s.pair(arm);
        peer.reset();
        s.turns(5);
        assert_eq!(s.recorder.bytes(finished), b"bye");
        let ends = |end: Seen| s.recorder.count(|seen| *seen == end);
        assert_eq!(ends(Seen::ReceiveEnd(finished, Ok(()))), 1, "{arm:?}");
        assert_eq!(ends(Seen::ReceiveEnd(broken, Err(Some(libc::ECONNRESET)))), 1, "{arm:?}");
    }
}

/// Writes to `count` connections of a real driver at once and expects every byte.
fn kernel_delivers(mut driver: impl Driver, count: usize, bytes: usize) {
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::arming(Arm::Hot);
    let mut peers: Vec<_> = (0..count).map(|_| TcpStream::connect(at).unwrap()).collect();
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == count);
    let data = stream(bytes);
    peers.iter_mut().for_each(|peer| peer.write_all(&data).unwrap());
    let ids = recorder.accepted();
    turn_until(&mut driver, &mut recorder, "all bytes", |r| {
        ids.iter().all(|conn| r.bytes(*conn).len() == bytes)
    });
    assert!(ids.iter().all(|conn| recorder.bytes(*conn) == data));
}

#[test]
fn on_the_kernel_too_few_buffers_delay_but_lose_nothing() {
    for packed in [true, false] {
        let driver = uring(|config| {
            config.receive_buffers = 2;
            config.receive_buffer_bytes = 4096;
            config.receive_packed = packed;
        });
        kernel_delivers(driver, 40, 20_000);
    }
}

#[test]
fn on_the_kernel_an_overflowing_completion_queue_loses_nothing() {
    let driver = uring(|config| {
        config.submission_entries = 8;
        config.completion_entries = 32;
        config.receive_buffers = 1024;
        config.receive_buffer_bytes = 4096;
        config.receive_packed = false;
    });
    kernel_delivers(driver, 200, 5_000);
}

fn on_the_kernel_arms_change_in_mid_stream_without_loss<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::arming(Arm::Cold);
    let mut peer = TcpStream::connect(at).unwrap();
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    let conn = recorder.accepted()[0];
    let data = stream(30_000);
    for (i, piece) in data.chunks(100).enumerate() {
        driver.io().arm(conn, [Arm::Hot, Arm::Cold, Arm::Off][i % 3]);
        peer.write_all(piece).unwrap();
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
    }
    driver.io().arm(conn, Arm::Cold);
    turn_until(&mut driver, &mut recorder, "all bytes", |r| r.bytes(conn).len() == data.len());
    assert_eq!(recorder.bytes(conn), data);
}

fn on_the_kernel_fin_and_reset_are_told_apart<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::arming(Arm::Hot);
    let finished = TcpStream::connect(at).unwrap();
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    let broken = TcpStream::connect(at).unwrap();
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 2);
    socket2::SockRef::from(&broken).set_linger(Some(Duration::ZERO)).unwrap();
    drop((finished, broken));
    turn_until(&mut driver, &mut recorder, "both ends", |r| {
        r.count(|seen| matches!(seen, Seen::ReceiveEnd(..))) == 2
    });
    let ids = recorder.accepted();
    assert!(recorder.seen.contains(&Seen::ReceiveEnd(ids[0], Ok(()))));
    assert!(recorder.seen.contains(&Seen::ReceiveEnd(ids[1], Err(Some(libc::ECONNRESET)))));
}

fn on_the_kernel_everything_that_many_peers_write_at_once_is_delivered<D: Real>() {
    kernel_delivers(real::<D>(|_| {}), 100, 40_000);
}

fn on_the_kernel_what_came_while_nothing_was_armed_is_delivered_when_something_is<D: Real>() {
    for arm in [Arm::Hot, Arm::Cold] {
        let mut driver = real::<D>(|_| {});
        let (_, at) = listen(&mut driver);
        let mut recorder = Recorder::default();
        let mut peer = TcpStream::connect(at).unwrap();
        peer.write_all(b"before").unwrap();
        turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
        let conn = recorder.accepted()[0];
        peer.write_all(b" and after").unwrap();
        drop(peer);
        for _ in 0..3 {
            driver.turn(Duration::from_millis(5), &mut recorder).unwrap();
        }
        assert_eq!(recorder.seen.len(), 1, "{:?}", recorder.seen);
        driver.io().arm(conn, arm);
        turn_until(&mut driver, &mut recorder, "the end", |r| {
            r.seen.contains(&Seen::ReceiveEnd(conn, Ok(())))
        });
        assert_eq!(recorder.bytes(conn), b"before and after", "{arm:?}");
    }
}

fn on_the_kernel_a_peer_that_waits_costs_no_turn_whatever_its_arm<D: Real>() {
    for arm in [Arm::Off, Arm::Cold, Arm::Hot] {
        let mut driver = real::<D>(|_| {});
        let (_, at) = listen(&mut driver);
        let mut recorder = Recorder::arming(Arm::Hot);
        let mut peer = TcpStream::connect(at).unwrap();
        peer.write_all(b"first").unwrap();
        turn_until(&mut driver, &mut recorder, "bytes", |r| {
            r.accepted().first().is_some_and(|conn| r.bytes(*conn) == b"first")
        });
        let conn = recorder.accepted()[0];
        driver.io().arm(conn, arm);
        for _ in 0..3 {
            driver.turn(Duration::from_millis(5), &mut recorder).unwrap();
        }
        if arm == Arm::Off {
            peer.write_all(b"more").unwrap();
            driver.turn(Duration::from_millis(5), &mut recorder).unwrap();
        }
        let idle = Instant::now();
        driver.turn(Duration::from_millis(50), &mut recorder).unwrap();
        assert!(idle.elapsed() >= Duration::from_millis(45), "{arm:?} ended the wait");
        assert_eq!(recorder.bytes(conn), b"first", "{arm:?}");
    }
}

#[test]
fn over_epoll_a_flood_gets_its_share_of_a_turn_and_the_rest_in_the_next_ones() {
    let mut driver = epoll(|config| config.receive_buffer_bytes = 1024);
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::default();
    let mut flood = TcpStream::connect(at).unwrap();
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    let conn = recorder.accepted()[0];
    let data = stream(20 * 1024);
    flood.write_all(&data).unwrap();
    let share = usize::from(RECEIVES_PER_TURN) * 1024;
    driver.io().arm(conn, Arm::Hot);
    for turn in 1..=3 {
        driver.turn(Duration::from_secs(1), &mut recorder).unwrap();
        let bytes = recorder.bytes(conn);
        assert_eq!(bytes.len(), data.len().min(turn * share), "turn {turn}");
        assert!(data.starts_with(&bytes));
    }
}

fn on_the_kernel_a_flood_does_not_hold_another_connection_up<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let mut recorder = Recorder::arming(Arm::Hot);
    let mut peers = [(); 2].map(|()| TcpStream::connect(at).unwrap());
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == 2);
    let ids = recorder.accepted();
    peers[0].set_nonblocking(true).unwrap();
    for round in 0..20 {
        while peers[0].write(&[7; 64 * 1024]).is_ok() {}
        peers[1].write_all(&[round]).unwrap();
        let heard = usize::from(round) + 1;
        let turns = (1..).find(|_| {
            driver.turn(Duration::from_millis(50), &mut recorder).unwrap();
            recorder.bytes(ids[1]).len() == heard
        });
        assert!(turns.is_some_and(|turns| turns <= 10), "round {round}: {turns:?} turns");
    }
}
