//! What waits to be sent to clients.
//!
//! A connection has an [`Output`] only while something is queued or in flight; outputs come from a
//! pool and keep their queues' capacity. What is written in a turn leaves at the turn's end in as
//! few sends as possible: one per connection, while one is in flight none. A send is short,
//! whatever waits: that it went is how one knows that a slow peer still takes something. A frame
//! that was begun is always sent to its end, or nothing that follows could be read.
//!
//! Bounds: a connection may hold at most `burst` bytes, in flight included; above the `budget` its
//! ephemeral frames are dropped first. Answers to its own requests may exceed the burst by a bound
//! of their own, but while it holds much the connection is not read. One send may take the stall
//! time. When all outputs of the shard together exceed their bound, the burst shrinks to the
//! budget, and answers may exceed it only by the longest that there is. [`Verdict`] and
//! [`Outputs::stalled`] tell the caller, who closes.

use std::collections::VecDeque;

use bytes::Bytes;
use throng_ring::{ConnId, Io, SendBatch, limits as ring_limits};

use super::conn::{Conn, NO_OUTPUT, Slab};
use crate::limits;

/// A piece of queued output.
#[derive(Debug)]
enum Piece {
    Owned(Vec<u8>),
    Shared { frame: Bytes, ephemeral: bool },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Owned(buffer) => buffer.len(),
            Self::Shared { frame, .. } => frame.len(),
        }
    }
}

#[derive(Debug, Default)]
struct Output {
    /// Whose it is; meaningless while in the free list.
    owner: Option<ConnId>,
    pieces: VecDeque<Piece>,
    queued_bytes: usize,
    in_flight_bytes: usize,
    /// The first piece is the rest of one that was sent in part.
    is_begun: bool,
    /// Tick at which the send in flight began.
    sending_since: Option<u32>,
    is_dirty: bool,
    /// Close when everything is handed over.
    closes: bool,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Queued.
    Queued,
    /// Not queued: above the budget and ephemeral.
    Dropped,
    /// Not queued: above the burst. Close the connection.
    Overrun,
}

/// Bounds of a connection's output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) budget_bytes: usize,
    pub(super) burst_bytes: usize,
    pub(super) stall_ticks: u32,
    /// Of all connections together.
    pub(super) shard_bytes: usize,
}

/// All outputs of a shard.
#[derive(Debug)]
pub(super) struct Outputs {
    pool: Vec<Output>,
    free: Vec<u32>,
    dirty: Vec<ConnId>,
    total_bytes: usize,
    bounds: Bounds,
}

/// What a flush handed to the driver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flushed {
    pub(super) sends: u64,
    pub(super) bytes: u64,
}

