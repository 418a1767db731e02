//! The engine of one shard: what a workload asks for, and every deadline, over any driver.
//!
//! Owns the clients' records and their output. [`super::shard`] drives it: events of the driver
//! (module `events`), then [`Engine::expire`], the workload, [`Engine::flush`]. Everything that was
//! queued for a client since the last flush leaves as one send.
//!
//! Books: a connection is counted as started by [`super::Turn::open`] and then ends in exactly one
//! of `Engine::fail` (counted with its cause at once) or as asked (counted when it is gone). The
//! workload is told of either by `ended`, after the driver's slot is free.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use throng_ring::wheel::Wheel;
use throng_ring::{Arm, CloseKind, ConnId, Io, SendBatch};
use throng_wire::ws::{CloseCode, encode};

use super::client::{self, Client, Outputs, Phase, flag};
use super::errno::{self, Failure};
use super::random::{Random, mix};
use super::sample::nanoseconds;
use super::settings::{Beat, Heartbeat, Settings, ShardInfo};
use super::target::Requests;
use super::{Cause, ClientId, Counter, End, Metric, Sample};
use crate::limits::{EXPIRATIONS_PER_STEP, LAST_WORDS, TICK};

/// Times are kept as nanoseconds since this long before the start, so that a heartbeat's jitter can
/// reach back behind it.
const BEFORE_START: Duration = Duration::from_secs(24 * 3600);

/// See the module header.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) info: ShardInfo,
    pub(super) requests: Requests,
    pub(super) clients: Vec<Client>,
    of_slot: Vec<u32>,
    pub(super) outputs: Outputs,
    /// Clients with output that is not on its way.
    pub(super) listed: Vec<u32>,
    /// Upgrade answers that came in part.
    pub(super) heads: HashMap<u32, Vec<u8>>,
    /// Why connections that are ending failed.
    failures: HashMap<u32, Failure>,
    /// Ends that the workload is still to be told.
    pub(super) ended: VecDeque<(u32, End)>,
    deadlines: Wheel,
    pub(super) random: Random,
    pub(super) sample: Sample,
    pub(super) start: Instant,
    table_max: usize,
    /// Connections in whatever phase.
    pub(super) connections: usize,
    /// Connections whose WebSocket or TCP close is under way.
    pub(super) closing: usize,
    /// The measured part is over: nothing is opened any more.
    pub(super) is_stopped: bool,
}

impl Engine {
    /// An engine whose driver's table has `table_max` slots.
    #[must_use]
    pub fn new(settings: Settings, info: ShardInfo, table_max: usize, start: Instant) -> Self {
        let mut clients = Vec::new();
        clients.resize_with(info.count() as usize, Client::idle);
        Self {
            requests: Requests::new(&settings.target, settings.seed),
            random: Random::new(mix(settings.seed, u64::from(info.shard))),
            settings,
            info,
            clients,
            of_slot: Vec::new(),
            outputs: Outputs::default(),
            listed: Vec::new(),
            heads: HashMap::new(),
            failures: HashMap::new(),
            ended: VecDeque::new(),
            deadlines: Wheel::new(TICK, start),
            sample: Sample::default(),
            start,
            table_max,
            connections: 0,
            closing: 0,
            is_stopped: false,
        }
    }

    pub(super) fn stamp(&self, at: Instant) -> u64 {
        nanoseconds(BEFORE_START + at.saturating_duration_since(self.start))
    }

    pub(super) fn instant(&self, stamp: u64) -> Instant {
        (self.start + Duration::from_nanos(stamp)).checked_sub(BEFORE_START).unwrap_or(self.start)
    }

    /// The client of a connection, unless the connection is a former one.
    pub(super) fn find(&self, conn: ConnId) -> Option<u32> {
        let index = *self.of_slot.get(conn.slot as usize)?;
        let client = self.clients.get(index as usize)?;
        (client.conn() == conn && client.phase() != Phase::Idle).then_some(index)
    }

    pub(super) fn set_deadline(&mut self, index: u32, at: Instant) {
        self.deadlines.set(index, at);
    }

    pub(super) fn cancel_deadline(&mut self, index: u32) {
        self.deadlines.cancel(index);
    }

