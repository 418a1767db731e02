//! Hints on their way to many connections of the shard.
//!
//! A hint is encoded at most once per codec, WebSocket header included, and shared by all its
//! recipients. Its list of targets has a cursor: what does not fit into this turn goes on in the
//! next one, so that a frame for thousands does not hold up the others' heartbeats. Hints are
//! served in the order they came.

use std::collections::VecDeque;

use bytes::Bytes;
use throng_wire::{transcode, ws};

use super::conn::Codec;
use crate::limits;

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
    /// The next targets, at most [`limits::FANOUT_STEP`].
    pub(super) fn step(&mut self) -> Option<(std::ops::Range<usize>, &mut Shared)> {
        let range = self.cursor..self.targets.len().min(self.cursor + limits::FANOUT_STEP);
        if range.is_empty() {
            return None;
        }
        self.cursor = range.end;
        Some((range, &mut self.shared))
    }

    /// Slot and session of a target.
    pub(super) fn target(&self, index: usize) -> (u32, u32) {
        self.targets[index]
    }

    fn bytes(&self) -> usize {
        self.shared.body.len() + self.targets.len() * size_of::<(u32, u32)>()
    }
}

/// Hints that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Running>,
    bytes: usize,
}

impl Backlog {
    /// Takes a hint. False: there is no room, and the log has to make up for it.
    pub(super) fn push(&mut self, shared: Shared, targets: Vec<(u32, u32)>) -> bool {
        let running = Running { shared, targets, cursor: 0 };
        if self.bytes + running.bytes() > limits::FANOUT_BYTES_MAX {
            return false;
        }
        self.bytes += running.bytes();
        self.queue.push_back(running);
        true
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
