//! Connecting and adopting: the outcome is told once, a failed connection still ends by `Closed`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use support::{Real, Recorder, Seen, Simulated, batch, real, turn_until, uring};
use throng_ring::sim::SimConfig;
use throng_ring::{Arm, CloseKind, ConnectOptions, Driver, Io};

on_each_backend! {
    on_the_kernel_connections_are_made_from_the_asked_address_or_refused;
    on_the_kernel_a_closed_connection_is_reset_only_if_the_driver_was_told_to;
    on_the_kernel_an_adopted_socketpair_carries_bytes_and_may_have_been_non_blocking;
    on_the_kernel_what_is_no_connected_socket_is_not_adopted;
}

fn to(address: &str) -> ConnectOptions {
    ConnectOptions { to: address.parse().unwrap(), bind: None }
}

#[test]
fn a_connection_is_made_refused_or_given_up() {
    let mut s = Simulated::new(SimConfig::default());
    let (open, silent) = (to("192.0.2.5:80"), to("192.0.2.6:80"));
    s.sim.listen(open.to);
    s.sim.silence(silent.to);
    let made = s.driver.io().connect(open).unwrap();
    let refused = s.driver.io().connect(to("192.0.2.7:80")).unwrap();
    let given_up = s.driver.io().connect(silent).unwrap();
    s.turns(5);
    assert!(s.recorder.seen.contains(&Seen::Connected(made, Ok(()))));
    assert!(s.recorder.seen.contains(&Seen::Connected(refused, Err(Some(libc::ECONNREFUSED)))));
    assert_eq!((s.recorder.closed(refused), s.recorder.closed(given_up)), (1, 0));
    s.driver.io().close(given_up, CloseKind::Graceful);
    s.turns(5);
    assert_eq!(s.recorder.closed(given_up), 1);
    assert_eq!(s.recorder.count(|seen| matches!(seen, Seen::Connected(..))), 2);
    s.driver.io().send(made, batch(b"hi")).unwrap();
    s.turns(2);
    assert_eq!(s.sim.accept(open.to).unwrap().read(), b"hi");
    assert_eq!(s.driver.io().connections(), 1);
}

#[test]
fn an_adopted_endpoint_is_a_connection_and_any_other_descriptor_is_refused() {
    let mut s = Simulated::new(SimConfig::default());
    let (socket, peer) = s.sim.endpoint().unwrap();
    let conn = s.driver.io().adopt(socket).unwrap();
    s.driver.io().arm(conn, Arm::Hot);
    peer.write(b"link");
    s.turns(2);
    assert_eq!(s.recorder.bytes(conn), b"link");
    let (stranger, _other) = UnixStream::pair().unwrap();
    let error = s.driver.io().adopt(stranger.into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(s.driver.io().connections(), 1);
}

fn on_the_kernel_connections_are_made_from_the_asked_address_or_refused<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bind: SocketAddr = "127.0.0.9:0".parse().unwrap();
    let open = ConnectOptions { to: listener.local_addr().unwrap(), bind: Some(bind) };
    let made = driver.io().connect(open).unwrap();
    let refused = driver.io().connect(ConnectOptions { to: closed, bind: None }).unwrap();
    let mut recorder = Recorder::arming(Arm::Hot);
    turn_until(&mut driver, &mut recorder, "outcomes", |r| r.closed(refused) == 1);
    assert!(recorder.seen.contains(&Seen::Connected(made, Ok(()))));
    assert!(recorder.seen.contains(&Seen::Connected(refused, Err(Some(libc::ECONNREFUSED)))));
    let (mut stream, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), bind.ip());
    stream.write_all(b"welcome").unwrap();
    turn_until(&mut driver, &mut recorder, "bytes", |r| r.bytes(made) == b"welcome");
}

/// Whether the process has a descriptor of this socket.
fn is_open(socket: &Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.into_iter().any(|link| link == socket)
}

#[test]
fn on_the_kernel_an_adopted_socketpair_needs_no_descriptor_of_a_ring() {
    let mut driver = uring(|_| {});
    let (ours, _theirs) = UnixStream::pair().unwrap();
    // Its inode, not the number of descriptors: other tests have theirs in this process.
    let socket = std::fs::read_link(format!("/proc/self/fd/{}", ours.as_raw_fd())).unwrap();
    assert!(is_open(&socket));
    driver.io().adopt(ours.into()).unwrap();
    assert!(!is_open(&socket));
}

fn on_the_kernel_an_adopted_socketpair_carries_bytes_and_may_have_been_non_blocking<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let conn = driver.io().adopt(ours.into()).unwrap();
    driver.io().arm(conn, Arm::Hot);
    let mut recorder = Recorder::default();
    driver.turn(Duration::from_millis(5), &mut recorder).unwrap();
    let idle = Instant::now();
    driver.turn(Duration::from_millis(50), &mut recorder).unwrap();
    assert!(idle.elapsed() >= Duration::from_millis(45), "an idle connection ended the wait");
    theirs.write_all(b"ping").unwrap();
    turn_until(&mut driver, &mut recorder, "ping", |r| r.bytes(conn) == b"ping");
    driver.io().send(conn, batch(b"pong")).unwrap();
    driver.turn(Duration::ZERO, &mut recorder).unwrap();
    let mut got = [0; 4];
    theirs.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"pong");
}

fn on_the_kernel_what_is_no_connected_socket_is_not_adopted<D: Real>() {
    let mut driver = real::<D>(|_| {});
    let file = std::fs::File::open("/dev/null").unwrap();
    let adopted = driver.io().adopt(file.into());
    let mut recorder = Recorder::arming(Arm::Hot);
    // A backend that takes it says so by its end.
    if let Ok(conn) = adopted {
        driver.io().arm(conn, Arm::Hot);
        turn_until(&mut driver, &mut recorder, "an end", |r| {
            r.count(|seen| matches!(seen, Seen::ReceiveEnd(c, Err(_)) if *c == conn)) == 1
        });
        driver.io().close(conn, CloseKind::Abort);
        turn_until(&mut driver, &mut recorder, "closed", |r| r.closed(conn) == 1);
    }
    assert_eq!(driver.io().connections(), 0);
}

fn on_the_kernel_a_closed_connection_is_reset_only_if_the_driver_was_told_to<D: Real>() {
    for resets in [false, true] {
        let mut driver = real::<D>(|asked| asked.connect_reset_on_close = resets);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ConnectOptions { to: listener.local_addr().unwrap(), bind: None };
        let conn = driver.io().connect(options).unwrap();
        let mut recorder = Recorder::arming(Arm::Hot);
        turn_until(&mut driver, &mut recorder, "the connection", |r| {
            r.seen.contains(&Seen::Connected(conn, Ok(())))
        });
        let (mut peer, _) = listener.accept().unwrap();
        driver.io().close(conn, CloseKind::Abort);
        turn_until(&mut driver, &mut recorder, "the end", |r| r.closed(conn) == 1);
        let end = peer.read(&mut [0; 8]);
        assert_eq!(end.is_err(), resets, "{end:?}");
    }
}
