//! The engine at work for a workload: its side of [`Turn`].

use std::time::{Duration, Instant};

use throng_ring::{Arm, CloseKind, Io};
use throng_wire::ws::{Opcode, encode};

use super::client::{Phase, flag};
use super::engine::Engine;
use super::sample::nanoseconds;
use super::{Cause, ClientId, Counter, Metric, Sample, Turn};
use crate::limits::OUTPUT_BYTES_MIN;

/// An engine at work: what a workload is given.
pub(super) struct Acting<'a, I: Io> {
    io: &'a mut I,
    pub(super) engine: &'a mut Engine,
    /// Within an event: the moment at which it was taken up.
    moment: Option<Instant>,
}

impl<'a, I: Io> Acting<'a, I> {
    /// Between events: the clock is read anew on each call.
    pub(super) fn new(io: &'a mut I, engine: &'a mut Engine) -> Self {
        Self { io, engine, moment: None }
    }

    /// Within an event that was taken up at `moment`.
    pub(super) fn within(io: &'a mut I, engine: &'a mut Engine, moment: Instant) -> Self {
        Self { io, engine, moment: Some(moment) }
    }

    fn start_one(&mut self, client: ClientId, intended: Instant, flags: u8) {
        let Some(index) = self.engine.info.index(client) else { return };
        let is_idle = self.engine.clients[index as usize].phase() == Phase::Idle;
        if is_idle && !self.engine.is_stopped {
            self.act(intended);
            self.engine.start_connection(self.io, index, intended, flags);
        }
    }

    /// The client's place in the table, if its WebSocket is open.
    #[inline]
    fn open_index(&self, client: ClientId) -> Option<u32> {
        let index = self.engine.info.index(client)?;
        (self.engine.clients[index as usize].phase() == Phase::Open).then_some(index)
    }

    fn connected_index(&self, client: ClientId) -> Option<u32> {
        let index = self.engine.info.index(client)?;
        let phase = self.engine.clients[index as usize].phase();
        (!matches!(phase, Phase::Idle | Phase::Ending)).then_some(index)
    }
}

impl<I: Io> Turn for Acting<'_, I> {
    #[inline]
    fn now(&self) -> Instant {
        self.moment.unwrap_or_else(|| self.io.clock())
    }

    fn start(&self) -> Instant {
        self.engine.start
    }

    fn open(&mut self, client: ClientId, intended: Instant) {
        self.start_one(client, intended, 0);
    }

    fn open_half(&mut self, client: ClientId, intended: Instant) {
        self.start_one(client, intended, flag::HALF | flag::EXPECTED);
    }

    fn expect_end(&mut self, client: ClientId) {
        let Some(index) = self.connected_index(client) else { return };
        self.engine.clients[index as usize].set(flag::EXPECTED);
        self.engine.cancel_deadline(index);
    }

    fn established(&mut self, client: ClientId) {
        let Some(index) = self.open_index(client) else { return };
        let now = self.now();
        let engine = &mut *self.engine;
        let stamp = engine.stamp(now);
        let record = &engine.clients[index as usize];
        if record.is(flag::ESTABLISHED | flag::EXPECTED) {
            return;
        }
        let (intended, opened) = (engine.instant(record.mark), engine.instant(record.since));
        if record.is(flag::SPOKE) {
            engine.sample.record(Metric::Hello, now.saturating_duration_since(opened));
        }
        engine.sample.record(Metric::Establish, now.saturating_duration_since(intended));
        engine.sample.add(Counter::Established, 1);
        engine.sample.open += 1;
        engine.clients[index as usize].set(flag::ESTABLISHED);
        engine.cancel_deadline(index);
        if let Some(interval) = engine.settings.heartbeat.as_ref().map(|beat| beat.interval) {
            let into = engine.random.below(nanoseconds(interval));
            engine.clients[index as usize].mark = stamp.saturating_sub(into);
            engine.set_deadline(index, now + interval.saturating_sub(Duration::from_nanos(into)));
        }
    }

    fn is_established(&self, client: ClientId) -> bool {
        let index = self.open_index(client);
        index.is_some_and(|index| self.engine.clients[index as usize].is(flag::ESTABLISHED))
    }

    #[inline]
    fn send(&mut self, client: ClientId, opcode: Opcode, payload: &[u8]) {
        let Some(index) = self.open_index(client) else { return };
        let mask = Some(self.engine.random.mask());
        let record = &mut self.engine.clients[index as usize];
        record.set(flag::SPOKE);
        let output = self.engine.outputs.of(record);
        if output.queued.capacity() == 0 {
            output.queued = self.io.buffer();
            output.queued.reserve(OUTPUT_BYTES_MIN);
        }
        encode::frame(&mut output.queued, opcode, payload, mask);
        if !std::mem::replace(&mut output.is_listed, true) {
            self.engine.listed.push(index);
        }
        self.engine.sample.add(Counter::Sent, 1);
        self.engine.sample.add(Counter::BytesSent, payload.len() as u64);
    }

    fn queued_bytes(&self, client: ClientId) -> usize {
        let index = self.engine.info.index(client);
        let output =
            index.and_then(|index| self.engine.outputs.get(&self.engine.clients[index as usize]));
        output.map_or(0, |output| output.queued.len() + output.in_flight)
    }

    fn read(&mut self, client: ClientId, on: bool) {
        let Some(index) = self.open_index(client) else { return };
        let record = &mut self.engine.clients[index as usize];
        if on {
            record.clear(flag::SILENT);
            self.io.arm(record.conn(), Arm::Hot);
        } else {
            record.set(flag::SILENT);
            self.io.arm(record.conn(), Arm::Off);
        }
    }

    fn close(&mut self, client: ClientId) {
        if let Some(index) = self.open_index(client) {
            self.engine.begin_close(self.io, index);
        }
    }

    fn cut(&mut self, client: ClientId) {
        if let Some(index) = self.connected_index(client) {
            self.engine.end(self.io, index, CloseKind::Abort);
        }
    }

    fn fail(&mut self, client: ClientId, cause: Cause, detail: u32) {
        if let Some(index) = self.connected_index(client) {
            self.engine.fail(self.io, index, (cause, detail));
        }
    }

    fn lateness_max(&self) -> Duration {
        self.engine.settings.lateness_max
    }

    #[inline]
    fn sample(&mut self) -> &mut Sample {
        &mut self.engine.sample
    }
}
