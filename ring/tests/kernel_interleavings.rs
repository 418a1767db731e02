//! Any interleaving of operations and of real peers' acts: every connection ends with exactly one
//! `Closed`, no event names it afterwards, every slot can be used again, and the bytes that got
//! through, both ways, are a prefix of what was written.
//!
//! The kernel takes its own time, so a run is not the same twice; its acts are, by the seed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use support::{Real, Recorder, Seen, batch, listen, real};
use throng_ring::{Arm, CloseKind, ConnId, ConnectOptions, Io, ListenerId};

const SLOTS: u32 = 12;
const CASES: u32 = 60;

on_each_backend! {
    every_connection_ends_once_and_leaves_nothing;
}

/// One act; indices pick among what is there.
#[derive(Clone, Debug)]
enum Act {
    /// Over TCP: the driver plays both ends.
    Connect,
    Adopt,
    Turn(u8),
    Arm(usize, Arm),
    Send(usize, u32),
    Close(usize, CloseKind),
    Hold(bool),
    PeerWrites(usize, u32),
    PeerReads(usize),
    PeerFinishes(usize),
    PeerVanishes(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let arm = prop_oneof![Just(Arm::Hot), Just(Arm::Cold), Just(Arm::Off)];
    let kind = prop_oneof![Just(CloseKind::Graceful), Just(CloseKind::Abort)];
    let bytes = || prop_oneof![3 => 1..200u32, 1 => 1..400_000u32];
    let act = prop_oneof![
        2 => Just(Act::Connect),
        2 => Just(Act::Adopt),
        6 => (1..4u8).prop_map(Act::Turn),
        4 => (any::<usize>(), arm).prop_map(|(i, arm)| Act::Arm(i, arm)),
        4 => (any::<usize>(), bytes()).prop_map(|(i, n)| Act::Send(i, n)),
        2 => (any::<usize>(), kind).prop_map(|(i, kind)| Act::Close(i, kind)),
        1 => any::<bool>().prop_map(Act::Hold),
        4 => (any::<usize>(), bytes()).prop_map(|(i, n)| Act::PeerWrites(i, n)),
        4 => any::<usize>().prop_map(Act::PeerReads),
        1 => any::<usize>().prop_map(Act::PeerFinishes),
        1 => any::<usize>().prop_map(Act::PeerVanishes),
    ];
    prop::collection::vec(act, 1..120)
}

/// The other end of an adopted connection, and what went both ways.
struct Peer {
    conn: ConnId,
    stream: Option<UnixStream>,
    written: usize,
    read: Vec<u8>,
}

/// What either side writes at a place of its stream.
fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|n| (n * 7 + n / 251) as u8).collect()
}

struct World<D> {
    driver: D,
    listener: ListenerId,
    at: SocketAddr,
    recorder: Recorder,
    peers: Vec<Peer>,
    /// Every connection that callers know of, and how much was sent on it.
    sent: HashMap<ConnId, usize>,
    conns: Vec<ConnId>,
}

impl<D: Real> World<D> {
    fn new() -> Self {
        let mut driver = real::<D>(|asked| asked.connections_max = SLOTS);
        let (listener, at) = listen(&mut driver);
        let (peers, conns) = (Vec::new(), Vec::new());
        let recorder = Recorder::default();
        Self { driver, listener, at, recorder, peers, sent: HashMap::new(), conns }
    }

    fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.driver.turn(Duration::from_micros(200), &mut self.recorder).unwrap();
        }
        for conn in self.recorder.accepted() {
            if !self.conns.contains(&conn) {
                self.conns.push(conn);
            }
        }
    }

    fn conn(&self, index: usize) -> Option<ConnId> {
        (!self.conns.is_empty()).then(|| self.conns[index % self.conns.len()])
    }

    fn peer(&mut self, index: usize) -> Option<&mut Peer> {
        let count = self.peers.len();
        (count > 0).then(|| &mut self.peers[index % count])
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Connect => {
                let made = self.driver.io().connect(ConnectOptions { to: self.at, bind: None });
                self.conns.extend(made);
            }
            Act::Adopt => self.adopt(),
            Act::Turn(turns) => self.turns(turns.into()),
            Act::Arm(i, arm) => {
                if let Some(conn) = self.conn(i) {
                    self.driver.io().arm(conn, arm);
                }
            }
            Act::Send(i, count) => {
                let Some(conn) = self.conn(i) else { return };
                let sent = self.sent.entry(conn).or_default();
                let piece = bytes(*sent, count as usize);
                if self.driver.io().send(conn, batch(&piece)).is_ok() {
                    *sent += piece.len();
                }
            }
            Act::Close(i, kind) => {
                if let Some(conn) = self.conn(i) {
                    self.driver.io().close(conn, kind);
                }
            }
            Act::Hold(on) => self.driver.io().accept(self.listener, on),
            Act::PeerWrites(i, count) => {
                let Some(peer) = self.peer(i) else { return };
                let piece = bytes(peer.written, count as usize);
                if let Some(stream) = &mut peer.stream {
                    peer.written += stream.write(&piece).unwrap_or(0);
                }
            }
            Act::PeerReads(i) => {
                if let Some(peer) = self.peer(i) {
                    peer.read_some();
                }
            }
            Act::PeerFinishes(i) => {
                let stream = self.peer(i).and_then(|peer| peer.stream.as_mut());
                stream.map(|stream| stream.shutdown(Shutdown::Write));
            }
            Act::PeerVanishes(i) => {
                if let Some(peer) = self.peer(i) {
                    peer.stream = None;
                }
            }
        }
    }

    fn adopt(&mut self) {
        let (ours, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        if let Ok(conn) = self.driver.io().adopt(OwnedFd::from(ours)) {
            let stream = Some(stream);
            self.peers.push(Peer { conn, stream, written: 0, read: Vec::new() });
            self.conns.push(conn);
        }
    }

    /// Closes everything and lets it end, what is still accepted meanwhile included.
    fn finish(&mut self) {
        self.driver.io().accept(self.listener, false);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut quiet = 0;
        while quiet < 5 && Instant::now() < deadline {
            for conn in self.conns.clone() {
                self.driver.io().close(conn, CloseKind::Abort);
            }
            self.turns(1);
            quiet = if self.driver.io().connections() == 0 { quiet + 1 } else { 0 };
        }
        self.peers.iter_mut().for_each(Peer::read_some);
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let seen = &self.recorder.seen;
        for conn in &self.conns {
            let ends = seen.iter().filter(|seen| **seen == Seen::Closed(*conn)).count();
            prop_assert_eq!(ends, 1, "{:?}", conn);
            let last = seen.iter().rfind(|seen| subject(seen) == Some(*conn));
            prop_assert_eq!(last, Some(&Seen::Closed(*conn)), "an event after Closed");
        }
        for peer in &self.peers {
            let received = self.recorder.bytes(peer.conn);
            prop_assert!(received.len() <= peer.written, "more came than was written");
            prop_assert!(received == bytes(0, received.len()), "other bytes came");
            let sent = self.sent.get(&peer.conn).copied().unwrap_or(0);
            prop_assert!(peer.read.len() <= sent, "more went than was sent");
            prop_assert!(peer.read == bytes(0, peer.read.len()), "other bytes went");
        }
        prop_assert_eq!(self.driver.io().connections(), 0);
        for _ in 0..SLOTS {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            prop_assert!(self.driver.io().adopt(ours.into()).is_ok(), "a slot leaked");
        }
        Ok(())
    }
}

impl Peer {
    fn read_some(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut piece = [0; 65536];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            self.read.extend_from_slice(&piece[..count]);
        }
    }
}

fn subject(seen: &Seen) -> Option<ConnId> {
    match seen {
        Seen::Accepted(conn, _)
        | Seen::Connected(conn, _)
        | Seen::Received(conn, _)
        | Seen::ReceiveEnd(conn, _)
        | Seen::Sent(conn, _)
        | Seen::Closed(conn) => Some(*conn),
        Seen::AcceptFailed(..) | Seen::Woken => None,
    }
}

fn every_connection_ends_once_and_leaves_nothing<D: Real>() {
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&acts(), |acts| {
        let mut world = World::<D>::new();
        acts.into_iter().for_each(|act| world.act(act));
        world.finish();
        world.check()
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
