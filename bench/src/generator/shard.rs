//! One shard: an engine and its workload, driven step by step over any driver.
//!
//! Order of calls: [`Shard::step`] again and again; [`Shard::take_sample`] at each interval;
//! [`Shard::stop`] once, and steps until [`Shard::is_gone`].

use std::io;
use std::time::{Duration, Instant};

use throng_ring::{Arm, CloseKind, ConnId, Driver, Event, Handler, Io, SendBatch};
use throng_wire::http::UpgradeError;
use throng_wire::ws::{self, Opcode, encode};

use super::acting::Acting;
use super::client::{self, Phase, flag};
use super::engine::Engine;
use super::errno;
use super::settings::{Settings, ShardInfo};
use super::{Cause, Counter, Metric, Sample, Workload};
use crate::limits::{CLOSING_AT_ONCE, RESPONSE_BYTES_MAX};

/// See the module header.
#[derive(Debug)]
pub struct Shard<W> {
    engine: Engine,
    workload: W,
    /// Once stopped: the first client that was not told to close yet.
    closing_from: Option<u32>,
}

impl<W: Workload> Shard<W> {
    /// A shard over a driver whose table has `table_max` slots.
    pub fn new(
        settings: Settings,
        info: ShardInfo,
        table_max: usize,
        start: Instant,
        workload: W,
    ) -> Self {
        let engine = Engine::new(settings, info, table_max, start);
        Self { engine, workload, closing_from: None }
    }

    /// The workload, for its results.
    pub fn workload(&self) -> &W {
        &self.workload
    }

    /// Whether the workload wants nothing more.
    pub fn is_done(&self) -> bool {
        self.workload.is_done()
    }

    /// Does what is due, then one turn of the driver that waits at most until `until`, or until
    /// something else is due.
    ///
    /// # Errors
    /// The driver failed: every connection is lost.
    pub fn step<D: Driver>(&mut self, driver: &mut D, until: Instant) -> io::Result<()> {
        let io = driver.io();
        self.engine.expire(io);
        let due = match &mut self.closing_from {
            None => self.workload.due(&mut Acting::new(io, &mut self.engine)),
            Some(from) => {
                self.engine.close_some(io, from, CLOSING_AT_ONCE);
                None
            }
        };
        self.tell_ends(io);
        self.engine.flush(io);
        let until = [due, self.engine.next_deadline()].into_iter().flatten().fold(until, Ord::min);
        let wait = match self.engine.ended.is_empty() {
            true => until.saturating_duration_since(io.clock()),
            false => Duration::ZERO,
        };
        driver.turn(wait, self)?;
        let io = driver.io();
        self.tell_ends(io);
        self.engine.flush(io);
        Ok(())
    }

    /// What was seen since the last call.
    pub fn take_sample(&mut self, at: Duration, cpu: Duration) -> Sample {
        let open = self.engine.sample.open;
        let mut sample = std::mem::take(&mut self.engine.sample);
        self.engine.sample.open = open;
        sample.at = at;
        sample.cpu = cpu;
        sample
    }

    /// The measured part is over: the workload judges, then every connection is closed.
    pub fn stop<I: Io>(&mut self, io: &mut I) {
        if self.closing_from.is_none() {
            self.workload.stopping(&mut Acting::new(io, &mut self.engine));
            self.engine.is_stopped = true;
            self.closing_from = Some(0);
        }
    }

    /// Whether every connection is gone.
    pub fn is_gone(&self) -> bool {
        self.engine.connections == 0 && self.engine.ended.is_empty()
    }

    /// Connections that are not gone.
    pub fn connections(&self) -> usize {
        self.engine.connections
    }

    /// Tells the workload of connections that are gone. Those that it opens again meanwhile, and
    /// fail at once, are told in the next step.
    fn tell_ends<I: Io>(&mut self, io: &mut I) {
        for _ in 0..self.engine.ended.len() {
            let Some((index, end)) = self.engine.ended.pop_front() else { break };
            let client = self.engine.id(index);
            self.workload.ended(&mut Acting::new(io, &mut self.engine), client, end);
        }
    }

    fn connected<I: Io>(&mut self, io: &mut I, conn: ConnId, result: io::Result<()>) {
        let Some(index) = self.engine.find(conn) else { return };
        if let Err(error) = result {
            self.engine.fail(io, index, errno::of_connect(&error));
            return;
        }
        let now = io.clock();
        let stamp = self.engine.stamp(now);
        let client = &mut self.engine.clients[index as usize];
        let began = std::mem::replace(&mut client.since, stamp);
        client.set_phase(Phase::Upgrading);
        let is_half = client.is(flag::HALF);
        let took = Duration::from_nanos(stamp.saturating_sub(began));
        self.engine.sample.record(Metric::Connect, took);
        if is_half {
            self.engine.cancel_deadline(index);
            io.arm(conn, Arm::Cold);
            return;
        }
        let mut request = io.buffer();
        self.engine.requests.write(self.engine.id(index).0, stamp, &mut request);
        let mut batch = SendBatch::new();
        batch.push_owned(request);
        // Refused only for a connection that is gone, whose end is told by its own event.
        drop(io.send(conn, batch));
        io.arm(conn, Arm::Hot);
        self.engine.set_deadline(index, now + self.engine.settings.deadlines.upgrade);
    }