impl Outputs {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { pool: Vec::new(), free: Vec::new(), dirty: Vec::new(), total_bytes: 0, bounds }
    }

    /// Bytes queued or in flight, all connections.
    pub(super) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Connections with output.
    pub(super) fn in_use(&self) -> usize {
        self.pool.len() - self.free.len()
    }

    /// Bytes queued or in flight for one connection.
    pub(super) fn held_bytes(&self, conn: &Conn) -> usize {
        self.pool
            .get(conn.output as usize)
            .map_or(0, |output| output.queued_bytes + output.in_flight_bytes)
    }

    /// Lets `write` append to the connection's own buffer. The caller bounds what it writes.
    pub(super) fn write<I: Io, R>(
        &mut self,
        io: &mut I,
        id: ConnId,
        conn: &mut Conn,
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let index = self.acquire(id, conn);
        let output = &mut self.pool[index];
        let fits = matches!(output.pieces.back(), Some(Piece::Owned(last))
            if last.len() < limits::OUTPUT_CHUNK_BYTES);
        if !fits {
            output.pieces.push_back(Piece::Owned(io.buffer()));
        }
        let Some(Piece::Owned(buffer)) = output.pieces.back_mut() else {
            unreachable!("an owned piece was just seen or pushed")
        };
        let before = buffer.len();
        let result = write(buffer);
        let added = buffer.len() - before;
        output.queued_bytes += added;
        self.total_bytes += added;
        result
    }

    /// Queues what `write` appends, within the connection's bounds.
    pub(super) fn offer<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        conn: &mut Conn,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Verdict {
        self.offer_within(io, id, conn, self.burst_bytes(), write)
    }

    /// As [`Outputs::offer`], for the answer to a request: how many there can be is bounded by the
    /// requests in flight, and while many wait the connection is not read.
    pub(super) fn offer_answer<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        conn: &mut Conn,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Verdict {
        let extra = match self.is_crowded() {
            true => limits::OUTPUT_ANSWER_BYTES,
            false => limits::OUTPUT_ANSWERS_BYTES,
        };
        let bound = self.burst_bytes() + extra;
        self.offer_within(io, id, conn, bound, write)
    }

    fn offer_within<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        conn: &mut Conn,
        bound: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Verdict {
        if self.held_bytes(conn) > bound {
            return Verdict::Overrun;
        }
        self.write(io, id, conn, write);
        if self.held_bytes(conn) > bound { Verdict::Overrun } else { Verdict::Queued }
    }

    /// Queues a frame that others share.
    pub(super) fn offer_shared(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        frame: &Bytes,
        ephemeral: bool,
    ) -> Verdict {
        let held = self.held_bytes(conn) + frame.len();
        if held > self.bounds.budget_bytes {
            if ephemeral {
                return Verdict::Dropped;
            }
            self.drop_ephemeral(conn);
            if self.held_bytes(conn) + frame.len() > self.burst_bytes() {
                return Verdict::Overrun;
            }
        }
        let index = self.acquire(id, conn);
        let output = &mut self.pool[index];
        output.pieces.push_back(Piece::Shared { frame: frame.clone(), ephemeral });
        output.queued_bytes += frame.len();
        self.total_bytes += frame.len();
        Verdict::Queued
    }

    /// The present bound: nobody gets a burst while the shard as a whole holds too much.
    fn burst_bytes(&self) -> usize {
        match self.is_crowded() {
            true => self.bounds.budget_bytes,
            false => self.bounds.burst_bytes,
        }
    }

    /// Whether the shard as a whole holds too much.
    fn is_crowded(&self) -> bool {
        self.total_bytes > self.bounds.shard_bytes
    }

    fn drop_ephemeral(&mut self, conn: &Conn) {
        let Some(output) = self.pool.get_mut(conn.output as usize) else { return };
        let mut freed = 0;
        output.pieces.retain(|piece| {
            let drops = matches!(piece, Piece::Shared { ephemeral: true, .. });
            freed += if drops { piece.len() } else { 0 };
            !drops
        });
        output.queued_bytes -= freed;
        self.total_bytes -= freed;
    }

    fn acquire(&mut self, id: ConnId, conn: &mut Conn) -> usize {
        if conn.output == NO_OUTPUT {
            conn.output = self.free.pop().unwrap_or_else(|| {
                self.pool.push(Output::default());
                self.pool.len() as u32 - 1
            });
            self.pool[conn.output as usize].owner = Some(id);
        }
        let index = conn.output as usize;
        self.mark_dirty(index, id);
        index
    }

    fn mark_dirty(&mut self, index: usize, id: ConnId) {
        if !self.pool[index].is_dirty {
            self.pool[index].is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Asks for the connection to be closed once all is handed over; [`Outputs::flush`] tells when.
    pub(super) fn close_after(&mut self, id: ConnId, conn: &mut Conn) {
        let index = self.acquire(id, conn);
        self.pool[index].closes = true;
    }

    /// Drops what is queued but not in flight, except the rest of what was begun.
    pub(super) fn discard_queued<I: Io>(&mut self, io: &mut I, conn: &Conn) {
        let Some(output) = self.pool.get_mut(conn.output as usize) else { return };
        let kept = usize::from(output.is_begun);
        let kept_bytes: usize = output.pieces.iter().take(kept).map(Piece::len).sum();
        self.total_bytes -= output.queued_bytes - kept_bytes;
        output.queued_bytes = kept_bytes;
        for piece in output.pieces.drain(kept..) {
            if let Piece::Owned(buffer) = piece {
                io.recycle(buffer);
            }
        }
    }

    /// The send in flight ended; what waits behind it goes at the end of the turn. Returns whether
    /// it had to wait for the peer to take something.
    pub(super) fn sent(&mut self, id: ConnId, conn: &mut Conn, tick: u32) -> bool {
        let Some(output) = self.pool.get_mut(conn.output as usize) else { return false };
        self.total_bytes -= output.in_flight_bytes;
        output.in_flight_bytes = 0;
        let since = output.sending_since.take();
        if output.queued_bytes > 0 || output.closes {
            self.mark_dirty(conn.output as usize, id);
        } else {
            self.release(conn);
        }
        since.is_some_and(|since| tick.wrapping_sub(since) >= limits::OUTPUT_WAITED_TICKS)
    }

    /// Gives the connection's output back, whatever it holds.
    pub(super) fn release(&mut self, conn: &mut Conn) {
        let index = std::mem::replace(&mut conn.output, NO_OUTPUT);
        let Some(output) = self.pool.get_mut(index as usize) else { return };
        self.total_bytes -= output.queued_bytes + output.in_flight_bytes;
        let mut pieces = std::mem::take(&mut output.pieces);
        pieces.clear();
        if pieces.capacity() > ring_limits::SEND_CHUNKS_MAX {
            pieces = VecDeque::new();
        }
        *output = Output { pieces, ..Output::default() };
        self.free.push(index);
    }

    /// Hands what was written in this turn to the driver. `close` is told which connections have
    /// nothing more to send and want to be closed.
    pub(super) fn flush<I: Io>(
        &mut self,
        io: &mut I,
        slab: &mut Slab,
        tick: u32,
        mut close: impl FnMut(&mut I, ConnId),
    ) -> Flushed {
        let mut flushed = Flushed::default();
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(conn) = slab.get_mut(id) else { continue };
            let index = conn.output as usize;
            let Some(output) = self.pool.get_mut(index) else { continue };
            output.is_dirty = false;
            if output.in_flight_bytes == 0 && output.queued_bytes > 0 {
                let bytes = output.submit(io, id, tick);
                if output.in_flight_bytes == 0 {
                    self.total_bytes -= bytes;
                }
                flushed.sends += 1;
                flushed.bytes += bytes as u64;
            }
            if output.queued_bytes == 0 && output.closes {
                output.closes = false;
                close(io, id);
            } else if output.queued_bytes == 0 && output.in_flight_bytes == 0 {
                self.discard_queued(io, conn);
                self.release(conn);
            }
        }
        self.dirty = dirty;
        flushed
    }

    /// Gives memory back that a moment with output for very many connections left behind.
    pub(super) fn trim(&mut self) {
        let used = self.pool.iter().rposition(|output| output.owner.is_some());
        let kept = used.map_or(0, |last| last + 1).max(limits::OUTPUT_POOL_KEPT);
        if self.pool.len() > kept {
            self.pool.truncate(kept);
            self.pool.shrink_to(kept);
            self.free.retain(|&index| (index as usize) < kept);
            self.free.shrink_to(kept);
            self.dirty.shrink_to(kept);
        }
    }

    /// Connections whose peer takes too little for too long.
    pub(super) fn stalled(&self, tick: u32) -> Vec<ConnId> {
        let is_late = |since: u32| tick.wrapping_sub(since) >= self.bounds.stall_ticks;
        self.pool
            .iter()
            .filter(|output| output.sending_since.is_some_and(is_late))
            .filter_map(|output| output.owner)
            .collect()
    }
}

