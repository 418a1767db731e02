//! Many established connections are cut at once, and all of their clients come back.
//!
//! Course, by moments since the start that all shards know: clients come by the schedule; at
//! `cut_at` the chosen share is cut without a word; each of them comes back at a random moment
//! within `within`, as a server asks its clients to, and after a failure again with the pauses that
//! docs/protocol.md asks for. Who was not cut says `ping` on a schedule all the time, so what the
//! storm does to others is seen: answers are kept apart by whether the ping was due before the cut,
//! until the last had come back, or after.
//!
//! [`Metric::Return`] counts from the cut to the welcome, the random wait included: its highest is
//! the time to full service.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use throng_wire::v1::{Body, ClientFrame, Op, Ping, ServerFrame};
use throng_wire::ws::Opcode;
use throng_wire::{Json, Protobuf};

use super::greeting::{Answer, Greeting};
use crate::generator::random::{Random, mix};
use crate::generator::sample::nanoseconds;
use crate::generator::{
    Arrival, Arrivals, Cause, ClientArrivals, ClientId, Counter, End, Metric, Sample, ShardInfo,
    Turn, Workload,
};

/// Keeps the choice of who is cut apart from other uses of the seed.
const CHOSEN: u64 = 0x6375_7421;

/// Pauses after failures: first and last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is to happen, the same for all shards.
#[derive(Clone, Debug)]
pub struct StormPlan {
    /// When clients connect.
    pub connects: Arrival,
    /// What they say first: Throng's hello.
    pub greeting: Greeting,
    /// The moment of the cut, since the start.
    pub cut_at: Duration,
    /// Share of the clients that are cut, 0 to 1.
    pub share: f64,
    /// All come back within this.
    pub within: Duration,
    /// How long is looked on after that.
    pub after: Duration,
    /// Pings a second of all clients that are not cut.
    pub pings: Arrival,
}

/// Answers to pings that were due before the cut, until the last was back, and after.
#[derive(Clone, Debug, Default)]
pub struct Windows(Arc<Mutex<[Sample; 3]>>);

impl Windows {
    /// The answers of all shards of this process.
    #[must_use]
    pub fn sums(&self) -> [Sample; 3] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, samples: &[Sample; 3]) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.iter_mut().zip(samples).for_each(|(sum, sample)| sum.merge(sample));
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    is_welcomed: bool,
    /// Cut and not back.
    is_missing: bool,
    failures: u8,
}

/// The clients of one shard.
#[derive(Debug)]
pub struct Storm {
    plan: StormPlan,
    info: ShardInfo,
    windows: Windows,
    clients: Vec<Client>,
    connects: ClientArrivals,
    pings: Arrivals,
    /// Clients that come back, and when.
    returns: BinaryHeap<Reverse<(Instant, ClientId)>>,
    is_cut: bool,
    missing: u32,
    /// The last of the shard was back, since the start.
    back_at: Option<Duration>,
    is_over: bool,
    answers: [Sample; 3],
    random: Random,
    frame: Vec<u8>,
}

impl Storm {
    /// The part of one shard.
    #[must_use]
    pub fn new(plan: StormPlan, info: ShardInfo, windows: Windows) -> Self {
        let (shard, shards) = (info.shard as usize, info.shards as usize);
        Self {
            connects: ClientArrivals::new(plan.connects, &info, info.clients),
            pings: Arrivals::new(plan.pings, mix(info.seed, 1), shard, shards),
            plan,
            info,
            windows,
            clients: vec![Client::default(); info.count() as usize],
            returns: BinaryHeap::new(),
            is_cut: false,
            missing: 0,
            back_at: None,
            is_over: false,
            answers: Default::default(),
            random: Random::new(mix(info.seed, u64::from(info.shard))),
            frame: Vec::new(),
        }
    }

    /// Whether a client is one of those that are cut.
    fn is_chosen(&self, client: ClientId) -> bool {
        let mut draw = Random::new(mix(self.info.seed ^ CHOSEN, u64::from(client.0)));
        draw.fraction() < self.plan.share
    }

    fn state(&mut self, client: ClientId) -> &mut Client {
        &mut self.clients[self.info.place(client)]
    }

    fn connect_due(&mut self, turn: &mut dyn Turn) {
        while let Some((client, intended)) = self.connects.take_due(turn.start(), turn.now()) {
            turn.open(client, intended);
        }
    }

    fn cut_due(&mut self, turn: &mut dyn Turn) {
        if self.is_cut || turn.now() < turn.start() + self.plan.cut_at {
            return;
        }
        self.is_cut = true;
        turn.act(turn.start() + self.plan.cut_at);
        for client in self.info.own() {
            if self.is_chosen(client) && self.state(client).is_welcomed {
                self.state(client).is_missing = true;
                self.missing += 1;
                turn.cut(client);
            }
        }
    }

    fn return_due(&mut self, turn: &mut dyn Turn) {
        while let Some(Reverse((at, client))) = self.returns.peek().copied() {
            if turn.now() < at {
                return;
            }
            self.returns.pop();
            turn.open(client, at);
        }
    }

