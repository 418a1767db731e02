//! A process that is out of descriptors: a ring's connections need none, epoll's wait in the listen
//! queue, and what needs one says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Real, Recorder, Seen, batch, epoll, listen, turn_until, uring};
use throng_ring::epoll::EpollDriver;
use throng_ring::limits::ACCEPT_RETRY;
use throng_ring::uring::UringDriver;
use throng_ring::{Arm, ConnectOptions, Driver, Io, SetupError};

/// The limit is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const PEERS: usize = 20;

/// Lets the process open no file while it lives.
struct NoneLeft(Rlimit);

impl NoneLeft {
    fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
        assert!(File::open("/dev/null").is_err());
        Self(before)
    }
}

impl Drop for NoneLeft {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

fn explains_itself<D: Real>() {
    let asked = support::Asked { connections_max: 16, connect_reset_on_close: false };
    let error = D::set_up(asked).err().expect("no descriptor is left");
    assert!(matches!(error, SetupError::Descriptors { soft: 3, .. }), "{error}");
    assert!(error.to_string().contains("RLIMIT_NOFILE = 3"));
}

fn connect_says_so(driver: &mut impl Driver, to: std::net::SocketAddr) {
    let before = driver.io().connections();
    let error = driver.io().connect(ConnectOptions { to, bind: None }).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    // It has given its slot back.
    assert_eq!(driver.io().connections(), before);
}

#[test]
fn over_io_uring_accepting_needs_no_descriptor_and_set_up_and_connect_explain_themselves() {
    let _alone = ALONE.lock();
    let mut driver = uring(|_| {});
    let (_, at) = listen(&mut driver);
    let _peers = [(); PEERS].map(|()| TcpStream::connect(at).unwrap());
    let none_left = NoneLeft::new();
    let mut recorder = Recorder::arming(Arm::Hot);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == PEERS);
    for conn in recorder.accepted() {
        driver.io().send(conn, batch(b"hello")).unwrap();
    }
    connect_says_so(&mut driver, at);
    explains_itself::<UringDriver>();
    drop(none_left);
}

#[test]
fn over_epoll_peers_wait_for_a_descriptor_and_the_failure_is_told_once_per_try() {
    let _alone = ALONE.lock();
    let mut driver = epoll(|_| {});
    let (listener, at) = listen(&mut driver);
    let _peers = [(); PEERS].map(|()| TcpStream::connect(at).unwrap());
    let mut recorder = Recorder::arming(Arm::Hot);
    let none_left = NoneLeft::new();
    for _ in 0..2 {
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
    }
    let failed = |seen: &Seen| matches!(seen, Seen::AcceptFailed(_, Some(libc::EMFILE)));
    assert_eq!((recorder.count(failed), recorder.accepted().len()), (1, 0));
    connect_says_so(&mut driver, at);
    explains_itself::<EpollDriver>();
    std::thread::sleep(ACCEPT_RETRY);
    // The driver's clock goes on at a turn; the next one tries again.
    for _ in 0..2 {
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
    }
    assert_eq!((recorder.count(failed), recorder.accepted().len()), (2, 0));
    drop(none_left);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == PEERS);
    // Of the accepts that had failed with the one that was told none is left: it can be closed.
    driver.io().close_listener(listener);
    for _ in 0..3 {
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
    }
    assert!(TcpStream::connect(at).is_err());
}
