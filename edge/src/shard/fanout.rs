//! Hints on their way to many connections of the shard.
//!
//! A hint is encoded at most once per codec, WebSocket header included, and shared by all its
//! recipients. Its list of targets has a cursor: what does not fit into this turn goes on in the
//! next one, so that a frame for thousands does not hold up the others' heartbeats. Hints are
//! served in the order they came.

use std::collections::VecDeque;

use bytes::Bytes;
use throng_ring::{ConnId, Io};
use throng_wire::{transcode, ws};

use super::Core;
use super::conn::{Codec, Phase};
use super::output::Verdict;
use crate::limits;
use crate::metrics::CloseReason;

/// A frame for a connection: its bytes as they go on the wire.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) frame: Bytes,
    pub(super) ephemeral: bool,
}

/// An encoded `ServerFrame` and what the codecs make of it.
#[derive(Debug)]
pub(super) struct Shared {
    body: Bytes,
    ephemeral: bool,
    json: Option<Bytes>,
    protobuf: Option<Bytes>,
}

impl Shared {
    pub(super) fn new(body: Bytes, ephemeral: bool) -> Self {
        Self { body, ephemeral, json: None, protobuf: None }
    }

    /// The frame for a connection of this codec. `None`: the router sent something that is not a
    /// frame.
    pub(super) fn frame(&mut self, codec: Codec) -> Option<Push> {
        let cached = match codec {
            Codec::Json => &mut self.json,
            Codec::Protobuf => &mut self.protobuf,
        };
        if cached.is_none() {
            *cached = Some(encode(codec, &self.body)?);
        }
        cached.clone().map(|frame| Push { frame, ephemeral: self.ephemeral })
    }
}

fn encode(codec: Codec, body: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(body.len() * 2 + 16);
    match codec {
        Codec::Protobuf => ws::encode::frame(&mut out, ws::Opcode::Binary, body, None),
        Codec::Json => {
            let mut text = Vec::with_capacity(body.len() * 2);
            transcode::answer_json(None, body, &mut text).ok()?;
            ws::encode::frame(&mut out, ws::Opcode::Text, &text, None);
        }
    }
    out.shrink_to_fit();
    Some(Bytes::from(out))
}

/// A hint whose targets are being served.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) shared: Shared,
    targets: Vec<(u32, u32)>,
    cursor: usize,
}

impl Running {
    /// The next target.
    fn next(&mut self) -> Option<(u32, u32)> {
        let target = self.targets.get(self.cursor).copied();
        self.cursor += 1;
        target
    }

    /// What it takes in memory.
    fn bytes(&self) -> usize {
        let encoded = [&self.shared.json, &self.shared.protobuf];
        let encoded: usize = encoded.into_iter().flatten().map(Bytes::len).sum();
        let targets = self.targets.capacity() * size_of::<(u32, u32)>();
        size_of::<Self>() + self.shared.body.len() + encoded + targets
    }
}

/// Hints that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Running>,
    bytes: usize,
}

impl Backlog {
    /// Takes a hint. The caller stops reading the link when there are too many.
    pub(super) fn push(&mut self, shared: Shared, targets: Vec<(u32, u32)>) {
        let running = Running { shared, targets, cursor: 0 };
        self.bytes += running.bytes();
        self.queue.push_back(running);
    }

    /// The hint to go on with.
    pub(super) fn take(&mut self) -> Option<Running> {
        let running = self.queue.pop_front()?;
        self.bytes -= running.bytes();
        Some(running)
    }

    /// Gives a hint back that is not done.
    pub(super) fn put_back(&mut self, running: Running) {
        self.bytes += running.bytes();
        self.queue.push_front(running);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Core {
    /// Serves waiting hints until they are done or the turn's time is over.
    pub(super) fn fan_out<I: Io>(&mut self, io: &mut I) {
        if self.backlog.is_empty() {
            return;
        }
        let until = (self.clocks.work)() + limits::TURN_BUDGET;
        while let Some(mut running) = self.backlog.take() {
            let is_done = self.fan_out_step(io, &mut running);
            if !is_done {
                self.backlog.put_back(running);
            }
            if (self.clocks.work)() >= until {
                self.counters.fanout_continued += u64::from(!self.backlog.is_empty());
                break;
            }
        }
        self.hold_link(io);
    }

    /// Serves some targets. True: it was the last of them.
    fn fan_out_step<I: Io>(&mut self, io: &mut I, running: &mut Running) -> bool {
        for _ in 0..limits::FANOUT_STEP {
            let Some((slot, session)) = running.next() else { return true };
            let Some((id, conn)) = self.slab.session_mut(slot, session) else {
                self.counters.stale_targets += 1;
                continue;
            };
            let Some(push) = running.shared.frame(conn.codec) else {
                tracing::error!(shard = self.shard, "the router's hint is not a frame");
                return true;
            };
            match &mut conn.phase {
                Phase::Established(_) => self.push(io, id, &push),
                Phase::Registering(registering) => {
                    if registering.early.len() < limits::EARLY_HINTS_MAX {
                        registering.early.push(push);
                    } else {
                        self.close(io, id, CloseReason::SlowConsumer);
                    }
                }
                _ => self.counters.stale_targets += 1,
            }
        }
        false
    }

    /// Queues a pushed frame for an established session.
    pub(super) fn push<I: Io>(&mut self, io: &mut I, id: ConnId, push: &Push) {
        let Some(conn) = self.slab.open_mut(id) else { return };
        match self.outputs.offer_shared(id, conn, &push.frame, push.ephemeral) {
            Verdict::Queued => self.counters.pushed += 1,
            Verdict::Dropped => self.counters.ephemeral_dropped += 1,
            Verdict::Overrun => self.close(io, id, CloseReason::SlowConsumer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_hint_counts_with_all_that_it_takes() {
        let mut backlog = Backlog::default();
        backlog.push(Shared::new(Bytes::new(), false), Vec::new());
        assert_eq!(backlog.bytes(), size_of::<Running>());
        let mut targets = Vec::with_capacity(10);
        targets.push((1, 1));
        backlog.push(Shared::new(Bytes::from_static(b"body"), false), targets);
        assert_eq!(backlog.bytes(), 2 * size_of::<Running>() + 4 + 10 * 8);
        while backlog.take().is_some() {}
        assert_eq!(backlog.bytes(), 0);
    }
}
