//! Bytes go both ways unchanged, and an accept tells who came, on the real kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use support::{Real, Recorder, Seen, listen, real, turn_until, uring};
use throng_ring::{Arm, Driver};

on_each_backend! {
    a_hot_connection_echoes;
    a_cold_connection_echoes;
}

/// Writes and reads back messages of many sizes; returns its own address.
fn ping(at: SocketAddr) -> SocketAddr {
    let mut stream = TcpStream::connect(at).unwrap();
    for size in [1, 17, 4095, 16 * 1024, 1] {
        let sent: Vec<u8> = (0..size).map(|i| i as u8).collect();
        stream.write_all(&sent).unwrap();
        let mut back = vec![0; size];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
    }
    stream.local_addr().unwrap()
}

fn echoes(mut driver: impl Driver, arm: Arm) {
    let (_, at) = listen(&mut driver);
    let client = thread::spawn(move || ping(at));
    let mut recorder = Recorder { echo: true, ..Recorder::arming(arm) };
    turn_until(&mut driver, &mut recorder, "end of input", |recorder| {
        recorder.count(|seen| matches!(seen, Seen::ReceiveEnd(_, Ok(())))) == 1
    });
    let from = client.join().unwrap();
    assert!(matches!(recorder.seen[0], Seen::Accepted(_, peer) if peer == from));
}

fn a_hot_connection_echoes<D: Real>() {
    echoes(real::<D>(|_| {}), Arm::Hot);
}

fn a_cold_connection_echoes<D: Real>() {
    echoes(real::<D>(|_| {}), Arm::Cold);
}

#[test]
fn a_connection_echoes_where_each_receive_takes_a_buffer() {
    echoes(uring(|config| config.receive_packed = false), Arm::Hot);
}