    fn received<I: Io>(&mut self, io: &mut I, conn: ConnId, data: &mut [u8]) {
        let Some(index) = self.engine.find(conn) else { return };
        let client = &self.engine.clients[index as usize];
        match client.phase() {
            Phase::Upgrading if client.is(flag::HALF) => {}
            Phase::Upgrading => self.upgrade(io, index, data),
            Phase::Open | Phase::Closing => self.frames(io, index, data),
            Phase::Idle | Phase::Connecting | Phase::Ending => {}
        }
    }

    /// Bytes of the answer to the upgrade; frames may follow in the same piece.
    fn upgrade<I: Io>(&mut self, io: &mut I, index: u32, data: &mut [u8]) {
        let engine = &mut self.engine;
        let mut head = engine.heads.remove(&index);
        if let Some(head) = &mut head {
            head.extend_from_slice(data);
        }
        let bytes: &mut [u8] = head.as_deref_mut().unwrap_or(data);
        let nonce = engine.clients[index as usize].since;
        match engine.requests.answer(engine.id(index).0, nonce, bytes) {
            Ok(None) if bytes.len() < RESPONSE_BYTES_MAX => {
                let bytes = bytes.to_vec();
                engine.heads.insert(index, bytes);
            }
            Ok(None) => engine.fail(io, index, (Cause::BadUpgrade, 0)),
            Err(error) => engine.fail(io, index, (Cause::BadUpgrade, status(&error))),
            Ok(Some(consumed)) => {
                self.opened(io, index);
                let rest = &mut bytes[consumed..];
                if !rest.is_empty() && self.engine.clients[index as usize].phase() == Phase::Open {
                    self.frames(io, index, rest);
                }
            }
        }
    }

    fn opened<I: Io>(&mut self, io: &mut I, index: u32) {
        let now = io.clock();
        let engine = &mut self.engine;
        let stamp = engine.stamp(now);
        let client = &mut engine.clients[index as usize];
        let began = std::mem::replace(&mut client.since, stamp);
        client.set_phase(Phase::Open);
        client.decoder = client::decoder(engine.settings.message_bytes_max);
        engine.sample.record(Metric::Upgrade, Duration::from_nanos(stamp.saturating_sub(began)));
        engine.set_deadline(index, now + engine.settings.deadlines.hello);
        let client = engine.id(index);
        self.workload.opened(&mut Acting::within(io, engine, now), client);
        self.settle(io, index);
    }

