//! One conversation at its owner: its state, and what goes where.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use throng_store::{ConvId, Epoch, PageLimit, PartitionId, Range, Row, Seq, Tag, UserId};

use super::after::AfterWork;
use super::event;
use super::known::KnownIds;
use super::loading::Loading;
use super::machine::{Adopt, Settings};
use super::marks::Marks;
use super::reading::Pending;
use super::request::{Key, Now, Op, Refusal, Request};
use super::roster::Roster;
use super::senders::Senders;
use super::tail::Tail;
use super::windows::Windows;
use super::writing::Batch;
use super::{Delivery, Output, Term};
use crate::limits;

/// What a fence read has to begin after: an append that returned, or the end of a loading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fenced {
    /// Of this conversation.
    pub(crate) conv: ConvId,
    /// Of the append or the loading. A read that answers for one answers for nothing that ended
    /// since it began.
    pub(crate) tag: Tag,
}

/// What a conversation works with during one call.
pub(crate) struct Turn<'t> {
    /// The time.
    pub(crate) now: Now,
    /// Our epoch in the conversation's partition.
    pub(crate) epoch: Epoch,
    /// What is asked now is to be answered in this holding of the partition.
    pub(crate) term: Term,
    /// The owner's settings.
    pub(crate) settings: &'t Settings,
    /// What is to be done.
    pub(crate) out: &'t mut Vec<Output>,
    /// How many groups users have created.
    pub(crate) created: &'t mut super::created::CreatedGroups,
    /// Open windows of all partitions.
    pub(crate) windows: &'t mut Windows,
    /// Last tag given.
    pub(crate) tag: &'t mut Tag,
    /// What waits for a fence read.
    pub(crate) fence: &'t mut Vec<Fenced>,
    /// Conversations with after-work to begin.
    pub(crate) touched: &'t mut Vec<ConvId>,
    /// What the store was asked and has not answered.
    pub(crate) under_way: &'t mut super::counters::UnderWay,
    /// What happened, for the metrics.
    pub(crate) counters: &'t mut super::counters::Counters,
    /// Ids older than this are forgotten, milliseconds.
    pub(crate) known_ids_age_ms: u64,
    /// The partition is lost: set by whoever finds out.
    pub(crate) lost: bool,
    /// The conversation could not be loaded: the next request begins anew.
    pub(crate) forget: bool,
}

impl Turn<'_> {
    /// Answers a request with an error.
    pub(crate) fn refuse(&mut self, request: &Request, refusal: Refusal) {
        request.refuse(refusal, self.out);
    }

    /// As [`Turn::refuse`], where only the key is left.
    pub(crate) fn refuse_key(&mut self, key: Key, refusal: Refusal) {
        self.out.push(Output::Answer { key, body: refusal.frame(), refusal: Some(refusal) });
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, key: Key, body: bytes::Bytes) {
        self.out.push(Output::Answer { key, body, refusal: None });
    }

    /// Tells users.
    fn deliver(&mut self, delivery: Delivery) {
        self.out.push(Output::Deliver(delivery));
    }
}

/// Where a conversation stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Being read from the store; requests wait.
    Loading(Box<Loading>),
    /// Serving. Without a row in the log it does not exist.
    Serving,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(super) id: ConvId,
    pub(super) partition: PartitionId,
    pub(super) phase: Phase,
    /// Requests that came while loading.
    pub(super) arrived: VecDeque<Request>,
    pub(super) tail: Tail,
    /// With the events of the batch in flight: what the next event is judged by.
    pub(super) roster: Roster,
    /// Without them, while they change it: what readers see.
    pub(super) roster_before: Option<Box<Roster>>,
    pub(super) known: KnownIds,
    pub(super) senders: Senders,
    /// First seq that we assign ourselves.
    pub(super) base: Seq,
    /// Writes for the next batch.
    pub(super) waiting: VecDeque<Request>,
    pub(super) batch: Option<Batch>,
    /// What the first of `waiting` needs to know is being read.
    pub(super) lookup: Option<u64>,
    /// The first event, read to compare a retried creation with.
    pub(super) first_row: Option<Row>,
    pub(super) reads: BTreeMap<u64, Pending>,
    pub(super) last_read: u64,
    pub(super) marks: Marks,
    pub(super) pending: AfterWork,
    pub(super) running: Option<AfterWork>,
    /// Window that the log says is dirty with this conversation.
    pub(super) dirty: Option<u32>,
    /// Somebody waits for the after-work to be done again.
    pub(super) recovering: bool,
}

impl Conversation {
    /// Begins to load.
    pub(crate) fn new(id: ConvId, partition: PartitionId, turn: &mut Turn<'_>) -> Self {
        turn.out.push(Output::Load { conv: id, term: turn.term });
        turn.under_way.loads += 1;
        turn.counters.loads += 1;
        Self {
            id,
            partition,
            phase: Phase::Loading(Box::default()),
            arrived: VecDeque::new(),
            tail: Tail::default(),
            roster: Roster::default(),
            roster_before: None,
            known: KnownIds::default(),
            senders: Senders::default(),
            base: 1,
            waiting: VecDeque::new(),
            batch: None,
            lookup: None,
            first_row: None,
            reads: BTreeMap::new(),
            last_read: 0,
            marks: Marks::default(),
            pending: AfterWork::default(),
            running: None,
            dirty: None,
            recovering: false,
        }
    }

