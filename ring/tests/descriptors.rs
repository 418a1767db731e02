//! A process that is out of descriptors: connections need none, what needs one says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Recorder, batch, listen, real, turn_until};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Arm, ConnectOptions, Driver, Io, SetupError};

#[test]
fn on_the_kernel_accepting_needs_no_descriptor_and_set_up_and_connect_explain_themselves() {
    let mut driver = real(|_| {});
    let (_, at) = listen(&mut driver);
    let peers: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    assert!(File::open("/dev/null").is_err());

    let mut recorder = Recorder::arming(Arm::Hot);
    turn_until(&mut driver, &mut recorder, "accepts", |r| r.accepted().len() == peers.len());
    for conn in recorder.accepted() {
        driver.io().send(conn, batch(b"hello")).unwrap();
    }
    let connect = driver.io().connect(ConnectOptions { to: at, bind: None });
    let set_up = UringDriver::new(UringConfig::default());
    setrlimit(Resource::Nofile, before).unwrap();

    assert_eq!(connect.unwrap_err().raw_os_error(), Some(libc::EMFILE));
    let error = set_up.unwrap_err();
    assert!(matches!(error, SetupError::Descriptors { soft: 3, .. }), "{error}");
    assert!(error.to_string().contains("RLIMIT_NOFILE = 3"));
    // The failed connect has given its slot back.
    assert_eq!(driver.io().connections(), peers.len());
}