    fn frames<I: Io>(&mut self, io: &mut I, index: u32, data: &mut [u8]) {
        let now = io.clock();
        let spare = client::decoder(0);
        let mut decoder =
            std::mem::replace(&mut self.engine.clients[index as usize].decoder, spare);
        let mut input = ws::Input::new(data);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(ws::Event::Text(text))) => {
                    self.message(io, index, now, Opcode::Text, text.as_bytes());
                }
                Ok(Some(ws::Event::Binary(bytes))) => {
                    self.message(io, index, now, Opcode::Binary, bytes);
                }
                Ok(Some(ws::Event::Ping(payload))) => self.pong(index, payload),
                Ok(Some(ws::Event::Pong(_))) => self.engine.answered(index, now),
                Ok(Some(ws::Event::Close(close))) => self.server_closes(io, index, close),
                Ok(None) => break,
                Err(_) => self.engine.lost(io, index, (Cause::ProtocolError, 0)),
            }
        }
        self.engine.clients[index as usize].decoder = decoder;
        self.settle(io, index);
    }

    /// A client that is done for the moment waits cold if it shall.
    fn settle<I: Io>(&mut self, io: &mut I, index: u32) {
        let client = &self.engine.clients[index as usize];
        let waits = client.is(flag::ESTABLISHED) && !client.is(flag::SILENT);
        if self.engine.settings.cold && waits {
            io.arm(client.conn(), Arm::Cold);
        }
    }

    #[inline]
    fn message<I: Io>(
        &mut self,
        io: &mut I,
        index: u32,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
    ) {
        let engine = &mut self.engine;
        let client = &mut engine.clients[index as usize];
        if client.phase() != Phase::Open {
            return;
        }
        if !client.is(flag::HEARD) {
            client.set(flag::HEARD);
            let since = client.since;
            let opened = engine.instant(since);
            let took = now.saturating_duration_since(opened);
            engine.sample.record(Metric::FirstMessage, took);
        }
        engine.sample.add(Counter::Received, 1);
        engine.sample.add(Counter::BytesReceived, payload.len() as u64);
        let client = engine.id(index);
        self.workload.message(&mut Acting::within(io, engine, now), client, opcode, payload);
    }

    fn pong(&mut self, index: u32, payload: &[u8]) {
        let mask = Some(self.engine.random.mask());
        let client = &mut self.engine.clients[index as usize];
        if client.phase() == Phase::Open {
            let output = self.engine.outputs.of(client);
            encode::pong(&mut output.queued, payload, mask);
            self.engine.list(index);
        }
    }

    /// The server's close frame: the answer to ours, or its own wish.
    fn server_closes<I: Io>(&mut self, io: &mut I, index: u32, close: ws::Close<'_>) {
        let engine = &mut self.engine;
        let client = &mut engine.clients[index as usize];
        match client.phase() {
            Phase::Closing => engine.end(io, index, CloseKind::Graceful),
            Phase::Open if client.is(flag::EXPECTED) => {
                engine.end(io, index, CloseKind::Graceful);
            }
            Phase::Open => {
                let conn = client.conn();
                if !io.sending(conn) {
                    let mut reply = io.buffer();
                    encode::close_reply(&mut reply, close, Some(engine.random.mask()));
                    let mut batch = SendBatch::new();
                    batch.push_owned(reply);
                    drop(io.send(conn, batch));
                }
                let code = close.code.map_or(NO_CLOSE_CODE, ws::CloseCode::get);
                let failure = (Cause::Closed, u32::from(code));
                engine.fail_with(io, index, failure, CloseKind::Graceful);
            }
            _ => {}
        }
    }

    fn receive_ended<I: Io>(&mut self, io: &mut I, conn: ConnId, result: &io::Result<()>) {
        let Some(index) = self.engine.find(conn) else { return };
        let client = &self.engine.clients[index as usize];
        let broken = client.is(flag::BROKEN);
        let failure = match (client.phase(), result) {
            (Phase::Upgrading, Ok(())) if broken => (Cause::ResetInHandshake, 0),
            (Phase::Upgrading, Ok(())) => (Cause::EndedInHandshake, 0),
            (Phase::Upgrading, Err(error)) => errno::of_upgrade(error),
            (Phase::Open, Ok(())) if broken => (Cause::Reset, 0),
            (Phase::Open, Ok(())) => (Cause::Ended, 0),
            (Phase::Open, Err(error)) => errno::of_open(error),
            (Phase::Closing, Ok(())) => {
                self.engine.end(io, index, CloseKind::Graceful);
                return;
            }
            (Phase::Closing, Err(_)) => {
                self.engine.end(io, index, CloseKind::Abort);
                return;
            }
            _ => return,
        };
        self.engine.lost(io, index, failure);
    }

    fn sent<I: Io>(&mut self, io: &mut I, conn: ConnId, result: &io::Result<()>) {
        let Some(index) = self.engine.find(conn) else { return };
        let engine = &mut self.engine;
        let client = &mut engine.clients[index as usize];
        match (result, client.phase()) {
            (Err(error), Phase::Upgrading) => {
                engine.broken(io, index, errno::of_upgrade(error));
            }
            (Err(error), Phase::Open) => engine.broken(io, index, errno::of_open(error)),
            (Err(_), _) => engine.end(io, index, CloseKind::Abort),
            (Ok(()), _) => {
                let Some(output) = engine.outputs.get_mut(client) else { return };
                output.in_flight = 0;
                if !output.queued.is_empty() {
                    engine.list(index);
                } else if let Some(output) = engine.outputs.release(client) {
                    io.recycle(output.queued);
                }
            }
        }
    }
}

/// Detail of a close frame without a code, as RFC 6455 section 7.1.5 names it.
const NO_CLOSE_CODE: u16 = 1005;

/// Status of an answer that was no upgrade; 0 if it was no HTTP.
fn status(error: &UpgradeError) -> u32 {
    match error {
        UpgradeError::Status(status) => u32::from(*status),
        UpgradeError::Malformed(_) => 0,
        UpgradeError::Handshake(_) => 101,
    }
}

impl<I: Io, W: Workload> Handler<I> for Shard<W> {
    fn event(&mut self, io: &mut I, event: Event<'_>) {
        match event {
            Event::Connected { conn, result } => self.connected(io, conn, result),
            Event::Received { conn, data } => self.received(io, conn, data),
            Event::ReceiveEnd { conn, result } => self.receive_ended(io, conn, &result),
            Event::Sent { conn, result } => self.sent(io, conn, &result),
            Event::Closed { conn } => {
                if let Some(index) = self.engine.find(conn) {
                    self.engine.gone(io, index);
                }
            }
            Event::Accepted { .. } | Event::AcceptFailed { .. } | Event::Woken => {}
        }
    }
}
