//! Any interleaving of operations, peers' acts and faults: every connection ends with exactly one
//! `Closed`, no event names it afterwards, no slot, operation or buffer is left, and the bytes that
//! got through are a prefix of what was written.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use support::{Seen, Simulated, batch};
use throng_ring::sim::{Faults, Peer, SimConfig};
use throng_ring::{Arm, CloseKind, ConnId, Driver, Io};

const BUFFERS: u16 = 2;
const SLOTS: u32 = 6;

/// One act; indices pick among what is there.
#[derive(Clone, Debug)]
enum Act {
    Connect,
    Adopt,
    Turn(u8),
    Arm(usize, Arm),
    Send(usize, u16),
    Close(usize, CloseKind),
    Hold(bool),
    PeerWrites(usize, u16),
    PeerReads(usize),
    PeerWindow(usize, u16),
    PeerFinishes(usize),
    PeerResets(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let arm = prop_oneof![Just(Arm::Hot), Just(Arm::Cold), Just(Arm::Off)];
    let kind = prop_oneof![Just(CloseKind::Graceful), Just(CloseKind::Abort)];
    let act = prop_oneof![
        3 => Just(Act::Connect),
        1 => Just(Act::Adopt),
        6 => (1..4u8).prop_map(Act::Turn),
        4 => (any::<usize>(), arm).prop_map(|(i, arm)| Act::Arm(i, arm)),
        3 => (any::<usize>(), 1..200u16).prop_map(|(i, n)| Act::Send(i, n)),
        2 => (any::<usize>(), kind).prop_map(|(i, kind)| Act::Close(i, kind)),
        1 => any::<bool>().prop_map(Act::Hold),
        4 => (any::<usize>(), 1..200u16).prop_map(|(i, n)| Act::PeerWrites(i, n)),
        3 => any::<usize>().prop_map(Act::PeerReads),
        1 => (any::<usize>(), 0..50u16).prop_map(|(i, n)| Act::PeerWindow(i, n)),
        1 => any::<usize>().prop_map(Act::PeerFinishes),
        1 => any::<usize>().prop_map(Act::PeerResets),
    ];
    prop::collection::vec(act, 1..120)
}

fn faults() -> impl Strategy<Value = Faults> {
    let rate = || prop_oneof![2 => Just(0u16), 1 => 0..400u16];
    (rate(), rate(), rate(), rate(), rate(), rate(), rate(), 0..30u16).prop_map(
        |(short_send, delay, reorder, no_buffers, overflow, accept_failure, cancel_miss, reset)| {
            let delay_max = Duration::from_millis(4);
            Faults {
                short_send,
                delay,
                delay_max,
                reorder,
                no_buffers,
                overflow,
                accept_failure,
                cancel_miss,
                reset,
            }
        },
    )
}

struct World {
    s: Simulated,
    peers: Vec<Peer>,
    /// Every connection that callers know of.
    conns: Vec<ConnId>,
    /// Who adopted whom, and what its peer wrote.
    adopted: HashMap<usize, (ConnId, Vec<u8>)>,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let s = Simulated::new(SimConfig {
            seed,
            faults,
            connections_max: SLOTS,
            receive_buffers: BUFFERS,
            receive_buffer_bytes: 32,
            window_bytes: 256,
            ..SimConfig::default()
        });
        Self { s, peers: Vec::new(), conns: Vec::new(), adopted: HashMap::new() }
    }

    fn conn(&mut self, index: usize) -> Option<ConnId> {
        let accepted = self.s.recorder.accepted();
        accepted.into_iter().for_each(|conn| {
            if !self.conns.contains(&conn) {
                self.conns.push(conn);
            }
        });
        (!self.conns.is_empty()).then(|| self.conns[index % self.conns.len()])
    }

