//! What a turn does is bounded: who is beyond its limits is served in the next one.

use std::net::SocketAddr;
use std::time::Duration;

use throng_edge::limits::{DRAIN_SLOTS_PER_TURN, TIMERS_PER_TURN};
use throng_edge::metrics::{CloseReason, Snapshot};
use throng_edge::shard::{Control, Mode};
use throng_ring::sim::{Peer, SimConfig};

use crate::rig::{ADDRESS, Rig, TICK, config};

/// So many connections that came at the same moment and say nothing.
fn crowd(count: usize) -> (Rig, Vec<Peer>) {
    let mut config = config(Mode::Echo);
    config.connections_max = 4_000;
    config.handshakes_max = 4_000;
    config.handshakes_per_address_max = 4_000;
    config.drain_window = Duration::ZERO;
    let sim = SimConfig { connections_max: 4_096, ..SimConfig::default() };
    let mut rig = Rig::new(config, sim);
    let from: SocketAddr = "10.0.0.1:4000".parse().unwrap();
    let connect = |_| rig.sim.connect(ADDRESS.parse().unwrap(), from).unwrap();
    let clients = (0..count).map(connect).collect();
    // A turn accepts a few at a time.
    for _ in 0..16 {
        rig.settle();
    }
    assert_eq!(rig.snapshot().gauges.connections as usize, count);
    (rig, clients)
}

/// What one turn came to.
fn turn(rig: &mut Rig) -> Snapshot {
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    rig.handle.send(Control::Snapshot(sender)).unwrap();
    rig.turn(Duration::ZERO);
    receiver.try_recv().unwrap()
}

fn closes(snapshot: &Snapshot, reason: CloseReason) -> usize {
    snapshot.closes[reason as usize] as usize
}

#[test]
fn a_turn_handles_so_many_deadlines_and_the_next_turn_the_rest() {
    for (count, second) in [(TIMERS_PER_TURN, 0), (TIMERS_PER_TURN + 1, 1)] {
        let (mut rig, _clients) = crowd(count);
        rig.sim.advance(Duration::from_secs(10) + 2 * TICK);
        let first = closes(&turn(&mut rig), CloseReason::HttpDeadline);
        assert_eq!(first, TIMERS_PER_TURN);
        let all = closes(&turn(&mut rig), CloseReason::HttpDeadline);
        assert_eq!(all - first, second, "{count}");
    }
}

#[test]
fn a_turn_of_a_drain_looks_at_so_many_slots_and_the_next_turn_at_the_rest() {
    for (count, second) in [(DRAIN_SLOTS_PER_TURN, 0), (DRAIN_SLOTS_PER_TURN + 1, 1)] {
        let (mut rig, _clients) = crowd(count);
        rig.handle.send(Control::Drain).unwrap();
        rig.turn(Duration::ZERO);
        let first = closes(&turn(&mut rig), CloseReason::Draining);
        assert_eq!(first, DRAIN_SLOTS_PER_TURN);
        let all = closes(&turn(&mut rig), CloseReason::Draining);
        assert_eq!(all - first, second, "{count}");
    }
}
