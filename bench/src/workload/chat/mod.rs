//! People who talk: Throng's conversations under an open load, judged while they run.
//!
//! [`Chat`] is a workload, sans-IO, one per shard. Reading order: `cast` (who says what to whom),
//! `stage` (the course of a run), `speak` and `hear` (a client's frames), and the judges: `log`
//! (order, holes, doubles), `text` (content), `outbox` (what is sent again, and its order),
//! `verdict` (the sums).
//!
//! Times: a message has the moment at which the schedule wants it, and the one at which it was
//! handed over; both travel in its text as nanoseconds since the common start of all shards, so
//! every recipient measures `deliver` and `deliver_uncorrected`. A message that waits (its client
//! is away, has as many requests under way as it may, or a failed one comes first) keeps its
//! intended moment.
//!
//! Faults of the server make a run invalid, each beginning with `server:`: see [`verdict`]. A
//! client that finds wrong content or an answer against the protocol ends with
//! [`Cause::WrongAnswer`] and does not come back. What lets a client try again is counted as
//! refused and retried, and is no fault.
//!
//! What is bounded by the plan and not by itself: messages that wait for a server that does not
//! answer are kept, as an open load wants it; at most all messages of the run.

pub mod cast;
mod catch_up;
mod client;
pub mod frames;
mod hear;
mod judge;
pub mod log;
pub mod outbox;
pub mod sizes;
mod speak;
mod stage;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
pub mod text;
mod timers;
pub mod verdict;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use throng_wire::id::Id;
use throng_wire::limits;
use throng_wire::ws::Opcode;

pub use cast::{Manners, Pairs};
pub use frames::Encoding;
pub use verdict::Findings;

use self::cast::Cast;
use self::client::{Client, Phase};
use self::log::Entry;
use self::stage::{Stage, Verification};
use self::text::Stamp;
use self::timers::{Kind, Timers};
use crate::generator::random::{Random, mix};
use crate::generator::{
    Arrival, Cause, ClientArrivals, ClientId, Counter, End, ShardInfo, Turn, Workload,
};

/// Requests of one client that wait for answers: what the server allows.
const REQUESTS_MAX: usize = 16;

/// Watermarks of a client are said this often at most.
const RECEIPTS_EVERY: Duration = Duration::from_millis(500);

/// Conversations whose watermarks are said at one time: 16 requests a second, a third of what a
/// server allows by default.
const RECEIPTS_PER_FLUSH: usize = 4;

/// Pause before the log is asked again for what it should have.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// From the moment at which all shards are set up to the beginning.
const BEGIN_AHEAD: Duration = Duration::from_secs(1);

/// How long members may take to learn of their groups before messages begin.
const CREATED_GRACE: Duration = Duration::from_secs(2);

/// A run in which nothing has happened for this long has come to rest.
const QUIET: Duration = Duration::from_secs(1);

/// Clients of a shard that ask at one time at the end.
const VERIFYING_MAX: usize = 64;

/// Messages whose recipients are looked at in one step at the end.
const EXPECTED_PER_STEP: u64 = 4_096;

// Watermarks must leave room for messages.
const _: () = assert!(2 * RECEIPTS_PER_FLUSH < REQUESTS_MAX);

/// What is to happen, the same for all shards.
#[derive(Clone, Debug)]
pub struct ChatPlan {
    /// Who does what.
    pub manners: Manners,
    /// Tells the users of this run from those of others on the same server.
    pub run: u64,
    /// How frames are written.
    pub encoding: Encoding,
    /// Length of a message's text in bytes; its head takes up to some 90.
    pub text_bytes: usize,
    /// Recipients say `delivered` and `read`.
    pub receipts: bool,
    /// When clients connect.
    pub connects: Arrival,
    /// When messages are said, of all users together.
    pub messages: Arrival,
    /// How long.
    pub duration: Duration,
    /// How long everybody may take to come, and groups to be made.
    pub setup_max: Duration,
    /// How long answers and deliveries are waited for at the end.
    pub drain_max: Duration,
}

impl ChatPlan {
    /// The longest that a run may take.
    #[must_use]
    pub fn duration_max(&self) -> Duration {
        self.setup_max + BEGIN_AHEAD + self.duration + self.drain_max + 2 * QUIET
    }
}

/// A group that this shard makes.
#[derive(Debug)]
struct MadeGroup {
    client_msg_id: Id,
    conv: Option<Id>,
}

/// See the module header.
#[derive(Debug)]
pub struct Chat {
    plan: Arc<ChatPlan>,
    cast: Cast,
    info: ShardInfo,
    findings: Findings,
    clients: Vec<Client>,
    timers: Timers,
    /// Clients that are still to come for the first time.
    connects: ClientArrivals,
    stage: Stage,
    /// Own clients that were welcomed at least once.
    known: u32,
    /// The server's clock at a moment of ours.
    clock: Option<(Instant, u64)>,
    groups: HashMap<u32, MadeGroup>,
    /// Groups all of whose recipients are of this shard, and how many they are.
    within: HashMap<Id, u32>,
    /// Their messages that have not reached all, and how many they have still to reach.
    on_their_way: HashMap<(Id, u32, u64), u32>,
    /// `created` events of groups that members of this shard heard and should hear.
    created: u64,
    created_expected: u64,
    /// Shards that are set up.
    gathered: BTreeSet<u32>,
    begin_at_ns: Option<u64>,
    began: Option<Instant>,
    /// Messages that are not acknowledged.
    unsettled: u64,
    news_at: Instant,
    verification: Verification,
    random: Random,
    frame: Vec<u8>,
    text: String,
    taken: Vec<Entry>,
}

