//! One run: the clock, what goes wrong, and what is judged.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use throng_router::owner::{Now, Op, Refusal, Request, choose};
use throng_store::sim::{Faults, Sim};
use throng_store::{ConvId, PartitionId, Store};
use throng_wire::{Protobuf, id, v1};

use crate::clients::{Client, START_MS};
use crate::history::History;
use crate::process::{Process, Said, partitions_of, tail};

const PROCESSES: usize = 3;
const HOSTILE_MS: u64 = 20_000;
/// Within this everything is well again, milliseconds.
const HEALED_MS: u64 = 60_000;
const STEP_MS: u64 = 50;

/// A process and how it is.
struct Slot {
    process: Process,
    /// Not running until then: it was killed, or paused.
    stopped_until_ms: u64,
    killed: bool,
    /// How much of the time its clock did not see.
    lag_ms: u64,
}

/// What a request was.
#[derive(Clone, Debug)]
enum Asked {
    Message(usize, id::Id),
    Page(usize),
}

pub(crate) struct Run {
    sim: Sim,
    random: Rng,
    now_ms: u64,
    slots: Vec<Slot>,
    clients: Vec<Client>,
    convs: Vec<ConvId>,
    partitions: Vec<PartitionId>,
    /// Requests on their way: when, number, to whom.
    under_way: BTreeMap<(u64, u64), (usize, ConvId, Request)>,
    asked: BTreeMap<u64, Asked>,
    last: u64,
    /// Who took the partitions last.
    leader: usize,
    pub(crate) takeovers: usize,
    pub(crate) history: History,
    pub(crate) trace: String,
    pub(crate) shows: bool,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let faults = Faults {
            late_permille: random.u32(0..120),
            late_ms_max: random.u64(50..8_000),
            never_permille: random.u32(0..120),
            delay_ms_max: random.u64(1..12),
            expire_ms: random.u64(200..900),
            busy_permille: 10,
        };
        let sim = Sim::seeded(random.u64(..), faults);
        let slot = |router| Slot {
            process: Process::new(&sim, router),
            stopped_until_ms: 0,
            killed: false,
            lag_ms: 0,
        };
        let slots = (1..=PROCESSES as u32).map(slot).collect();
        let clients = Client::all();
        let mut convs: Vec<ConvId> = clients.iter().map(|client| client.conv).collect();
        convs.dedup();
        Self {
            slots,
            sim,
            random,
            now_ms: 0,
            clients,
            partitions: partitions_of(&convs),
            convs,
            under_way: BTreeMap::new(),
            asked: BTreeMap::new(),
            last: 0,
            leader: 0,
            takeovers: 0,
            history: History::default(),
            trace: String::new(),
            shows: false,
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let from = self.trace.len();
        let _ = writeln!(self.trace, "{} {what}", self.now_ms);
        if self.shows {
            print!("{}", &self.trace[from..]);
        }
    }

    /// All of it.
    pub(crate) fn all(&mut self) {
        let end_ms = HOSTILE_MS - self.random.u64(0..2 * 1_000);
        while self.now_ms < end_ms {
            self.goes_wrong();
            self.step(true);
        }
        self.all_die();
        self.heals(false);
        self.judge();
        self.heals(true);
        self.judge();
        assert!(self.clients.iter().all(|client| client.sent == 0 || client.last_seq > 0));
    }

    /// Nothing goes wrong any more. With `clients`, those finish.
    fn heals(&mut self, clients: bool) {
        self.sim.set_faults(Faults::NONE);
        let until_ms = self.now_ms + HEALED_MS;
        loop {
            self.step(clients);
            let done = !clients || self.clients.iter().all(|client| client.message.is_none());
            let leader = &self.slots[self.leader];
            if done && !leader.killed && leader.process.is_settled(self.partitions.len()) {
                return;
            }
            assert!(self.now_ms < until_ms, "it did not become well again");
        }
    }

