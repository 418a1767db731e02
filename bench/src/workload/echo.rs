//! Messages to an echo server: as fast as they come back (closed loop), or at a rate (open loop).
//!
//! In the closed loop every connection keeps `depth` messages under way. In the open loop each
//! message has its moment in the schedule; a message whose connection has `depth` under way waits,
//! and its latency goes on counting from its moment: what a server that stalls keeps from being
//! sent is not left out (coordinated omission). The uncorrected twin counts from the sending.
//! What is unanswered at the end is recorded with its age.
//!
//! Every echo is compared with what was sent, byte by byte, in order. Traffic flows as soon as a
//! connection is open; measured are whole seconds of the run, from the first after all connections
//! of all shards are open and a warm-up has passed, so that both sides' readings at the seconds'
//! ends bracket exactly what was measured.

pub mod figures;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use throng_wire::ws::Opcode;

use crate::generator::{
    Arrival, Arrivals, Cause, ClientArrivals, ClientId, Counter, End, Metric, ShardInfo, Turn,
    Workload,
};
use crate::limits::{ECHO_CONNECT_RATE, GATE_POLL, INTERVAL};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EchoPlan {
    /// Payload of a message, in bytes.
    pub size_bytes: usize,
    /// Messages under way per connection at most.
    pub depth: usize,
    /// The open loop's schedule, over all connections; `None`: closed loop.
    pub rate: Option<Arrival>,
    /// From the last open connection to the first measured second, at least.
    pub warm_up: Duration,
    /// Measured, rounded up to whole seconds.
    pub seconds: Duration,
}

/// The measured seconds, agreed on by the shards.
#[derive(Debug)]
pub struct Window {
    /// Clients that are neither open nor lost.
    unsettled: AtomicU32,
    begin: OnceLock<Duration>,
    length: Duration,
}

impl Window {
    /// For a run of so many clients.
    #[must_use]
    pub fn new(plan: &EchoPlan, clients: u32) -> Arc<Self> {
        let seconds = plan.seconds.as_nanos().div_ceil(INTERVAL.as_nanos()).max(1);
        let length = INTERVAL * u32::try_from(seconds).unwrap_or(u32::MAX);
        Arc::new(Self { unsettled: AtomicU32::new(clients), begin: OnceLock::new(), length })
    }

    /// Begin and end since the start of the run, once they are known.
    #[must_use]
    pub fn span(&self) -> Option<(Duration, Duration)> {
        self.begin.get().map(|&begin| (begin, begin + self.length))
    }

    /// A client is open or lost; the last one settles the window.
    fn settle(&self, elapsed: Duration, warm_up: Duration) {
        if self.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            let seconds = (elapsed + warm_up).as_nanos() / INTERVAL.as_nanos() + 1;
            let _ = self.begin.set(INTERVAL * u32::try_from(seconds).unwrap_or(u32::MAX));
        }
    }
}

/// A message under way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    intended: Instant,
    sent: Instant,
}

/// One connection.
#[derive(Debug, Default)]
struct Line {
    is_open: bool,
    is_settled: bool,
    /// Sequence number of the next echo.
    next_echo: u32,
    /// Messages under way, oldest first.
    under_way: VecDeque<UnderWay>,
    /// Moments of messages that wait for one of those.
    waiting: VecDeque<Instant>,
}

/// The echo traffic of one shard.
#[derive(Debug)]
pub struct Echo {
    plan: EchoPlan,
    info: ShardInfo,
    window: Arc<Window>,
    connects: ClientArrivals,
    /// The open loop's schedule, from the moment at which all are connected.
    messages: Option<Arrivals>,
    lines: Vec<Line>,
    next_line: usize,
    /// Pattern of all messages; its first bytes are overwritten by client and sequence number.
    payload: Vec<u8>,
    measured: Option<(Instant, Instant)>,
    is_done: bool,
}

/// Bytes at the start of a message that tell client and sequence number.
const STAMP_BYTES: usize = 8;

impl Echo {
    /// The traffic of a shard. The window must be the same for all shards.
    #[must_use]
    pub fn new(plan: EchoPlan, info: ShardInfo, window: Arc<Window>) -> Self {
        let (shard, shards) = (info.shard as usize, info.shards as usize);
        let messages = |rate| Arrivals::new(rate, info.seed, shard, shards);
        let connects = Arrival::Constant { rate: ECHO_CONNECT_RATE };
        let mut lines = Vec::new();
        lines.resize_with(info.count() as usize, Line::default);
        Self {
            connects: ClientArrivals::new(connects, &info, info.clients),
            messages: plan.rate.map(messages),
            lines,
            next_line: 0,
            payload: (0..plan.size_bytes).map(|at| (at % 251) as u8).collect(),
            measured: None,
            is_done: false,
            plan,
            info,
            window,
        }
    }

    fn place(&self, client: ClientId) -> usize {
        self.info.place(client)
    }

    fn client(&self, place: usize) -> ClientId {
        self.info.client(place as u32)
    }

    fn connect(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        while let Some((client, _)) = self.connects.take_due(turn.start(), turn.now()) {
            // Paced, but not what is measured: that one comes late is no fault of the run.
            turn.open(client, turn.now());
        }
        self.connects.next(turn.start())
    }

    fn settle(&mut self, turn: &dyn Turn, place: usize) {
        if !std::mem::replace(&mut self.lines[place].is_settled, true) {
            let elapsed = turn.now().saturating_duration_since(turn.start());
            self.window.settle(elapsed, self.plan.warm_up);
        }
    }

