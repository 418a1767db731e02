//! Many connections: opened on a schedule, greeted, held with heartbeats, closed.
//!
//! Every client arrives once by the schedule; the hold begins when the last of them is established
//! or has failed, and the run ends when all shards have held. Some may be of a troublesome kind, by
//! shares of the whole: silent ones read nothing, slow ones read a moment now and then, half-open
//! ones never ask for the upgrade or never say hello. With a mean life clients leave after an
//! exponentially distributed time and come again at once: a constant rate of churn.

use std::time::{Duration, Instant};

use throng_ring::wheel::Wheel;
use throng_wire::ws::Opcode;

use super::greeting::{Answer, Greeting};
use crate::generator::random::{Random, mix};
use crate::generator::{Arrival, Cause, ClientArrivals, ClientId, End, ShardInfo, Turn, Workload};
use crate::limits::{EXPIRATIONS_PER_STEP, SLOW_READ, SLOW_REST, TICK};

/// What to do.
#[derive(Clone, Debug)]
pub struct FloodPlan {
    /// When clients come.
    pub arrival: Arrival,
    /// What they say first.
    pub greeting: Greeting,
    /// How long all are held.
    pub hold: Duration,
    /// Mean life of a connection, if clients leave and come again.
    pub mean_life: Option<Duration>,
    /// Shares of the clients, each 0 to 1 and 1 at most together.
    pub shares: Shares,
}

/// Shares of the clients that are no good ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Read nothing once they are established.
    pub silent: f64,
    /// Read for a moment now and then.
    pub slow: f64,
    /// Connect and never ask for the upgrade, or upgrade and never say hello, half and half.
    pub half_open: f64,
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    Silent,
    Slow,
    NeverUpgrades,
    NeverGreets,
}

impl Shares {
    /// A client's kind, the same in each run with the seed.
    fn kind(&self, seed: u64, client: ClientId) -> Kind {
        let at = Random::new(mix(seed, u64::from(client.0))).fraction();
        let (silent, slow) = (self.silent, self.silent + self.slow);
        match at {
            at if at < silent => Kind::Silent,
            at if at < slow => Kind::Slow,
            at if at < slow + self.half_open / 2.0 => Kind::NeverUpgrades,
            at if at < slow + self.half_open => Kind::NeverGreets,
            _ => Kind::Good,
        }
    }
}

/// The flood of one shard.
#[derive(Debug)]
pub struct Flood {
    plan: FloodPlan,
    info: ShardInfo,
    arrivals: ClientArrivals,
    /// Lives that end, and slow readers' next change. By place in the shard's table.
    timers: Wheel,
    lives: Random,
    /// Which slow readers read at the moment.
    reading: Vec<bool>,
    /// Clients whose first connection is neither established nor lost.
    unsettled: u32,
    settled: Vec<bool>,
    hold_until: Option<Instant>,
    is_done: bool,
    greeting: Vec<u8>,
}

impl Flood {
    /// The flood of a shard.
    #[must_use]
    pub fn new(plan: FloodPlan, info: ShardInfo, now: Instant) -> Self {
        let slow = plan.shares.slow > 0.0;
        Self {
            arrivals: ClientArrivals::new(plan.arrival, &info, info.clients),
            timers: Wheel::new(TICK, now),
            lives: Random::new(mix(info.seed, u64::from(info.shard) + 1)),
            reading: if slow { vec![true; info.count() as usize] } else { Vec::new() },
            unsettled: info.count(),
            settled: vec![false; info.count() as usize],
            hold_until: None,
            is_done: false,
            greeting: Vec::new(),
            plan,
            info,
        }
    }

    fn place(&self, client: ClientId) -> u32 {
        self.info.place(client) as u32
    }

    fn kind(&self, client: ClientId) -> Kind {
        self.plan.shares.kind(self.info.seed, client)
    }

    fn settle(&mut self, client: ClientId) {
        let place = self.place(client) as usize;
        if !std::mem::replace(&mut self.settled[place], true) {
            self.unsettled -= 1;
        }
    }

    fn open(&mut self, turn: &mut dyn Turn, client: ClientId, intended: Instant) {
        if self.kind(client) == Kind::NeverUpgrades {
            turn.open_half(client, intended);
            self.settle(client);
        } else {
            turn.open(client, intended);
        }
    }

    /// Opens what is due; the moment of the next arrival.
    fn arrive(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        while let Some((client, intended)) = self.arrivals.take_due(turn.start(), turn.now()) {
            self.open(turn, client, intended);
        }
        self.arrivals.next(turn.start())
    }

    fn establish(&mut self, turn: &mut dyn Turn, client: ClientId) {
        turn.established(client);
        self.settle(client);
        let place = self.place(client);
        match self.kind(client) {
            Kind::Silent => turn.read(client, false),
            Kind::Slow => self.timers.set(place, turn.now() + SLOW_READ),
            _ => {
                if let Some(mean) = self.plan.mean_life {
                    let life = self.lives.exponential(mean);
                    self.timers.set(place, turn.now() + life);
                }
            }
        }
    }

    /// Ends lives and changes slow readers whose moment has come.
    fn change(&mut self, turn: &mut dyn Turn) {
        let now = turn.now();
        for _ in 0..EXPIRATIONS_PER_STEP {
            let Some(place) = self.timers.expire(now) else { break };
            let client = self.info.client(place);
            if self.kind(client) == Kind::Slow {
                let reads = &mut self.reading[place as usize];
                *reads = !*reads;
                turn.read(client, *reads);
                self.timers.set(place, now + if *reads { SLOW_READ } else { SLOW_REST });
            } else {
                turn.close(client);
            }
        }
    }

    fn hold(&mut self, now: Instant) -> Option<Instant> {
        if self.unsettled > 0 {
            return None;
        }
        let until = *self.hold_until.get_or_insert(now + self.plan.hold);
        self.is_done = now >= until;
        Some(until)
    }
}

impl Workload for Flood {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        let arrival = self.arrive(turn);
        self.change(turn);
        let now = turn.now();
        let hold = self.hold(now).filter(|until| *until > now);
        [arrival, hold, self.timers.next_deadline()].into_iter().flatten().min()
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        if self.kind(client) == Kind::NeverGreets {
            turn.expect_end(client);
            self.settle(client);
            return;
        }
        self.greeting.clear();
        match self.plan.greeting.write(client, &mut self.greeting) {
            Some(opcode) => turn.send(client, opcode, &self.greeting),
            None => self.establish(turn, client),
        }
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]) {
        if turn.is_established(client) {
            return;
        }
        match self.plan.greeting.judge(opcode, payload) {
            Answer::Welcome => self.establish(turn, client),
            Answer::Refused => turn.fail(client, Cause::HelloRefused, 0),
            Answer::Wrong => turn.fail(client, Cause::WrongAnswer, 0),
            Answer::Other => {}
        }
    }

    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, end: End) {
        let place = self.place(client);
        self.timers.cancel(place);
        self.settle(client);
        if let Some(reads) = self.reading.get_mut(place as usize) {
            *reads = true;
        }
        let comes_again = self.plan.mean_life.is_some() && !self.is_done;
        if comes_again && end == End::AsAsked && self.kind(client) == Kind::Good {
            turn.open(client, turn.now());
        }
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