    fn on_peer(&mut self, index: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.peers.is_empty() {
            act(self, index % self.peers.len());
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Connect => {
                let from = "192.0.2.1:9".parse().unwrap();
                self.peers.extend(self.s.sim.connect(self.s.at, from));
            }
            Act::Adopt => self.adopt(),
            Act::Turn(turns) => self.s.turns(turns.into()),
            Act::Arm(i, arm) => {
                if let Some(conn) = self.conn(i) {
                    self.s.driver.io().arm(conn, arm);
                }
            }
            Act::Send(i, bytes) => {
                if let Some(conn) = self.conn(i) {
                    let _ = self.s.driver.io().send(conn, batch(&vec![1; bytes.into()]));
                }
            }
            Act::Close(i, kind) => {
                if let Some(conn) = self.conn(i) {
                    self.s.driver.io().close(conn, kind);
                }
            }
            Act::Hold(on) => self.s.driver.io().accept(self.s.listener, on),
            Act::PeerWrites(i, bytes) => self.on_peer(i, |world, i| {
                let start = world.adopted.get(&i).map_or(0, |(_, written)| written.len());
                let bytes: Vec<u8> = (start..start + usize::from(bytes)).map(|n| n as u8).collect();
                let taken = world.peers[i].write(&bytes);
                if let Some((_, written)) = world.adopted.get_mut(&i) {
                    written.extend_from_slice(&bytes[..taken]);
                }
            }),
            Act::PeerReads(i) => self.on_peer(i, |world, i| drop(world.peers[i].read())),
            Act::PeerWindow(i, bytes) => {
                self.on_peer(i, |world, i| world.peers[i].set_window(bytes.into()));
            }
            Act::PeerFinishes(i) => self.on_peer(i, |world, i| world.peers[i].finish()),
            Act::PeerResets(i) => self.on_peer(i, |world, i| world.peers[i].reset()),
        }
    }

    fn adopt(&mut self) {
        let (socket, peer) = self.s.sim.endpoint().unwrap();
        if let Ok(conn) = self.s.driver.io().adopt(socket) {
            self.s.driver.io().arm(conn, Arm::Hot);
            self.adopted.insert(self.peers.len(), (conn, Vec::new()));
            self.peers.push(peer);
            self.conns.push(conn);
        }
    }

    /// Closes everything and lets it end; faults that only delay stay on.
    fn finish(&mut self) {
        self.s.driver.io().accept(self.s.listener, false);
        for _ in 0..3 {
            self.s.turns(100);
            let _ = self.conn(0);
            for conn in self.conns.clone() {
                self.s.driver.io().close(conn, CloseKind::Abort);
            }
        }
        self.s.turns(200);
        let _ = self.conn(0);
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_connection_ends_once_and_leaves_nothing(
        seed in any::<u64>(),
        faults in faults(),
        acts in acts(),
    ) {
        let mut world = World::new(seed, faults);
        acts.into_iter().for_each(|act| world.act(act));
        world.finish();
        let seen = &world.s.recorder.seen;
        for conn in &world.conns {
            let closed = seen.iter().position(|seen| *seen == Seen::Closed(*conn));
            prop_assert!(closed.is_some(), "{conn:?} never closed");
            let last = seen.iter().rposition(|seen| subject(seen) == Some(*conn));
            prop_assert_eq!(last, closed, "an event after Closed");
        }
        for (conn, written) in world.adopted.values() {
            let received = world.s.recorder.bytes(*conn);
            prop_assert!(written.starts_with(&received), "{received:?} of {written:?}");
        }
        prop_assert_eq!(world.s.driver.io().connections(), 0);
        prop_assert_eq!(world.s.sim.armed(), 0);
        prop_assert_eq!(world.s.sim.buffers_provided(), usize::from(BUFFERS));
        // Every slot can be used again.
        for _ in 0..SLOTS {
            let (socket, _peer) = world.s.sim.endpoint().unwrap();
            prop_assert!(world.s.driver.io().adopt(socket).is_ok(), "a slot leaked");
        }
    }

    #[test]
    fn the_same_seed_and_script_give_the_same_run(
        seed in any::<u64>(),
        faults in faults(),
        acts in acts(),
    ) {
        let run = |acts: Vec<Act>| {
            let mut world = World::new(seed, faults);
            acts.into_iter().for_each(|act| world.act(act));
            world.finish();
            world.s.recorder.seen
        };
        prop_assert_eq!(run(acts.clone()), run(acts));
    }
}
