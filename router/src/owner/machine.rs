//! Many conversations of the partitions that one worker owns.

use std::collections::{HashMap, HashSet};

use throng_store::{
    AppendOutcome, ConvId, Epoch, FenceOutcome, PartitionId, Row, Tag, UserId, Watermarks,
};

use super::admission::{Admission, Entrance, TurnedAway};
use super::cache::Cache;
use super::conversation::{Conversation, Fenced, Turn};
use super::counters::{Counters, Gauges, UnderWay};
use super::created::CreatedGroups;
use super::deciding::creates;
use super::request::{Now, Op, Refusal, Request};
use super::windows::Windows;
use super::{Loaded, Output, Term};
use crate::limits::{self, Limits};
use crate::partition::partition_of;

/// What a new owner does with rows that it reads above what is known to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    /// Takes them as they are: what the store shows is as durable as it will ever be. Right for a
    /// store without replicas.
    AsIs,
    /// Writes them again under its own term before it serves. Needed where a read may show a row
    /// that a later read does not.
    Rewrite,
}

/// How an owner works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator may change.
    pub limits: Limits,
    /// Rows of earlier owners.
    pub adopt: Adopt,
}

/// A partition that is ours.
#[derive(Clone, Copy, Debug)]
struct Holding {
    epoch: Epoch,
    term: Term,
}

/// Owner of the conversations of some partitions.
#[derive(Debug)]
pub struct Owner {
    settings: Settings,
    holdings: HashMap<PartitionId, Holding>,
    last_term: u64,
    admission: Admission,
    /// Conversations whose lists and members may be behind their logs, as they could not be read
    /// when the after-work of an earlier owner was to be done: loaded for whoever asks.
    behind: HashSet<ConvId>,
    cache: Cache,
    created: CreatedGroups,
    windows: Windows,
    /// Appends in flight.
    tags: HashMap<Tag, ConvId>,
    tag: Tag,
    /// What waits for a fence read to begin, and for the one that has begun.
    fence: Vec<Fenced>,
    fencing: Vec<Fenced>,
    fence_under_way: bool,
    touched: Vec<ConvId>,
    under_way: UnderWay,
    busy: HashSet<ConvId>,
    counters: Counters,
}

