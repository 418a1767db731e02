//! Connect, upgrade, cut, and again: what a connection costs a server beside its messages.
//!
//! A closed loop: every client is cut as soon as its upgrade is answered and comes again as soon as
//! its connection is gone. The run's plan should reset connections, or their ports run out.

use std::time::Instant;

use throng_wire::ws::Opcode;

use crate::generator::{ClientId, End, ShardInfo, Turn, Workload};

/// The clients of one shard.
#[derive(Debug)]
pub struct Reconnect {
    info: ShardInfo,
    has_begun: bool,
}

impl Reconnect {
    /// All clients of the shard, none of them connected yet.
    #[must_use]
    pub fn new(info: ShardInfo) -> Self {
        Self { info, has_begun: false }
    }
}

impl Workload for Reconnect {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        if !std::mem::replace(&mut self.has_begun, true) {
            for client in self.info.own() {
                turn.open(client, turn.now());
            }
        }
        None
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        turn.established(client);
        turn.cut(client);
    }

    fn message(&mut self, _: &mut dyn Turn, _: ClientId, _: Opcode, _: &[u8]) {}

    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, end: End) {
        if end == End::AsAsked {
            turn.open(client, turn.now());
        }
    }
}