    /// Pings what is due, each by a random client that is not cut.
    fn ping_due(&mut self, turn: &mut dyn Turn) {
        while let Some((_, intended)) = self.pings.take_due(turn.start(), turn.now()) {
            let own = u64::from(self.info.count());
            let drawn = (0..16).map(|_| self.random.below(own) as u32);
            let drawn: Vec<_> = drawn.map(|at| self.info.client(at)).collect();
            let fit = drawn
                .into_iter()
                .find(|client| !self.is_chosen(*client) && turn.is_established(*client));
            // Before the first has come there is nobody to ask.
            let Some(client) = fit else { continue };
            turn.act(intended);
            let id = Some(nanoseconds(intended.saturating_duration_since(turn.start())));
            let frame = ClientFrame { id, op: Some(Op::Ping(Ping::default())) };
            self.frame.clear();
            let opcode = match &self.plan.greeting {
                Greeting::Throng { is_proto: true, .. } => {
                    frame.encode(&mut self.frame);
                    Opcode::Binary
                }
                _ => {
                    frame.write_json(&mut self.frame);
                    Opcode::Text
                }
            };
            turn.send(client, opcode, &self.frame);
        }
    }

    fn welcomed(&mut self, turn: &mut dyn Turn, client: ClientId) {
        turn.established(client);
        let cut_at = turn.start() + self.plan.cut_at;
        let state = self.state(client);
        (state.is_welcomed, state.failures) = (true, 0);
        if std::mem::replace(&mut state.is_missing, false) {
            self.missing -= 1;
            let took = turn.now().saturating_duration_since(cut_at);
            turn.record(Metric::Return, took);
            self.back_at = Some(self.plan.cut_at + took);
        }
    }

    /// The answer to the ping that was due at `id` nanoseconds since the start.
    fn answered(&mut self, turn: &mut dyn Turn, id: u64) {
        let due = Duration::from_nanos(id);
        let took = turn.now().saturating_duration_since(turn.start() + due);
        turn.record(Metric::Echo, took);
        let all_back = self.back_at.filter(|_| self.missing == 0);
        let window = if due < self.plan.cut_at {
            0
        } else if all_back.is_none_or(|back| due <= back) {
            1
        } else {
            2
        };
        self.answers[window].record(Metric::Echo, took);
    }

    fn end(&self) -> Duration {
        self.plan.cut_at + self.plan.within + self.plan.after
    }
}

impl Workload for Storm {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        self.connect_due(turn);
        self.cut_due(turn);
        self.return_due(turn);
        self.ping_due(turn);
        let (start, now) = (turn.start(), turn.now());
        self.is_over = self.missing == 0 && now >= start + self.end();
        let cut = start + if self.is_cut { self.end() } else { self.plan.cut_at };
        let moments = [
            self.connects.next(start),
            self.returns.peek().map(|next| next.0.0),
            Some(start + self.pings.peek().1),
            Some(cut).filter(|cut| *cut > now),
        ];
        moments.into_iter().flatten().min()
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        self.frame.clear();
        self.state(client).is_welcomed = false;
        match self.plan.greeting.write(client, &mut self.frame) {
            Some(opcode) => turn.send(client, opcode, &self.frame),
            None => self.welcomed(turn, client),
        }
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]) {
        if !self.state(client).is_welcomed {
            match self.plan.greeting.judge(opcode, payload) {
                Answer::Welcome => self.welcomed(turn, client),
                Answer::Refused => turn.fail(client, Cause::HelloRefused, 0),
                Answer::Wrong => turn.fail(client, Cause::WrongAnswer, 0),
                Answer::Other => {}
            }
            return;
        }
        let frame = match opcode {
            Opcode::Binary => ServerFrame::decode(payload),
            _ => ServerFrame::from_json(payload),
        };
        match frame {
            Ok(ServerFrame { id: Some(id), body: Some(Body::Pong(_)) }) => self.answered(turn, id),
            Ok(ServerFrame { id: Some(_), body: Some(Body::Error(_)) }) => {
                turn.count(Counter::Refused, 1);
            }
            Ok(_) => {}
            Err(_) => turn.fail(client, Cause::WrongAnswer, 0),
        }
    }

    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, end: End) {
        let (cut_at, within) = (turn.start() + self.plan.cut_at, self.plan.within);
        let chance = self.random.fraction();
        let state = self.state(client);
        state.is_welcomed = false;
        let at = match end {
            End::AsAsked if state.is_missing => cut_at + within.mul_f64(chance),
            End::AsAsked => return,
            End::Failed { .. } => {
                let doublings = u32::from(state.failures).min(5);
                state.failures = state.failures.saturating_add(1);
                let pause = PAUSES.0.saturating_mul(1 << doublings).min(PAUSES.1);
                turn.now() + pause + pause.mul_f64(chance)
            }
        };
        self.returns.push(Reverse((at, client)));
    }

    fn is_done(&self) -> bool {
        self.is_over
    }

    fn stopping(&mut self, _turn: &mut dyn Turn) {
        self.windows.add(&self.answers);
    }
}

#[cfg(test)]
#[path = "storm/tests.rs"]
mod tests;
