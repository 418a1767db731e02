//! What happens in a turn beside single events: input and output by phase, timers, the mailbox,
//! drain, and the flush.

use std::time::{Duration, Instant};

use throng_ring::{CloseKind, ConnId, Io};
use throng_wire::v1;

use super::Core;
use super::conn::Phase;
use super::control::Control;
use crate::limits;
use crate::metrics::{CloseReason, Gauges, Snapshot};

/// Where the shard is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Other parts of the process are not up yet.
    Starting,
    Ready,
    /// Clients are told to go elsewhere.
    Draining(Drain),
    /// All sessions are gone; the router and who came late are told, until then at the latest.
    Ending(Instant),
    Ended,
}

/// A drain under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    began: Instant,
    /// The next slot to look at.
    cursor: usize,
    /// Slots when it began.
    slots: usize,
    window: Duration,
    /// Only those are left that have not asked for anything: they are turned away.
    is_last_round: bool,
}

impl Core {
    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Ready
    }

    /// Whether the listeners are closed, and whoever still comes is turned away.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.life, Life::Ending(_) | Life::Draining(Drain { is_last_round: true, .. }))
    }

    /// Bytes came.
    pub(super) fn received<I: Io>(&mut self, io: &mut I, id: ConnId, data: &mut [u8]) {
        let tick = self.ticks.at(io.now());
        let Some(conn) = self.slab.get_mut(id) else { return };
        if matches!(conn.phase, Phase::Link) {
            self.link_received(io, id, data);
            return;
        }
        self.counters.received_bytes += data.len() as u64;
        let frames = self.counters.received_frames;
        if Self::warm_up(self.deadlines.cold_after_ticks, io, id, conn, tick) {
            self.turned_hot(io, id);
        }
        let Some(conn) = self.slab.get_mut(id) else { return };
        match &conn.phase {
            Phase::Echo => self.echo_received(io, id, data),
            Phase::Http(_) => self.http_received(io, id, data),
            Phase::Free | Phase::Closing | Phase::Link => {}
            _ => self.session_received(io, id, data),
        }
        self.count_partial(io, id, self.counters.received_frames > frames);
    }

    /// Counts what a connection has sent of a message or request that is not whole. When all of the
    /// shard's take too much memory, who has been waited for longest is closed.
    fn count_partial<I: Io>(&mut self, io: &mut I, id: ConnId, has_progressed: bool) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        let bytes = conn.partial_bytes();
        if bytes == 0 && !conn.is_partial {
            return;
        }
        conn.is_partial = bytes > 0;
        if !conn.is_partial || has_progressed {
            self.partial.forget(id);
        }
        if conn.is_partial {
            self.partial.set(id, bytes);
        }
        while let Some(longest) = self.partial.take_excess() {
            self.close(io, longest, CloseReason::SlowSender);
        }
    }

    /// A send ended.
    pub(super) fn sent<I: Io>(&mut self, io: &mut I, id: ConnId, is_ok: bool) {
        let tick = self.ticks.at(io.now());
        let Some(conn) = self.slab.get_mut(id) else { return };
        if self.link.is_on(id) {
            if !is_ok {
                self.lose_link(io, "a send failed");
            }
            return;
        }
        if !is_ok {
            self.abort(io, id, CloseReason::PeerGone);
            return;
        }
        if self.outputs.sent(id, conn, tick) {
            conn.last_seen = tick;
        }
        self.let_go(io, id);
    }

    /// How long the next turn may wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let mut until = self.housekeeping_at;
        if let Some(deadline) = self.timers.next_deadline() {
            until = until.min(deadline);
        }
        if !self.is_accepting || matches!(self.life, Life::Draining(_) | Life::Ending(_)) {
            until = until.min(now + limits::DOOR);
        }
        if let Some(at) = self.link.wakes_at() {
            until = until.min(at);
        }
        if !self.backlog.is_empty() || self.link.is_busy() {
            return Duration::ZERO;
        }
        until.saturating_duration_since(now)
    }

    /// Everything after the turn's events. False: the shard has ended.
    pub(super) fn finish_turn<I: Io>(&mut self, io: &mut I) -> bool {
        self.counters.turns += 1;
        let now = io.now();
        let tick = self.ticks.at(now);
        for _ in 0..limits::TIMERS_PER_TURN {
            let Some(slot) = self.timers.expire(now) else { break };
            self.expired(io, slot);
        }
        self.read_mailbox(io);
        if now >= self.housekeeping_at {
            self.housekeeping_at = now + limits::HOUSEKEEPING;
            self.outputs.trim();
            for id in self.outputs.stalled(tick) {
                self.close(io, id, CloseReason::SlowConsumer);
            }
            self.fail_late_requests(io, tick);
        }
        self.tend_link(io);
        self.fan_out(io);
        if !self.is_accepting {
            self.mind_the_door(io, tick);
        }
        match self.life {
            Life::Draining(drain) => self.drain(io, drain),
            Life::Ending(by) if self.slab.used() == 0 || now >= by => self.life = Life::Ended,
            _ => {}
        }
        self.flush(io, tick);
        self.life != Life::Ended
    }

    fn flush<I: Io>(&mut self, io: &mut I, tick: u32) {
        let flushed = self.outputs.flush(io, &mut self.slab, tick, |io, id| {
            io.close(id, CloseKind::Graceful);
        });
        self.flush_link(io);
        self.counters.sends += flushed.sends;
        self.counters.sent_bytes += flushed.bytes;
    }

    fn read_mailbox<I: Io>(&mut self, io: &mut I) {
        while let Ok(control) = self.mailbox.try_recv() {
            match control {
                Control::Ready if self.life == Life::Starting => self.life = Life::Ready,
                Control::Ready => {}
                Control::Keys(keys) => self.keys = Some(keys),
                Control::Snapshot(answer) => {
                    // The asker may have given up: nothing to do about it.
                    let _ = answer.send(self.snapshot());
                }
                Control::Drain => self.begin_drain(io.now()),
                Control::Stop => self.stop(io),
            }
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let handshakes = u64::from(self.admission.handshakes());
        Snapshot {
            shard: self.shard,
            counters: self.counters,
            gauges: Gauges {
                connections: self.clients() as u64,
                handshakes,
                sessions: self.sessions as u64,
                input_bytes: self.partial.bytes() as u64,
                output_bytes: self.outputs.total_bytes() as u64,
                outputs: self.outputs.in_use() as u64,
                requests_in_flight: self.link.requests.len() as u64,
                fanout_bytes: self.backlog.bytes() as u64,
                link_queue_bytes: self.link.waiting_bytes() as u64,
                link_up: u64::from(self.link.is_up()),
            },
            closes: self.closes,
            errors: self.errors,
        }
    }

    fn begin_drain(&mut self, now: Instant) {
        if matches!(self.life, Life::Starting | Life::Ready) {
            let slots = self.slab.len();
            // A few clients need no pacing.
            let needed = limits::DRAIN_PER_CLIENT * self.clients() as u32;
            let window = self.deadlines.drain_window.min(needed);
            let is_last_round = false;
            self.life =
                Life::Draining(Drain { began: now, cursor: 0, slots, window, is_last_round });
        }
    }

    /// Goes through the slots so that the last is reached when the window ends.
    fn drain<I: Io>(&mut self, io: &mut I, mut drain: Drain) {
        if !drain.is_last_round && self.clients() == self.asking {
            self.close_listeners(io);
            let slots = self.slab.len();
            drain = Drain { cursor: 0, slots, is_last_round: true, ..drain };
            self.life = Life::Draining(drain);
        }
        let elapsed = io.now().saturating_duration_since(drain.began);
        let window = drain.window;
        let share = match window.is_zero() || drain.is_last_round {
            true => 1.0,
            false => elapsed.as_secs_f64() / window.as_secs_f64(),
        };
        let reach = ((drain.slots as f64 * share.min(1.0)).ceil() as usize).max(1);
        let turn_end = drain.cursor + limits::DRAIN_SLOTS_PER_TURN;
        while drain.cursor < reach.min(self.slab.len()).min(turn_end) {
            self.send_away(io, drain.cursor as u32);
            drain.cursor += 1;
        }
        if drain.is_last_round && self.asking == 0 {
            self.end(io);
            return;
        }
        let last_call = window + limits::DRAIN_GRACE + limits::CLOSE_DEADLINE;
        if elapsed >= last_call {
            self.stop(io);
            return;
        }
        if share >= 1.0 && drain.cursor >= drain.slots {
            // Those that came while it went on.
            drain.cursor = 0;
            drain.slots = self.slab.len();
        }
        self.life = Life::Draining(drain);
    }

    /// Tells a session to go elsewhere, and others that this is the end. Who is about to ask for
    /// something may do so as long as there are sessions: the answer is that nobody is let in.
    fn send_away<I: Io>(&mut self, io: &mut I, slot: u32) {
        let is_ending = self.is_ending();
        let Some((id, conn)) = self.slab.slot_mut(slot) else { return };
        match conn.phase {
            Phase::Established(_) if !conn.is_leaving => {
                conn.is_leaving = true;
                let grace_ms = limits::DRAIN_GRACE.as_millis() as u32;
                let after_ms = u64::from(self.random.below(grace_ms));
                let reconnect = v1::Reconnect { after_ms, reason: "drain".into() };
                let body = Some(v1::Body::Reconnect(reconnect));
                self.write_frame(io, id, &v1::ServerFrame { id: None, body });
                self.timers.set(slot, io.now() + limits::DRAIN_GRACE);
            }
            Phase::Http(_) if is_ending => self.turn_away(io, id),
            Phase::Established(_) | Phase::Http(_) => {}
            Phase::Free | Phase::Link | Phase::Closing => {}
            Phase::Echo => {
                self.close_with(io, id, CloseReason::Draining, Some(1001), "going away");
            }
            _ => self.close(io, id, CloseReason::Draining),
        }
    }

    /// All clients are gone, but for those that were turned away.
    fn end<I: Io>(&mut self, io: &mut I) {
        self.close_link(io);
        self.life = Life::Ending(io.now() + limits::LINK_CLOSE_DEADLINE);
    }

    fn close_listeners<I: Io>(&mut self, io: &mut I) {
        for listener in std::mem::take(&mut self.listeners) {
            io.close_listener(listener);
        }
    }

    /// Ends at once.
    fn stop<I: Io>(&mut self, io: &mut I) {
        for slot in 0..self.slab.len() as u32 {
            if let Some((id, _)) = self.slab.slot_mut(slot) {
                self.abort(io, id, CloseReason::Stopped);
            }
        }
        self.close_listeners(io);
        self.life = Life::Ended;
    }
}