    /// When [`Engine::expire`] should be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next_deadline()
    }

    /// Acts on the deadlines that have passed, a bounded number of them.
    pub fn expire<I: Io>(&mut self, io: &mut I) {
        let now = io.clock();
        for _ in 0..EXPIRATIONS_PER_STEP {
            let Some(index) = self.deadlines.expire(now) else { break };
            self.expired(io, index, now);
        }
    }

    fn expired<I: Io>(&mut self, io: &mut I, index: u32, now: Instant) {
        let client = &self.clients[index as usize];
        match client.phase() {
            Phase::Idle => {}
            Phase::Connecting => self.fail(io, index, (Cause::ConnectTimeout, 0)),
            Phase::Upgrading if client.is(flag::BROKEN) => {
                self.fail(io, index, (Cause::ResetInHandshake, 0));
            }
            Phase::Upgrading => self.fail(io, index, (Cause::UpgradeTimeout, 0)),
            Phase::Open if client.is(flag::BROKEN) => self.lost(io, index, (Cause::Reset, 0)),
            Phase::Open if client.is(flag::ESTABLISHED) => self.beat(io, index, now),
            Phase::Open => self.fail(io, index, (Cause::HelloTimeout, 0)),
            Phase::Closing => self.end(io, index, CloseKind::Abort),
            Phase::Ending => io.close(self.clients[index as usize].conn(), CloseKind::Abort),
        }
    }

    /// The heartbeat's moment, or that of the pong.
    fn beat<I: Io>(&mut self, io: &mut I, index: u32, now: Instant) {
        let Some(Heartbeat { interval, .. }) = self.settings.heartbeat else { return };
        let client = &self.clients[index as usize];
        if client.is(flag::PINGED) {
            self.lost(io, index, (Cause::HeartbeatTimeout, 0));
            return;
        }
        let due = self.instant(client.mark) + interval;
        if now < due {
            self.set_deadline(index, due);
            return;
        }
        let awaits_pong = self.write_beat(index);
        let awaits_pong = awaits_pong && !self.clients[index as usize].is(flag::SILENT);
        let stamp = self.stamp(now);
        let client = &mut self.clients[index as usize];
        client.mark = stamp;
        if awaits_pong {
            client.since = stamp;
            client.set(flag::PINGED);
        }
        let patience = if awaits_pong { self.settings.deadlines.pong } else { interval };
        self.sample.add(Counter::HeartbeatsSent, 1);
        self.set_deadline(index, now + patience);
    }

    /// Queues a heartbeat. True if it has an answer.
    fn write_beat(&mut self, index: u32) -> bool {
        let mask = Some(self.random.mask());
        let client = &mut self.clients[index as usize];
        let output = self.outputs.of(client);
        let is_ping = match self.settings.heartbeat.as_ref().map(|heartbeat| &heartbeat.beat) {
            Some(Beat::Message(opcode, payload)) => {
                encode::frame(&mut output.queued, *opcode, payload, mask);
                false
            }
            _ => {
                encode::ping(&mut output.queued, &[], mask);
                true
            }
        };
        self.list(index);
        is_ping
    }

    /// The pong came.
    pub(super) fn answered(&mut self, index: u32, now: Instant) {
        let Some(Heartbeat { interval, .. }) = self.settings.heartbeat else { return };
        let client = &mut self.clients[index as usize];
        if !client.is(flag::PINGED) {
            return;
        }
        client.clear(flag::PINGED);
        let since = client.since;
        let sent = self.instant(since);
        self.sample.add(Counter::HeartbeatsAnswered, 1);
        self.sample.record(Metric::Heartbeat, now.saturating_duration_since(sent));
        self.set_deadline(index, sent + interval);
    }

    /// Has a client flushed at the end of the step.
    pub(super) fn list(&mut self, index: u32) {
        let output = self.outputs.of(&mut self.clients[index as usize]);
        if !std::mem::replace(&mut output.is_listed, true) {
            self.listed.push(index);
        }
    }

    /// Sends what was queued.
    pub fn flush<I: Io>(&mut self, io: &mut I) {
        let stamp = self.stamp(io.now());
        for index in std::mem::take(&mut self.listed) {
            self.flush_one(io, index, stamp);
        }
    }

    fn flush_one<I: Io>(&mut self, io: &mut I, index: u32, stamp: u64) {
        let client = &mut self.clients[index as usize];
        let Some(output) = self.outputs.get_mut(client) else { return };
        output.is_listed = false;
        if output.in_flight > 0 || output.queued.is_empty() {
            return;
        }
        let queued = std::mem::take(&mut output.queued);
        let bytes = queued.len();
        let mut batch = SendBatch::new();
        batch.push_owned(queued);
        // Refused only for a connection that is gone, whose end is told by its own event.
        if io.send(client.conn(), batch).is_ok() {
            output.in_flight = bytes;
            if client.is(flag::ESTABLISHED) {
                client.mark = stamp;
            }
        }
    }

    /// A connection broke or was ended by the server.
    pub(super) fn lost<I: Io>(&mut self, io: &mut I, index: u32, failure: Failure) {
        if self.clients[index as usize].is(flag::EXPECTED) {
            self.end(io, index, CloseKind::Abort);
        } else {
            self.fail(io, index, failure);
        }
    }

    /// Counts a failed connection and cuts it.
    pub(super) fn fail<I: Io>(&mut self, io: &mut I, index: u32, failure: Failure) {
        self.fail_with(io, index, failure, CloseKind::Abort);
    }

    /// The same, with what is in flight sent first if asked.
    pub(super) fn fail_with<I: Io>(
        &mut self,
        io: &mut I,
        index: u32,
        failure: Failure,
        kind: CloseKind,
    ) {
        if matches!(self.clients[index as usize].phase(), Phase::Idle | Phase::Ending) {
            return;
        }
        self.sample.fail(failure.0, failure.1);
        self.failures.insert(index, failure);
        self.end(io, index, kind);
    }

    /// Ends a connection; a graceful end has its deadline.
    pub(super) fn end<I: Io>(&mut self, io: &mut I, index: u32, kind: CloseKind) {
        let client = &mut self.clients[index as usize];
        if matches!(client.phase(), Phase::Idle | Phase::Ending) {
            return;
        }
        self.closing += usize::from(client.phase() != Phase::Closing);
        client.set_phase(Phase::Ending);
        io.close(client.conn(), kind);
        self.disestablish(index);
        match kind {
            CloseKind::Abort => self.cancel_deadline(index),
            CloseKind::Graceful => {
                self.set_deadline(index, io.clock() + self.settings.deadlines.close);
            }
        }
    }

    pub(super) fn disestablish(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        if client.is(flag::ESTABLISHED) {
            client.clear(flag::ESTABLISHED);
            self.sample.open -= 1;
        }
    }

    /// The driver is done with the connection: the client may connect again.
    pub(super) fn gone<I: Io>(&mut self, io: &mut I, index: u32) {
        self.cancel_deadline(index);
        self.disestablish(index);
        let client = &mut self.clients[index as usize];
        self.closing -= usize::from(matches!(client.phase(), Phase::Closing | Phase::Ending));
        client.set_phase(Phase::Idle);
        client.decoder = client::decoder(0);
        client.flags = 0;
        if let Some(output) = self.outputs.release(client) {
            io.recycle(output.queued);
        }
        self.heads.remove(&index);
        self.connections -= 1;
        let end = match self.failures.remove(&index) {
            Some((cause, detail)) => End::Failed { cause, detail },
            None => {
                self.sample.add(Counter::ClosedAsAsked, 1);
                End::AsAsked
            }
        };
        self.ended.push_back((index, end));
    }

    pub(super) fn start_connection<I: Io>(
        &mut self,
        io: &mut I,
        index: u32,
        intended: Instant,
        flags: u8,
    ) {
        let now = io.clock();
        self.sample.add(Counter::Started, 1);
        let number = self.info.client(index).0;
        let conn = match io.connect(self.requests.connect_options(number)) {
            Ok(conn) => conn,
            Err(error) => {
                let (cause, detail) = errno::of_start(&error, io.connections() >= self.table_max);
                self.sample.fail(cause, detail);
                self.ended.push_back((index, End::Failed { cause, detail }));
                return;
            }
        };
        let slot = conn.slot as usize;
        if slot >= self.of_slot.len() {
            self.of_slot.resize(slot + 1, u32::MAX);
        }
        self.of_slot[slot] = index;
        let (mark, since) = (self.stamp(intended), self.stamp(now));
        let client = &mut self.clients[index as usize];
        client.set_conn(conn);
        client.set_phase(Phase::Connecting);
        (client.mark, client.since, client.flags) = (mark, since, flags);
        self.connections += 1;
        self.set_deadline(index, now + self.settings.deadlines.connect);
    }

    /// A send failed. What the server said before is read first, if anything is.
    pub(super) fn broken<I: Io>(&mut self, io: &mut I, index: u32, failure: Failure) {
        let until = io.clock() + LAST_WORDS;
        let client = &mut self.clients[index as usize];
        if client.is(flag::SILENT) {
            self.lost(io, index, failure);
        } else if !client.is(flag::BROKEN) {
            client.set(flag::BROKEN);
            self.set_deadline(index, until);
        }
    }

    /// Begins the end of every connection, as many at a time as may be closing. Called again until
    /// [`Engine::connections`] is 0.
    pub(super) fn close_some<I: Io>(&mut self, io: &mut I, from: &mut u32, at_once: usize) {
        while self.closing < at_once && (*from as usize) < self.clients.len() {
            let index = *from;
            *from += 1;
            match self.clients[index as usize].phase() {
                Phase::Idle | Phase::Closing | Phase::Ending => {}
                Phase::Open => self.begin_close(io, index),
                Phase::Connecting | Phase::Upgrading => self.end(io, index, CloseKind::Abort),
            }
        }
    }

    /// Sends a close frame and waits for the server's.
    pub(super) fn begin_close<I: Io>(&mut self, io: &mut I, index: u32) {
        let mask = Some(self.random.mask());
        let deadline = io.clock() + self.settings.deadlines.close;
        self.disestablish(index);
        let client = &mut self.clients[index as usize];
        if client.is(flag::SILENT) {
            // It must read to see the answer.
            io.arm(client.conn(), Arm::Hot);
        }
        client.set_phase(Phase::Closing);
        self.closing += 1;
        let output = self.outputs.of(client);
        encode::close(&mut output.queued, CloseCode::NORMAL, "", mask);
        self.list(index);
        self.set_deadline(index, deadline);
    }
}

/// The client of a place in the table.
impl Engine {
    pub(super) fn id(&self, index: u32) -> ClientId {
        self.info.client(index)
    }
}