    /// Sends what the open loop's schedule says; the moment of the next message.
    fn send_due(&mut self, turn: &mut dyn Turn, from: Instant) -> Option<Instant> {
        while let Some((_, intended)) = self.messages.as_mut()?.take_due(from, turn.now()) {
            turn.count(Counter::Intended, 1);
            turn.act(intended);
            let place = self.next_open_line()?;
            self.lines[place].waiting.push_back(intended);
            self.fill(turn, place);
        }
        Some(from + self.messages.as_ref()?.peek().1)
    }

    fn next_open_line(&mut self) -> Option<usize> {
        let count = self.lines.len();
        let mut places = (self.next_line..count).chain(0..self.next_line);
        let place = places.find(|&place| self.lines[place].is_open)?;
        self.next_line = (place + 1) % count;
        Some(place)
    }

    /// Sends what waits, as far as the depth allows.
    fn fill(&mut self, turn: &mut dyn Turn, place: usize) {
        let now = turn.now();
        while self.lines[place].under_way.len() < self.plan.depth {
            let Some(intended) = self.lines[place].waiting.pop_front() else { break };
            self.send_one(turn, place, intended, now);
        }
    }

    fn send_one(&mut self, turn: &mut dyn Turn, place: usize, intended: Instant, sent: Instant) {
        let client = self.client(place);
        let line = &mut self.lines[place];
        let sequence = line.next_echo.wrapping_add(line.under_way.len() as u32);
        line.under_way.push_back(UnderWay { intended, sent });
        stamp(&mut self.payload, client, sequence);
        turn.send(client, Opcode::Binary, &self.payload);
    }

    /// Agrees with the other shards on what is measured.
    fn look_at_window(&mut self, turn: &dyn Turn) -> Option<Instant> {
        let now = turn.now();
        if self.measured.is_none() {
            let Some((begin, end)) = self.window.span() else { return Some(now + GATE_POLL) };
            self.measured = Some((turn.start() + begin, turn.start() + end));
        }
        let (_, end) = self.measured?;
        self.is_done = now >= end;
        (!self.is_done).then_some(end)
    }

    fn is_measured(&self, now: Instant) -> bool {
        self.measured.is_some_and(|(begin, end)| begin <= now && now < end)
    }

    #[inline]
    fn record(&self, turn: &mut dyn Turn, message: UnderWay, now: Instant) {
        if self.is_measured(now) {
            turn.record(Metric::Echo, now.saturating_duration_since(message.intended));
            if self.messages.is_some() {
                turn.record(Metric::EchoSent, now.saturating_duration_since(message.sent));
            }
        }
    }
}

fn stamp(payload: &mut [u8], client: ClientId, sequence: u32) {
    let [high, low] = [client.0.to_le_bytes(), sequence.to_le_bytes()];
    let mut bytes = [0; STAMP_BYTES];
    // The sequence first: a short message has as much of it as fits.
    bytes[..4].copy_from_slice(&low);
    bytes[4..].copy_from_slice(&high);
    let length = payload.len().min(STAMP_BYTES);
    payload[..length].copy_from_slice(&bytes[..length]);
}

impl Workload for Echo {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        let connect = self.connect(turn);
        let window = self.look_at_window(turn);
        let message = match (self.measured, self.is_done) {
            // The open loop's schedule starts with the warm-up's end, for all shards alike.
            (Some((begin, _)), false) => self.send_due(turn, begin),
            _ => None,
        };
        [connect, window, message].into_iter().flatten().min()
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        turn.established(client);
        let place = self.place(client);
        self.lines[place].is_open = true;
        self.settle(turn, place);
        if self.messages.is_none() {
            let now = turn.now();
            (0..self.plan.depth).for_each(|_| self.send_one(turn, place, now, now));
        }
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]) {
        let place = self.place(client);
        let line = &mut self.lines[place];
        stamp(&mut self.payload, client, line.next_echo);
        let is_right = opcode == Opcode::Binary && payload == self.payload;
        let Some(message) = line.under_way.pop_front().filter(|_| is_right) else {
            turn.fail(client, Cause::WrongAnswer, 0);
            return;
        };
        line.next_echo = line.next_echo.wrapping_add(1);
        let now = turn.now();
        self.record(turn, message, now);
        if self.messages.is_some() {
            self.fill(turn, place);
        } else if !self.is_done {
            self.send_one(turn, place, now, now);
        }
    }

    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, _end: End) {
        let place = self.place(client);
        self.settle(turn, place);
        self.lines[place] = Line { is_settled: true, ..Line::default() };
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn stopping(&mut self, turn: &mut dyn Turn) {
        let Some(((begin, end), messages)) = self.measured.zip(self.messages.as_ref()) else {
            return;
        };
        let mut left = messages.clone();
        let overdue = std::iter::from_fn(|| Some(left.take().1));
        let unsent = overdue.take_while(|moment| begin + *moment < end.min(turn.now())).count();
        turn.count(Counter::Unsent, unsent as u64);
        turn.count(Counter::Intended, unsent as u64);
        for line in &self.lines {
            let under_way = line.under_way.iter().map(|message| message.intended);
            for intended in under_way.chain(line.waiting.iter().copied()) {
                turn.record(Metric::Echo, end.saturating_duration_since(intended));
                turn.count(Counter::Unanswered, 1);
            }
        }
    }
}