impl Output {
    /// One send of what fits into one.
    fn submit<I: Io>(&mut self, io: &mut I, id: ConnId, tick: u32) -> usize {
        let mut batch = SendBatch::new();
        let mut bytes = 0;
        while batch.chunks() < ring_limits::SEND_CHUNKS_MAX && bytes < limits::OUTPUT_SEND_BYTES_MAX
        {
            let Some(piece) = self.pieces.pop_front() else { break };
            let piece = self.cut(piece, limits::OUTPUT_SEND_BYTES_MAX - bytes);
            bytes += piece.len();
            match piece {
                Piece::Owned(buffer) => batch.push_owned(buffer),
                Piece::Shared { frame, .. } => batch.push_shared(frame),
            }
        }
        self.queued_bytes -= bytes;
        // A refused batch means that the connection broke: its end is on the way as an event.
        if io.send(id, batch).is_ok() {
            self.in_flight_bytes = bytes;
            self.sending_since = Some(tick);
        }
        bytes
    }

    /// What of a piece fits; the rest goes back to the front. A part is no frame, so neither it nor
    /// what follows it can be dropped.
    fn cut(&mut self, piece: Piece, room: usize) -> Piece {
        self.is_begun = piece.len() > room;
        if !self.is_begun {
            return piece;
        }
        let mut rest = match piece {
            Piece::Owned(buffer) => Bytes::from(buffer),
            Piece::Shared { frame, .. } => frame,
        };
        let frame = rest.split_to(room);
        self.pieces.push_front(Piece::Shared { frame: rest, ephemeral: false });
        Piece::Shared { frame, ephemeral: false }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::conn::Phase;
    use super::*;

    const BOUNDS: Bounds =
        Bounds { budget_bytes: 100, burst_bytes: 100, stall_ticks: 1, shard_bytes: 1 << 20 };

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn what_a_crowd_needed_is_given_back_and_what_is_in_use_stays() {
        let (mut outputs, mut slab) = (Outputs::new(BOUNDS), Slab::default());
        let count = 10 * limits::OUTPUT_POOL_KEPT as u32;
        for slot in 0..count {
            let conn = slab.insert(id(slot), Phase::Echo);
            outputs.offer_shared(id(slot), conn, &Bytes::from_static(b"hint"), false);
        }
        for slot in (0..count).filter(|slot| *slot != 1_000) {
            outputs.release(slab.get_mut(id(slot)).unwrap());
        }
        outputs.trim();
        assert_eq!((outputs.pool.len(), outputs.in_use(), outputs.total_bytes()), (1_001, 1, 4));
        outputs.release(slab.get_mut(id(1_000)).unwrap());
        outputs.trim();
        assert_eq!((outputs.pool.len(), outputs.in_use()), (limits::OUTPUT_POOL_KEPT, 0));
        assert!(outputs.pool.capacity() < 2 * limits::OUTPUT_POOL_KEPT);
        for slot in 0..count {
            let conn = slab.get_mut(id(slot)).unwrap();
            outputs.offer_shared(id(slot), conn, &Bytes::from_static(b"hint"), false);
        }
        assert_eq!(outputs.in_use(), count as usize);
    }
}
