//! Sending: one flight per connection, in order and whole, however short the kernel's steps are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Real, Recorder, Seen, Simulated, batch, listen, real, turn_until, uring};
use throng_ring::limits::SEND_CHUNKS_MAX;
use throng_ring::sim::{Faults, SimConfig};
use throng_ring::{Arm, Driver, Io, SendBatch};

on_each_backend! {
    on_the_kernel_big_batches_of_many_chunks_arrive_whole_and_in_order;
    on_the_kernel_a_frame_for_many_connections_arrives_everywhere;
    on_the_kernel_a_blocked_send_goes_on_when_there_is_room_and_costs_no_wake_up_later;
}

fn batch_of(chunks: usize) -> (SendBatch, Vec<u8>) {
    let mut batch = SendBatch::new();
    let mut all = Vec::new();
    for i in 0..chunks {
        let piece = vec![i as u8; 100 + i];
        all.extend_from_slice(&piece);
        if i % 2 == 0 { batch.push_owned(piece) } else { batch.push_shared(Bytes::from(piece)) }
    }
    (batch, all)
}

#[test]
fn short_sends_are_finished_below_and_told_once() {
    let faults = Faults { short_send: 900, ..Faults::default() };
    let mut s = Simulated::new(SimConfig { faults, ..SimConfig::default() });
    let (conn, peer) = s.pair(Arm::Hot);
    let (batch, all) = batch_of(7);
    s.driver.io().send(conn, batch).unwrap();
    s.turns(200);
    assert_eq!(peer.read(), all);
    assert_eq!(s.recorder.count(|seen| *seen == Seen::Sent(conn, Ok(()))), 1);
}

#[test]
fn a_second_send_is_given_back_while_one_is_in_flight() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Hot);
    peer.set_window(2);
    s.driver.io().send(conn, batch(b"first")).unwrap();
    s.turns(2);
    assert!(s.driver.io().sending(conn));
    let refused = s.driver.io().send(conn, batch(b"second")).unwrap_err();
    assert_eq!(refused.bytes(), 6);
    peer.set_window(100);
    s.turns(2);
    s.driver.io().send(conn, refused).unwrap();
    s.turns(2);
    assert_eq!(peer.read(), b"firstsecond");
}

#[test]
fn a_batch_at_the_limit_is_sent_and_one_past_it_is_given_back() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Hot);
    let (most, all) = batch_of(SEND_CHUNKS_MAX);
    s.driver.io().send(conn, most).unwrap();
    s.turns(2);
    assert_eq!(peer.read(), all);
    assert!(s.driver.io().send(conn, batch_of(SEND_CHUNKS_MAX + 1).0).is_err());
    assert!(s.driver.io().send(conn, SendBatch::new()).is_err());
}

#[test]
fn a_send_on_a_broken_connection_fails_and_the_caller_still_closes() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, peer) = s.pair(Arm::Off);
    peer.reset();
    s.driver.io().send(conn, batch(b"nobody")).unwrap();
    s.turns(2);
    assert!(s.recorder.seen.contains(&Seen::Sent(conn, Err(Some(libc::ECONNRESET)))));
    assert_eq!(s.recorder.closed(conn), 0);
}

#[test]
fn owned_buffers_come_back_to_the_pool() {
    let mut s = Simulated::new(SimConfig::default());
    let (conn, _peer) = s.pair(Arm::Hot);
    let mut buffer = s.driver.io().buffer();
    buffer.extend_from_slice(&[1; 1000]);
    let memory = buffer.as_ptr();
    let mut batch = SendBatch::new();
    batch.push_owned(buffer);
    s.driver.io().send(conn, batch).unwrap();
    s.turns(2);
    let again = s.driver.io().buffer();
    assert!(again.is_empty() && again.as_ptr() == memory);
}