    /// Whether it has a log.
    pub(crate) fn exists(&self) -> bool {
        self.tail.head() > 0
    }

    /// Who is a member by committed events.
    pub(super) fn committed_roster(&self) -> &Roster {
        self.roster_before.as_deref().unwrap_or(&self.roster)
    }

    /// All members by committed events.
    pub(super) fn committed_audience(&mut self) -> Arc<[UserId]> {
        self.roster_before.as_deref_mut().unwrap_or(&mut self.roster).audience()
    }

    /// Whether requests of the user are for the conversation itself to judge: they are a member, or
    /// an earlier one of theirs, which may be the creation, waits here.
    pub(crate) fn knows(&self, user: UserId) -> bool {
        let mut waiting = self.arrived.iter().chain(&self.waiting);
        self.roster.member(user).is_some()
            || self.committed_roster().member(user).is_some()
            || waiting.any(|request| request.asker.user.id == user)
    }

    /// Takes a request.
    pub(crate) fn request(&mut self, request: Request, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::Loading(_) if self.arrived.len() < limits::WAITING_MAX => {
                self.arrived.push_back(request);
            }
            Phase::Loading(_) => self.overloaded(&request, turn),
            Phase::Serving => self.serve(request, turn),
        }
    }

    pub(super) fn overloaded(&mut self, request: &Request, turn: &mut Turn<'_>) {
        turn.counters.overloaded += 1;
        self.senders.failed(request.asker.connection, request.order);
        turn.refuse(request, Refusal::Overloaded);
    }

    /// Begins to serve what waited.
    pub(super) fn serve_arrived(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Serving;
        for request in std::mem::take(&mut self.arrived) {
            self.serve(request, turn);
        }
        if self.recovering {
            self.project_again(turn);
        }
        if !self.pending.is_empty() {
            turn.touched.push(self.id);
        }
        self.finish_recovery(turn);
    }

    pub(super) fn serve(&mut self, request: Request, turn: &mut Turn<'_>) {
        match request.op {
            Op::Write(_) | Op::Refused(_) if self.waiting.len() >= limits::WAITING_MAX => {
                self.overloaded(&request, turn);
            }
            Op::Write(_) | Op::Refused(_) => {
                self.waiting.push_back(request);
                self.pump(turn);
            }
            Op::Delivered(seq) => self.mark(request, seq, 0, turn),
            Op::Read(seq) => self.mark(request, seq, seq, turn),
            Op::History(page) => self.page(&request, page, turn),
            Op::Members { after, limit } => self.members(request, after, limit, turn),
            Op::Head { event } => self.head(&request, event, turn),
        }
    }

    /// Asks the store for rows.
    pub(super) fn read(
        &mut self,
        range: Range,
        limit: impl Into<PageLimit>,
        pending: Pending,
        turn: &mut Turn<'_>,
    ) -> u64 {
        self.last_read += 1;
        self.reads.insert(self.last_read, pending);
        turn.counters.reads += 1;
        turn.under_way.reads += 1;
        let (conv, read, limit) = (self.id, self.last_read, limit.into());
        turn.out.push(Output::Read { conv, term: turn.term, read, range, limit });
        self.last_read
    }

    /// Rows that were asked for; `None` if the store did not give them.
    pub(crate) fn rows(&mut self, read: u64, rows: Option<Vec<Row>>, turn: &mut Turn<'_>) {
        match (self.reads.remove(&read), rows) {
            (None, _) => {}
            (Some(Pending::Older), rows) => self.loaded_older(rows, turn),
            (Some(Pending::Scan { below }), rows) => self.scanned(below, rows, turn),
            (Some(Pending::First), rows) => self.first_read(rows, turn),
            (Some(Pending::Page(page)), Some(rows)) => self.page_read(page, rows, turn),
            (Some(Pending::Page(page)), None) => turn.refuse_key(page.key, Refusal::Unavailable),
            (Some(Pending::Mark { request, seq }), Some(rows)) => {
                self.mark_read(request, seq, &rows, turn);
            }
            (Some(Pending::Mark { request, .. }), None) => {
                turn.refuse(&request, Refusal::Unavailable);
            }
        }
    }

    /// The fence read that began after this append (or loading) returned showed us as owner.
    pub(crate) fn held(&mut self, tag: Tag, turn: &mut Turn<'_>) {
        if self.batch.as_ref().is_some_and(|batch| batch.is_written(tag)) {
            self.commit(turn);
        }
        self.loading_held(tag, turn);
    }

    /// Begins the after-work, if none is under way.
    pub(crate) fn flush(&mut self, turn: &mut Turn<'_>) {
        if self.running.is_some() || self.pending.is_empty() {
            return;
        }
        let mut work = std::mem::take(&mut self.pending);
        let projections = work.projections(self.id, turn.now.moment_ms);
        turn.out.push(Output::Project { conv: self.id, term: turn.term, projections });
        self.running = Some(work);
    }

    /// The projections of the after-work are applied: now deliver.
    pub(crate) fn projected(&mut self, turn: &mut Turn<'_>) {
        let Some(work) = self.running.take() else { return };
        for delivery in work.deliveries(self.id) {
            turn.deliver(delivery);
        }
        for key in &work.waiting {
            turn.answer(*key, event::ok_frame());
        }
        for window in &work.windows {
            turn.windows.done(self.partition, *window);
        }
        self.flush(turn);
        self.pump(turn);
        self.finish_recovery(turn);
    }

    /// Somebody waits until the after-work of an earlier owner is done again.
    pub(crate) fn recover(&mut self, turn: &mut Turn<'_>) {
        self.recovering = true;
        if matches!(self.phase, Phase::Serving) {
            self.project_again(turn);
        }
        self.finish_recovery(turn);
    }

    /// That nothing was missing when it was loaded says only that one replica has the conversation's
    /// row. Once the windows of its writer are closed nobody else would write it.
    fn project_again(&mut self, turn: &mut Turn<'_>) {
        let is_under_way = self.pending.conv.is_some()
            || self.running.as_ref().is_some_and(|work| work.conv.is_some());
        let Some(last) = self.tail.last() else { return };
        if Self::rewrites(turn) && !is_under_way {
            self.pending.conv = Some(self.committed_roster().conv_row(self.id, last));
            turn.touched.push(self.id);
        }
    }

    fn finish_recovery(&mut self, turn: &mut Turn<'_>) {
        let done = self.running.is_none() && self.pending.is_empty();
        if self.recovering && done && matches!(self.phase, Phase::Serving) {
            self.recovering = false;
            self.tell_head(turn);
            turn.out.push(Output::Recovered { conv: self.id, done: true });
        }
    }

    /// Whoever heard of it before sees that they have it; whoever did not, the hole.
    fn tell_head(&mut self, turn: &mut Turn<'_>) {
        let users = self.committed_audience();
        if let Some(row) = self.tail.last() {
            let frame = event::event_frame(&self.id, row);
            turn.deliver(Delivery { frame, users, except: None, ephemeral: false });
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono_ms;
        let expired = |request: &Request| request.deadline_ms <= now;
        while let Some(request) = self.arrived.pop_front_if(|request| expired(request)) {
            turn.refuse(&request, Refusal::Unavailable);
        }
        // The first may be waiting for a lookup, whose answer must find it in its place.
        if self.lookup.is_none() {
            while let Some(request) = self.waiting.pop_front_if(|request| expired(request)) {
                self.overloaded(&request, turn);
            }
        }
        self.retry_append(turn);
    }

    /// The partition is lost: nothing that is under way will be finished here.
    pub(crate) fn lose(self, turn: &mut Turn<'_>) {
        if self.recovering {
            turn.out.push(Output::Recovered { conv: self.id, done: false });
        }
        if let Some(batch) = self.batch {
            for ack in batch.acks {
                turn.refuse_key(ack.key, Refusal::Unknown);
            }
        }
        for request in self.arrived.iter().chain(&self.waiting).chain(self.marks.waiting()) {
            turn.refuse(request, Refusal::Unavailable);
        }
        for pending in self.reads.into_values() {
            match pending {
                Pending::Page(page) => turn.refuse_key(page.key, Refusal::Unavailable),
                Pending::Mark { request, .. } => turn.refuse(&request, Refusal::Unavailable),
                Pending::Older | Pending::Scan { .. } | Pending::First => {}
            }
        }
        let running = self.running.iter().flat_map(|work| &work.waiting);
        for key in self.pending.waiting.iter().chain(running) {
            turn.refuse_key(*key, Refusal::Unavailable);
        }
    }

    /// Nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Serving)
            && self.waiting.is_empty()
            && self.batch.is_none()
            && self.reads.is_empty()
            && self.marks.waiting().is_empty()
            && self.running.is_none()
            && self.pending.is_empty()
    }

    /// Memory in use, about, bytes.
    pub(crate) fn bytes(&self) -> usize {
        const KNOWN_BYTES: usize = 128;
        const MEMBER_BYTES: usize = 128;
        const MARK_BYTES: usize = 64;
        const SENDER_BYTES: usize = 48;
        size_of::<Self>()
            + self.tail.bytes()
            + self.known.len() * KNOWN_BYTES
            + self.roster.len() * MEMBER_BYTES
            + self.marks.len() * MARK_BYTES
            + self.senders.len() * SENDER_BYTES
    }

    /// Whether rows of an earlier owner that may not be committed are written again.
    pub(super) fn rewrites(turn: &Turn<'_>) -> bool {
        turn.settings.adopt == Adopt::Rewrite
    }
}