    /// A little time passes.
    fn step(&mut self, clients: bool) {
        let to_ms = self.now_ms + STEP_MS;
        self.someone_leads();
        if clients {
            self.clients_ask(to_ms < HOSTILE_MS);
        }
        while self.now_ms < to_ms {
            let next = self.under_way.first_key_value().map(|((at_ms, _), _)| *at_ms);
            let next = [next, self.sim.next_ms(), Some(to_ms)].into_iter().flatten().min();
            self.now_ms = next.unwrap_or(to_ms).max(self.now_ms);
            for (_, step) in self.sim.advance(self.now_ms) {
                self.note(format_args!("{step}"));
            }
            self.requests_arrive();
            for index in 0..PROCESSES {
                self.turn(index);
            }
            if self.sim.next_ms().is_none_or(|next_ms| next_ms > self.now_ms) {
                let more = self.under_way.range(..=(self.now_ms, u64::MAX)).next().is_some();
                self.now_ms += u64::from(!more);
            }
        }
    }

    fn turn(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if self.now_ms < slot.stopped_until_ms {
            return;
        }
        slot.killed = false;
        let wall_ms = START_MS + self.now_ms;
        let mono_ms = self.now_ms - slot.lag_ms;
        let mut said = Vec::new();
        slot.process.turn(Now { wall_ms, moment_ms: wall_ms, mono_ms }, &mut said);
        for said in said {
            self.said(index, said);
        }
    }

    fn requests_arrive(&mut self) {
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= self.now_ms
        {
            let (index, conv, mut request) = entry.remove();
            let slot = &mut self.slots[index];
            if slot.killed {
                continue;
            }
            request.deadline_ms = self.now_ms.saturating_sub(slot.lag_ms) + 2_000;
            slot.process.ask(conv, request);
        }
    }