impl Chat {
    /// The part of one shard.
    #[must_use]
    pub fn new(plan: Arc<ChatPlan>, info: ShardInfo, findings: Findings) -> Self {
        let mut clients = Vec::new();
        clients.resize_with(info.count() as usize, Client::default);
        Self {
            cast: Cast::new(plan.manners.clone(), plan.run, info),
            connects: ClientArrivals::new(plan.connects, &info, info.clients),
            plan,
            info,
            findings,
            clients,
            timers: Timers::default(),
            stage: Stage::Coming,
            known: 0,
            clock: None,
            groups: HashMap::new(),
            within: HashMap::new(),
            on_their_way: HashMap::new(),
            created: 0,
            created_expected: 0,
            gathered: BTreeSet::new(),
            begin_at_ns: None,
            began: None,
            unsettled: 0,
            news_at: Instant::now(),
            verification: Verification::default(),
            random: Random::new(mix(info.seed, u64::from(info.shard))),
            frame: Vec::new(),
            text: String::new(),
            taken: Vec::new(),
        }
    }

    /// Place in the table of a client of this shard.
    fn place(&self, client: ClientId) -> usize {
        self.info.place(client)
    }

    fn client(&self, place: usize) -> ClientId {
        self.info.client(place as u32)
    }

    fn connect_due(&mut self, turn: &mut dyn Turn) {
        while let Some((client, intended)) = self.connects.take_due(turn.start(), turn.now()) {
            self.connect(turn, client, intended);
        }
    }

    fn connect(&mut self, turn: &mut dyn Turn, client: ClientId, intended: Instant) {
        let state = self.client_mut(client);
        if state.phase == Phase::Away {
            state.phase = Phase::Coming;
            turn.open(client, intended);
        }
    }

    fn fire(&mut self, turn: &mut dyn Turn, (at, client, kind): (Instant, ClientId, Kind)) {
        match kind {
            Kind::Connect => self.connect(turn, client, at),
            Kind::Leave => turn.close(client),
            Kind::Marks => self.flush_marks(turn, client),
            Kind::Ask | Kind::Speak => {
                if let Some(talk) = &mut self.client_mut(client).talk {
                    talk.is_asking &= kind != Kind::Ask;
                    talk.holds_creations &= kind != Kind::Speak;
                    talk.speak_all();
                }
                self.pump(turn, client);
            }
        }
    }

    /// A message of a group within this shard begins its way.
    fn await_members(&mut self, client: ClientId, conv: &Id, message: &outbox::Message) {
        if message.purpose != outbox::Purpose::Load {
            return;
        }
        if let Some(recipients) = self.within.get(conv) {
            self.on_their_way.insert((*conv, client.0, message.counter), *recipients);
        }
    }

    /// A message reached one more member: whether that was the last.
    fn reached_last(&mut self, conv: &Id, stamp: &Stamp) -> bool {
        let key = (*conv, stamp.client, stamp.counter);
        let Some(left) = self.on_their_way.get_mut(&key) else { return false };
        *left = left.saturating_sub(1);
        let is_last = *left == 0;
        if is_last {
            self.on_their_way.remove(&key);
        }
        is_last
    }

    /// The server did something against the protocol: the client ends here.
    fn wrong(&mut self, turn: &mut dyn Turn, client: ClientId, why: String) {
        self.findings.note(why);
        self.client_mut(client).phase = Phase::Gone;
        turn.fail(client, Cause::WrongAnswer, 0);
    }
}

impl Workload for Chat {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        self.connect_due(turn);
        while let Some(timer) = self.timers.expire(turn.now()) {
            self.fire(turn, timer);
        }
        self.advance(turn);
        let moments =
            [self.connects.next(turn.start()), self.timers.next(), self.next_advance(turn.now())];
        moments.into_iter().flatten().min()
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        self.say_hello(turn, client);
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]) {
        let encoding = self.plan.encoding;
        let heard = match encoding.decode(payload) {
            Ok(_) if opcode != encoding.opcode() => Err("the wrong kind of message".to_owned()),
            Ok(frame) => self.hear(turn, client, frame),
            Err(error) => Err(format!("a frame that cannot be read: {error}")),
        };
        if let Err(why) = heard {
            self.wrong(turn, client, why);
        }
    }

    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, end: End) {
        let mut random = self.random.clone();
        let now = turn.now();
        let state = self.client_mut(client);
        if let Some(talk) = &mut state.talk {
            talk.disconnected();
        }
        if state.phase == Phase::Gone {
            return;
        }
        state.phase = Phase::Away;
        if let End::Failed { cause: Cause::Closed, detail: code @ 4400..=4499 } = end {
            state.phase = Phase::Gone;
            self.findings.note(format!("client {} was told not to come back: {code}", client.0));
            return;
        }
        let pause = state.pause(&mut random);
        self.random = random;
        if !matches!(self.stage, Stage::Done) {
            self.timers.set(now + pause, client, Kind::Connect);
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn stopping(&mut self, turn: &mut dyn Turn) {
        self.stage = Stage::Done;
        turn.count(Counter::Lost, self.missing());
    }
}