impl Owner {
    /// Owns nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            holdings: HashMap::new(),
            last_term: 0,
            admission: Admission::default(),
            behind: HashSet::new(),
            cache: Cache::default(),
            created: CreatedGroups::default(),
            windows: Windows::default(),
            tags: HashMap::new(),
            tag: 0,
            fence: Vec::new(),
            fencing: Vec::new(),
            fence_under_way: false,
            touched: Vec::new(),
            under_way: UnderWay::default(),
            busy: HashSet::new(),
            counters: Counters::default(),
        }
    }

    /// The partition is ours from now on: one that we never had, or have lost.
    pub fn take(&mut self, partition: PartitionId, epoch: Epoch) {
        self.last_term += 1;
        let holding = Holding { epoch, term: Term(self.last_term) };
        self.holdings.insert(partition, holding);
    }

    /// Takes a request. Those of strangers wait for [`Owner::member`].
    pub fn request(&mut self, now: Now, conv: ConvId, request: Request, out: &mut Vec<Output>) {
        let Some(holding) = self.holding(conv) else {
            return request.refuse(Refusal::Unavailable, out);
        };
        let waits = self.admission.holds(conv, request.asker.user.id);
        if !waits && self.admits(conv, &request) {
            return self.admit(now, conv, holding, request, out);
        }
        let user = request.asker.user.id;
        match self.admission.wait(conv, request) {
            Entrance::Asks => {
                self.counters.reads += 1;
                out.push(Output::Member { conv, term: holding.term, user });
            }
            Entrance::Waits => {}
            Entrance::Refused(request) => self.overloaded(&request, out),
        }
    }

    /// Answer to [`Output::Member`]: whether they are or were; `None` if the store did not say.
    pub fn member(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        user: UserId,
        member: Option<bool>,
        out: &mut Vec<Output>,
    ) {
        let Some(holding) = self.holding(conv).filter(|holding| holding.term == term) else {
            return;
        };
        let mut turned_away = TurnedAway::default();
        for mut request in self.admission.take(conv, user) {
            turned_away.follow(&mut request);
            // They may have become one meanwhile.
            if member == Some(true) || self.admits(conv, &request) {
                self.admit(now, conv, holding, request, out);
            } else if member.is_none() {
                request.refuse(Refusal::Unavailable, out);
            } else {
                self.counters.refused += 1;
                turned_away.refuse(&request, out);
            }
        }
    }

    /// Whether it is known here that the asker may have the conversation loaded.
    fn admits(&self, conv: ConvId, request: &Request) -> bool {
        let user = &request.asker.user;
        match &request.op {
            _ if self.cache.get(conv).is_some_and(|it| it.knows(user.id)) => true,
            // It is in their list.
            Op::Head { .. } => true,
            Op::Write(write) if creates(conv, user, write) => true,
            _ => self.behind.contains(&conv),
        }
    }

    fn admit(
        &mut self,
        now: Now,
        conv: ConvId,
        holding: Holding,
        request: Request,
        out: &mut Vec<Output>,
    ) {
        if self.under_way.loads >= limits::LOADS_MAX && self.cache.get(conv).is_none() {
            return self.overloaded(&request, out);
        }
        self.with_loaded(now, conv, holding, out, |conversation, turn| {
            conversation.request(request, turn);
        });
    }

    fn overloaded(&mut self, request: &Request, out: &mut Vec<Output>) {
        self.counters.overloaded += 1;
        request.refuse(Refusal::Overloaded, out);
    }

    /// The after-work of an earlier owner is to be done again: loads the conversation, which brings
    /// its projections up to date. Answered with [`Output::Recovered`].
    pub fn recover(&mut self, now: Now, conv: ConvId, out: &mut Vec<Output>) {
        match self.holding(conv) {
            Some(holding) => self.with_loaded(now, conv, holding, out, Conversation::recover),
            None => out.push(Output::Recovered { conv, done: false }),
        }
    }

    /// Answer to [`Output::Load`]; `None` if the store did not say.
    pub fn loaded(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        loaded: Option<Loaded>,
        out: &mut Vec<Output>,
    ) {
        self.under_way.loads = self.under_way.loads.saturating_sub(1);
        self.answer(now, conv, term, out, |conversation, turn| conversation.loaded(loaded, turn));
    }

    /// Answer to [`Output::Read`]; `None` if the store did not say.
    pub fn rows(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        read: u64,
        rows: Option<Vec<Row>>,
        out: &mut Vec<Output>,
    ) {
        self.under_way.reads = self.under_way.reads.saturating_sub(1);
        self.answer(now, conv, term, out, |conversation, turn| conversation.rows(read, rows, turn));
    }

    /// Answer to [`Output::Count`]; `None` if the store did not say.
    pub fn counted(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        user: UserId,
        count: Option<usize>,
        out: &mut Vec<Output>,
    ) {
        self.answer(now, conv, term, out, |conversation, turn| {
            conversation.counted(user, count, turn);
        });
    }

    /// Answer to [`Output::Watermarks`]; `None` if the store did not say.
    pub fn watermarks(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        found: Option<Vec<(UserId, Watermarks)>>,
        out: &mut Vec<Output>,
    ) {
        self.answer(now, conv, term, out, |conversation, turn| {
            conversation.watermarks(found, turn);
        });
    }

    /// Answer to [`Output::Append`].
    pub fn appended(&mut self, now: Now, tag: Tag, outcome: AppendOutcome, out: &mut Vec<Output>) {
        if let Some(conv) = self.tags.remove(&tag) {
            self.with(now, conv, out, |conversation, turn| {
                conversation.appended(tag, outcome, turn);
            });
        }
    }

    /// The store's queue was full: [`Output::Append`] was not taken.
    pub fn append_busy(&mut self, now: Now, tag: Tag, out: &mut Vec<Output>) {
        if let Some(conv) = self.tags.remove(&tag) {
            self.with(now, conv, out, |conversation, turn| conversation.append_busy(tag, turn));
        }
    }

    /// Answer to [`Output::Project`]: applied.
    pub fn projected(&mut self, now: Now, conv: ConvId, term: Term, out: &mut Vec<Output>) {
        self.answer(now, conv, term, out, Conversation::projected);
    }

    /// End of a turn: begins the after-work of what was committed in it.
    pub fn flush(&mut self, now: Now, out: &mut Vec<Output>) {
        for conv in std::mem::take(&mut self.touched) {
            self.with(now, conv, out, Conversation::flush);
        }
    }

    /// Whether a fence read is to begin: something waits for one, and none is under way.
    #[must_use]
    pub fn wants_fence(&self) -> bool {
        !self.fence_under_way && !self.fence.is_empty()
    }

    /// A fence read begins. It will answer for everything that waits now, and for nothing later.
    pub fn fence_begins(&mut self) {
        self.fence_under_way = true;
        self.fencing = std::mem::take(&mut self.fence);
    }

    /// What the fence read showed.
    pub fn fenced(&mut self, now: Now, outcome: FenceOutcome, out: &mut Vec<Output>) {
        self.fence_under_way = false;
        let waited = std::mem::take(&mut self.fencing);
        match outcome {
            FenceOutcome::Held => {
                for Fenced { conv, tag } in waited {
                    self.with(now, conv, out, |conversation, turn| conversation.held(tag, turn));
                }
            }
            FenceOutcome::Unknown => self.fence.extend(waited),
            FenceOutcome::Fenced => {
                for partition in sorted(self.holdings.keys()) {
                    self.lose(now, partition, out);
                }
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        for conv in sorted(&self.busy) {
            self.with(now, conv, out, Conversation::tick);
        }
        self.admission.expire(now.mono_ms, out);
        self.close_windows(now, false, out);
    }

    /// Closes windows whose after-work is done, with `all` the present ones, too: nothing will be
    /// appended any more.
    pub fn close_windows(&mut self, now: Now, all: bool, out: &mut Vec<Output>) {
        out.extend(self.windows.close(now.mono_ms, all).into_iter().map(Output::CloseWindow));
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.admission.is_empty()
    }

    /// What happened since the beginning.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How much there is at the moment.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges { conversations: self.cache.len(), bytes: self.cache.bytes(), busy: self.busy.len() }
    }

    /// Works with a conversation in memory.
    fn with(
        &mut self,
        now: Now,
        conv: ConvId,
        out: &mut Vec<Output>,
        work: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) {
        if let Some(holding) = self.holding(conv)
            && let Some(conversation) = self.cache.take(conv)
        {
            self.work(now, conv, holding, Some(conversation), out, work);
        }
    }

    /// As [`Owner::with`], for what the store answers: only in the term in which it was asked.
    fn answer(
        &mut self,
        now: Now,
        conv: ConvId,
        term: Term,
        out: &mut Vec<Output>,
        work: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) {
        if self.holding(conv).is_some_and(|holding| holding.term == term) {
            self.with(now, conv, out, work);
        }
    }

    fn holding(&self, conv: ConvId) -> Option<Holding> {
        self.holdings.get(&partition_of(&conv.0)).copied()
    }

    /// As [`Owner::with`], and loads it if it is not in memory.
    fn with_loaded(
        &mut self,
        now: Now,
        conv: ConvId,
        holding: Holding,
        out: &mut Vec<Output>,
        work: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) {
        let conversation = self.cache.take(conv);
        self.work(now, conv, holding, conversation, out, work);
    }

    fn work(
        &mut self,
        now: Now,
        conv: ConvId,
        holding: Holding,
        conversation: Option<Box<Conversation>>,
        out: &mut Vec<Output>,
        work: impl FnOnce(&mut Conversation, &mut Turn<'_>),
    ) {
        let partition = partition_of(&conv.0);
        let begun = out.len();
        let bytes = self.cache.bytes() + conversation.as_ref().map_or(0, |it| it.bytes());
        let known_ids_age_ms = self.known_ids_age_ms(bytes);
        let mut turn = self.turn(now, holding, out);
        turn.known_ids_age_ms = known_ids_age_ms;
        let mut conversation =
            conversation.unwrap_or_else(|| Box::new(Conversation::new(conv, partition, &mut turn)));
        work(&mut conversation, &mut turn);
        let (lost, forget) = (turn.lost, turn.forget);
        self.note(conv, &out[begun..]);
        if conversation.is_idle() || forget {
            self.busy.remove(&conv);
        } else {
            self.busy.insert(conv);
        }
        if !forget {
            self.cache.put(conv, conversation, self.settings.limits.cache_bytes);
        }
        if lost {
            self.lose(now, partition, out);
        }
    }

    /// How old an id may become, when all conversations take so much memory.
    fn known_ids_age_ms(&self, bytes: usize) -> u64 {
        let bytes_max = self.settings.limits.cache_bytes;
        match bytes {
            _ if bytes > bytes_max => 0,
            _ if bytes > bytes_max / 2 => limits::KNOWN_IDS_SCARCE_AGE_MS,
            _ => limits::KNOWN_IDS_AGE_MS,
        }
    }

    /// What one conversation works with.
    fn turn<'t>(&'t mut self, now: Now, holding: Holding, out: &'t mut Vec<Output>) -> Turn<'t> {
        let Holding { epoch, term } = holding;
        Turn {
            now,
            epoch,
            term,
            settings: &self.settings,
            out,
            created: &mut self.created,
            windows: &mut self.windows,
            tag: &mut self.tag,
            fence: &mut self.fence,
            touched: &mut self.touched,
            under_way: &mut self.under_way,
            counters: &mut self.counters,
            known_ids_age_ms: limits::KNOWN_IDS_AGE_MS,
            lost: false,
            forget: false,
        }
    }

    fn note(&mut self, conv: ConvId, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Append { tag, .. } => _ = self.tags.insert(*tag, conv),
                Output::Recovered { done: false, .. } => _ = self.behind.insert(conv),
                Output::Recovered { done: true, .. } => _ = self.behind.remove(&conv),
                _ => {}
            }
        }
    }

    /// Gives a partition up: a newer owner has it, or the outcome of an append cannot be found out.
    fn lose(&mut self, now: Now, partition: PartitionId, out: &mut Vec<Output>) {
        let Some(holding) = self.holdings.remove(&partition) else { return };
        self.windows.lose(partition);
        let lost = |conv: &ConvId| partition_of(&conv.0) == partition;
        let convs = sorted(&self.cache.ids(|conv| lost(&conv)));
        self.busy.retain(|conv| !lost(conv));
        // A fence read that has begun must not answer for what is loaded after it.
        self.fence.retain(|waits| !lost(&waits.conv));
        self.fencing.retain(|waits| !lost(&waits.conv));
        self.behind.retain(|conv| !lost(conv));
        self.admission.lose(lost, out);
        let conversations: Vec<_> =
            convs.iter().filter_map(|conv| self.cache.take(*conv)).collect();
        let mut turn = self.turn(now, holding, out);
        for conversation in conversations {
            conversation.lose(&mut turn);
        }
        self.tags.retain(|_, conv| !lost(conv));
        out.push(Output::Lost(partition));
    }
}

/// In an order that depends on nothing but what is in it: the same inputs give the same outputs.
fn sorted<'t, T: Ord + Copy + 't>(all: impl IntoIterator<Item = &'t T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().copied().collect();
    all.sort_unstable();
    all
}
