//! More drivers than cores, and more rings than a thread can register: each works, and none leaves
//! anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use support::{Real, Recorder, batch, listen, real, turn_until};
use throng_ring::{Arm, Io};

on_each_backend! {
    drivers_made_and_dropped_in_turn_leave_no_descriptor;
    sixty_four_drivers_live_side_by_side;
}

/// The tests of this file count what the process has: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn drivers_made_and_dropped_in_turn_leave_no_descriptor<D: Real>() {
    let _alone = ALONE.lock();
    drop(real::<D>(|_| {}));
    let before = descriptors();
    for _ in 0..40 {
        let mut driver = real::<D>(|_| {});
        let (_, at) = listen(&mut driver);
        let mut peer = TcpStream::connect(at).unwrap();
        let mut recorder = Recorder::arming(Arm::Hot);
        turn_until(&mut driver, &mut recorder, "accept", |r| r.accepted().len() == 1);
        // Dropped with an accept, a receive, a stuck send and the doorbell in flight.
        let conn = recorder.accepted()[0];
        driver.io().send(conn, batch(&vec![0; 8 << 20])).unwrap();
        driver.turn(Duration::ZERO, &mut recorder).unwrap();
        drop(driver);
        let mut sink = Vec::new();
        let _ = peer.read_to_end(&mut sink);
        assert!(sink.len() < 8 << 20, "the send was not cut off");
    }
    assert_eq!(descriptors(), before);
}

fn sixty_four_drivers_live_side_by_side<D: Real>() {
    let _alone = ALONE.lock();
    let mut drivers: Vec<_> = (0..64).map(|_| real::<D>(|_| {})).collect();
    for driver in &mut drivers {
        let (_, at) = listen(driver);
        let mut peer = TcpStream::connect(at).unwrap();
        peer.write_all(b"hello").unwrap();
        let mut recorder = Recorder::arming(Arm::Cold);
        turn_until(driver, &mut recorder, "bytes", |r| {
            r.accepted().first().is_some_and(|conn| r.bytes(*conn) == b"hello")
        });
    }
}