    fn clients_ask(&mut self, more: bool) {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let asked =
                client.writes(self.now_ms, more && self.random.u8(0..4) == 0, &mut self.random);
            if let (Some(op), Some(message)) = (asked, client.message) {
                self.ask(index, Asked::Message(index, message), op);
            }
            if self.random.u8(0..20) == 0 {
                self.ask(index, Asked::Page(index), Client::reads());
            }
        }
    }

    fn ask(&mut self, client: usize, asked: Asked, op: Op) {
        self.last += 1;
        // Mostly whoever took over last; sometimes one who did so long ago.
        let anyone = self.random.usize(0..PROCESSES);
        let to = if self.random.u8(0..4) == 0 { anyone } else { self.leader };
        let at_ms = self.now_ms + self.random.u64(0..10);
        let client = &self.clients[client];
        let request = client.request(self.last, 0, op);
        self.under_way.insert((at_ms, self.last), (to, client.conv, request));
        self.asked.insert(self.last, asked);
    }

    fn said(&mut self, index: usize, said: Said) {
        match said {
            Said::Entered => {
                self.leader = index;
                self.takeovers += 1;
                self.note(format_args!("process {index} took over"));
            }
            Said::Delivered(delivery) => {
                let frame = v1::ServerFrame::decode(&delivery.frame).unwrap();
                if let Some(v1::Body::Event(event)) = frame.body {
                    let conv = ConvId(id::parse(&event.conv).unwrap());
                    self.history.deliver(conv, event.seq, &event.client_msg_id);
                }
            }
            Said::Answer { key, body, refusal } => {
                let asked = self.asked.remove(&key.request).expect("answered twice");
                self.note(format_args!("process {index} answers {asked:?}: {refusal:?}"));
                match (asked, refusal) {
                    (Asked::Message(client, id), None) => self.acknowledged(client, id, &body),
                    (Asked::Message(client, id), Some(refusal)) => {
                        self.refused(client, id, refusal);
                    }
                    (Asked::Page(client), None) => self.page(client, &body),
                    (Asked::Page(_), Some(_)) => {}
                }
            }
        }
    }

    fn acknowledged(&mut self, client: usize, message: id::Id, body: &[u8]) {
        let frame = v1::ServerFrame::decode(body).unwrap();
        let Some(v1::Body::Ack(ack)) = frame.body else { panic!("no ack: {frame:?}") };
        let client = &mut self.clients[client];
        self.history.acknowledge(client.conv, ack.seq, &id::text(&message));
        if client.message == Some(message) {
            assert!(ack.seq > client.last_seq, "I2: {} after {}", ack.seq, client.last_seq);
            (client.message, client.last_seq) = (None, ack.seq);
        }
    }

    fn refused(&mut self, client: usize, message: id::Id, refusal: Refusal) {
        assert!(refusal.code().is_retryable(), "refused for good: {refusal}");
        let client = &mut self.clients[client];
        if client.message == Some(message) {
            client.refused();
        }
    }

    fn page(&mut self, client: usize, body: &[u8]) {
        let frame = v1::ServerFrame::decode(body).unwrap();
        let Some(v1::Body::History(page)) = frame.body else { panic!("no page: {frame:?}") };
        for (event, seq) in page.events.iter().zip(1..) {
            assert_eq!(event.seq, seq, "I4: a page with a hole");
            self.history.shown(self.clients[client].conv, seq, &event.client_msg_id);
        }
    }

    /// Someone takes over where nobody works.
    fn someone_leads(&mut self) {
        let leader = &self.slots[self.leader];
        let works = self.now_ms >= leader.stopped_until_ms && !leader.process.is_free();
        let entering = self.slots.iter().any(|slot| slot.process.is_entering());
        if !works && !entering && self.random.u8(0..4) == 0 {
            self.usurp();
        }
    }

    /// A process takes over, whether that is needed or not.
    fn usurp(&mut self) {
        let index = self.random.usize(0..PROCESSES);
        let slot = &mut self.slots[index];
        if self.now_ms >= slot.stopped_until_ms && slot.process.is_free() {
            slot.process.enter(self.partitions.clone());
            self.note(format_args!("process {index} takes over"));
        }
    }

    fn goes_wrong(&mut self) {
        if self.random.u8(0..10) != 0 {
            return;
        }
        let index = self.random.usize(0..PROCESSES);
        match self.random.u8(0..3) {
            0 => self.kill(index),
            1 => self.pause(index),
            _ => self.usurp(),
        }
    }

    fn kill(&mut self, index: usize) {
        let for_ms = self.random.u64(0..3_000);
        self.note(format_args!("process {index} is killed"));
        let slot = &mut self.slots[index];
        slot.process = Process::new(&self.sim, index as u32 + 1);
        slot.killed = true;
        slot.lag_ms = 0;
        slot.stopped_until_ms = self.now_ms + for_ms;
    }

    fn pause(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if self.now_ms < slot.stopped_until_ms {
            return;
        }
        let for_ms = self.random.u64(100..4_000);
        slot.stopped_until_ms = self.now_ms + for_ms;
        // A machine that is stopped as a whole does not see its clock jump.
        if self.random.bool() {
            slot.lag_ms += for_ms;
        }
        self.note(format_args!("process {index} is paused for {for_ms} ms"));
    }

    fn all_die(&mut self) {
        for index in 0..PROCESSES {
            self.kill(index);
        }
        self.under_way.clear();
    }

    /// What anybody was told is in the log, in the lists, and was delivered.
    fn judge(&mut self) {
        for conv in self.convs.clone() {
            let store = self.sim.handle();
            let rows = self.now(tail(store.clone(), conv));
            let log = choose(1, rows).rows;
            self.history.is_in(conv, &log);
            self.history.is_delivered(conv);
            let head = self.history.head(conv);
            let row = self.now(store.conv(conv)).unwrap();
            assert!(row.map_or(0, |row| row.applied_seq) >= head, "projections end before {head}");
            let users: Vec<_> = self.clients.iter().filter(|client| client.conv == conv).collect();
            for user in users.iter().map(|client| client.user()).collect::<Vec<_>>() {
                let listed = self.now(store.user_conv(user, conv)).unwrap();
                let touched = listed.map_or(0, |listed| listed.head_seq);
                assert!(touched >= head, "a list says {touched} where {head} was told");
            }
        }
    }

    /// Asks the store, and lets time pass until it answers. No process does anything meanwhile.
    fn now<T>(&mut self, question: impl Future<Output = T>) -> T {
        let mut question = pin!(question);
        loop {
            let polled = question.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(answer) = polled {
                return answer;
            }
            self.now_ms = self.sim.next_ms().expect("a question expires").max(self.now_ms);
            self.sim.advance(self.now_ms);
        }
    }
}