fn on_the_kernel_big_batches_of_many_chunks_arrive_whole_and_in_order<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (_, at) = listen(&mut driver);
    let mut stream = TcpStream::connect(at).unwrap();
    let mut recorder = Recorder::arming(Arm::Cold);
    turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
    let conn = recorder.accepted()[0];
    let mut expected = Vec::new();
    let mut batch = SendBatch::new();
    for i in 0..SEND_CHUNKS_MAX {
        let piece: Vec<u8> = (0..300_000 + i).map(|j| (i * 31 + j) as u8).collect();
        expected.extend_from_slice(&piece);
        if i % 3 == 0 { batch.push_owned(piece) } else { batch.push_shared(Bytes::from(piece)) }
    }
    let bytes = expected.len();
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; bytes];
        stream.read_exact(&mut all).unwrap();
        all
    });
    driver.io().send(conn, batch).unwrap();
    turn_until(&mut driver, &mut recorder, "sent", |r| r.seen.contains(&Seen::Sent(conn, Ok(()))));
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn on_the_kernel_sends_to_many_more_connections_than_the_queue_holds_all_arrive() {
    one_frame_for_all(uring(|config| {
        config.submission_entries = 8;
        config.completion_entries = 32;
    }));
}

fn on_the_kernel_a_frame_for_many_connections_arrives_everywhere<D: Real>() {
    one_frame_for_all(real::<D>(|_| {}));
}

fn one_frame_for_all(mut driver: impl Driver) {
    let (_, at) = listen(&mut driver);
    let mut peers: Vec<_> = (0..150).map(|_| TcpStream::connect(at).unwrap()).collect();
    let mut recorder = Recorder::arming(Arm::Cold);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == 150);
    let frame = Bytes::from_static(b"one frame for all");
    for conn in recorder.accepted() {
        let mut batch = SendBatch::new();
        batch.push_shared(frame.clone());
        driver.io().send(conn, batch).unwrap();
    }
    turn_until(&mut driver, &mut recorder, "all sent", |r| {
        r.count(|seen| matches!(seen, Seen::Sent(_, Ok(())))) == 150
    });
    for peer in &mut peers {
        let mut got = [0; 17];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, frame[..]);
    }
}

/// Sends blocked again and again, on a Unix socket: its peer takes little at a time.
fn on_the_kernel_a_blocked_send_goes_on_when_there_is_room_and_costs_no_wake_up_later<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let conn = driver.io().adopt(ours.into()).unwrap();
    let mut recorder = Recorder::default();
    let all: Vec<u8> = (0..2 << 20).map(|i| (i * 7 + i / 251) as u8).collect();
    let mut big = SendBatch::new();
    for (i, piece) in all.chunks((2 << 20) / SEND_CHUNKS_MAX).enumerate() {
        let shared = Bytes::copy_from_slice(piece);
        if i % 2 == 0 { big.push_owned(piece.to_vec()) } else { big.push_shared(shared) }
    }
    driver.io().send(conn, big).unwrap();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    assert!(driver.io().sending(conn), "the socket took it all");
    let mut got = vec![0; all.len()];
    theirs.set_nonblocking(true).unwrap();
    let mut filled = 0;
    let deadline = Instant::now() + Duration::from_secs(10);
    while filled < got.len() {
        assert!(Instant::now() < deadline, "{filled} bytes came");
        driver.turn(Duration::from_millis(1), &mut recorder).unwrap();
        filled += theirs.read(&mut got[filled..]).unwrap_or(0);
    }
    theirs.set_nonblocking(false).unwrap();
    turn_until(&mut driver, &mut recorder, "sent", |r| r.seen.contains(&Seen::Sent(conn, Ok(()))));
    assert!(got == all);

    driver.io().send(conn, batch(b"one more")).unwrap();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    theirs.read_exact(&mut [0; 8]).unwrap();
    let idle = Instant::now();
    driver.turn(Duration::from_millis(50), &mut recorder).unwrap();
    assert!(idle.elapsed() >= Duration::from_millis(45), "the peer's reading ended the wait");
}
