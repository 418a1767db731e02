//! A store and a clock for tests of the machine: it does what the outputs say, when told to.

mod asking;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use throng_store::{
    Append, AppendOutcome, ConvId, ConvRow, FenceOutcome, MemberRow, PageLimit, PartitionId,
    Projection, Range, Row, Seq, Tag, UserId, Watermarks,
};
use throng_wire::{Protobuf, id, v1};

use super::event::{self, user_id};
use super::{
    Adopt, Asker, Connection, Delivery, Head, Key, Loaded, Named, Now, Op, Order, Output, Owner,
    Refusal, Request, Settings, Term, What, Write,
};
use crate::limits::{Limits, TAIL};
use crate::partition::partition_of;

/// When tests begin, Unix milliseconds.
pub(crate) const START_MS: u64 = 1_790_000_000_000;

/// The epoch of the owner under test.
pub(crate) const EPOCH: u32 = 5;

/// A message row of an earlier owner that committed everything before it.
pub(crate) fn row_of(seq: Seq) -> Row {
    let mut client_msg_id = [0; 16];
    client_msg_id[8..].copy_from_slice(&seq.to_be_bytes());
    Row {
        seq,
        epoch: 1,
        acked: seq.saturating_sub(1),
        base: 1,
        n: seq.saturating_sub(1),
        created_at_ms: START_MS - 1_000_000 + seq,
        sender: user_id("alice"),
        client_msg_id,
        digest: [0; 8],
        kind: v1::Event::MESSAGE as u8,
        flags: 0,
        ref_seq: 0,
        body: text_body("alice", "hi", &client_msg_id),
    }
}

/// The first row of a group of these members, of whom the first is the owner.
pub(crate) fn created_row(members: &[&str]) -> Row {
    let others: Vec<Named> = members[1..].iter().map(|name| named(name)).collect();
    let what = super::roster::created_group(members[0], "group", &others, false);
    let body = event::body(members[0], "phone", &[0; 16], what);
    Row { kind: v1::Event::CREATED as u8, sender: user_id(members[0]), body, ..row_of(1) }
}

fn text_body(sender: &str, text: &str, client_msg_id: &id::Id) -> bytes::Bytes {
    let content = Some(v1::Content::Text(text.to_owned().into()));
    let message = v1::Message { kind: "text".into(), content, reply_to: 0 };
    event::body(sender, "phone", client_msg_id, v1::What::Message(message))
}

pub(crate) fn named(name: &str) -> Named {
    Named { id: user_id(name), name: name.into() }
}

/// The connection of a user's phone.
pub(crate) fn phone(user: &str) -> Connection {
    let slot = user.bytes().fold(0, |slot, byte| slot * 31 + u32::from(byte));
    Connection { link: 1, slot, session: 1 }
}

/// A UUIDv7 of a moment.
pub(crate) fn msg_id(time_ms: u64, number: u64) -> id::Id {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    id::make_v7(time_ms, random)
}

/// How an append in flight ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Becomes(AppendOutcome),
    Busy,
}

/// An owner, its store, and all that it said.
pub(crate) struct Bench {
    pub(crate) owner: Owner,
    epoch: u32,
    owned: HashSet<PartitionId>,
    pub(crate) now: Now,
    pub(crate) rows: HashMap<ConvId, Vec<Row>>,
    pub(crate) convs: HashMap<ConvId, ConvRow>,
    pub(crate) members: BTreeMap<(ConvId, UserId), MemberRow>,
    pub(crate) marks: HashMap<(ConvId, UserId), Watermarks>,
    pub(crate) projected: Vec<Projection>,
    pub(crate) appends: Vec<(Tag, Append)>,
    pub(crate) projecting: Vec<(ConvId, Term)>,
    pub(crate) answers: HashMap<u64, v1::Body<'static>>,
    pub(crate) refusals: HashMap<u64, Refusal>,
    pub(crate) heads: HashMap<u64, Result<Head, Refusal>>,
    pub(crate) delivered: Vec<Delivery>,
    pub(crate) closed: usize,
    pub(crate) lost: usize,
    pub(crate) recovered: Vec<(ConvId, bool)>,
    pub(crate) reads: usize,
    /// Reads of whether somebody is a member.
    pub(crate) member_reads: usize,
    /// Rows that these reads gave.
    pub(crate) rows_read: usize,
    /// Groups that everybody has created, as the store counts them, and how often it did.
    pub(crate) created_groups: usize,
    pub(crate) counts: usize,
    /// Appends, fence reads and projections succeed at once.
    pub(crate) smooth: bool,
    pub(crate) fence: FenceOutcome,
    /// Reads and loads fail.
    pub(crate) deaf: bool,
    /// What is read waits to be answered by hand.
    pub(crate) slow: bool,
    pub(crate) questions: VecDeque<Output>,
    request: u64,
    msg: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Adopt::AsIs)
    }

    pub(crate) fn with(adopt: Adopt) -> Self {
        Self::with_settings(Settings { limits: Limits::default(), adopt })
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self {
            owner: Owner::new(settings),
            epoch: EPOCH,
            owned: HashSet::new(),
            now: Now { wall_ms: START_MS, moment_ms: START_MS, mono_ms: 1_000 },
            rows: HashMap::new(),
            convs: HashMap::new(),
            members: BTreeMap::new(),
            marks: HashMap::new(),
            projected: Vec::new(),
            appends: Vec::new(),
            projecting: Vec::new(),
            answers: HashMap::new(),
            refusals: HashMap::new(),
            heads: HashMap::new(),
            delivered: Vec::new(),
            closed: 0,
            lost: 0,
            recovered: Vec::new(),
            reads: 0,
            rows_read: 0,
            member_reads: 0,
            created_groups: 0,
            counts: 0,
            smooth: true,
            fence: FenceOutcome::Held,
            deaf: false,
            slow: false,
            questions: VecDeque::new(),
            request: 0,
            msg: 0,
        }
    }

    /// The same store with an owner that knows nothing.
    pub(crate) fn restart(&mut self) {
        let limits = Limits::default();
        self.owner = Owner::new(Settings { limits, adopt: Adopt::AsIs });
        self.epoch += 1;
        self.owned.clear();
        self.appends.clear();
        self.projecting.clear();
    }

    /// The conversation's partition is ours, unless we lost one.
    fn own(&mut self, conv: ConvId) {
        let partition = partition_of(&conv.0);
        if self.lost == 0 && self.owned.insert(partition) {
            self.owner.take(partition, self.epoch);
        }
    }

    /// What was lost is ours again, in a later epoch.
    pub(crate) fn take_again(&mut self, conv: ConvId) {
        self.epoch += 2;
        self.owner.take(partition_of(&conv.0), self.epoch);
    }

    /// The after-work of an earlier owner is to be done again.
    pub(crate) fn recover(&mut self, conv: ConvId) {
        let mut out = Vec::new();
        self.own(conv);
        self.owner.recover(self.now, conv, &mut out);
        self.run(out);
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.wall_ms += ms;
        self.now.moment_ms += ms;
        self.now.mono_ms += ms;
        let mut out = Vec::new();
        self.owner.tick(self.now, &mut out);
        self.run(out);
    }

    /// An id of now that nobody used.
    pub(crate) fn fresh_id(&mut self) -> id::Id {
        self.msg += 1;
        msg_id(self.now.wall_ms, self.msg)
    }

    /// Asks; gives the number by which the answer is found.
    pub(crate) fn ask(&mut self, user: &str, conv: ConvId, op: Op) -> u64 {
        self.ask_ordered(user, conv, op, None)
    }

    pub(crate) fn ask_ordered(
        &mut self,
        user: &str,
        conv: ConvId,
        op: Op,
        order: Option<Order>,
    ) -> u64 {
        self.request += 1;
        let asker = Asker { user: named(user), device: "phone".into(), connection: phone(user) };
        let key = Key { link: 1, part: 0, request: self.request };
        let deadline_ms = self.now.mono_ms + 10_000;
        let request = Request { key, asker, order, deadline_ms, op };
        let mut out = Vec::new();
        self.own(conv);
        self.owner.request(self.now, conv, request, &mut out);
        self.run(out);
        self.request
    }

    /// Does what the outputs say, and what comes of it.
    pub(crate) fn run(&mut self, mut out: Vec<Output>) {
        loop {
            if self.smooth {
                self.fence(&mut out);
            }
            self.owner.flush(self.now, &mut out);
            if out.is_empty() {
                return;
            }
            for output in std::mem::take(&mut out) {
                self.output(output, &mut out);
            }
        }
    }

    /// A fence read, if one is wanted.
    pub(crate) fn fence(&mut self, out: &mut Vec<Output>) {
        if self.owner.wants_fence() {
            self.owner.fence_begins();
            self.owner.fenced(self.now, self.fence, out);
        }
    }

    /// A fence read by hand.
    pub(crate) fn fence_now(&mut self) {
        let mut out = Vec::new();
        self.fence(&mut out);
        self.run(out);
    }

    /// The oldest append in flight ends by hand.
    pub(crate) fn end_append(&mut self, ending: Ending) -> Append {
        let (tag, append) = self.appends.remove(0);
        let mut out = Vec::new();
        match ending {
            Ending::Busy => self.owner.append_busy(self.now, tag, &mut out),
            Ending::Becomes(outcome) => {
                if outcome == AppendOutcome::Ok {
                    self.write(&append);
                }
                self.owner.appended(self.now, tag, outcome, &mut out);
            }
        }
        self.run(out);
        append
    }

    /// The oldest question is answered with what the store has, by hand.
    pub(crate) fn end_question(&mut self) {
        let question = self.questions.pop_front().expect("nothing was asked");
        let mut out = Vec::new();
        self.slow = false;
        self.output(question, &mut out);
        self.slow = true;
        self.run(out);
    }

    /// The store does not answer the oldest question, by hand.
    pub(crate) fn fail_question(&mut self) {
        self.deaf = true;
        self.end_question();
        self.deaf = false;
    }

    /// The projections under way are applied, by hand.
    pub(crate) fn end_projections(&mut self) {
        let mut out = Vec::new();
        for (conv, term) in std::mem::take(&mut self.projecting) {
            self.owner.projected(self.now, conv, term, &mut out);
        }
        self.run(out);
    }

    pub(crate) fn write(&mut self, append: &Append) {
        self.rows.entry(append.conv).or_default().extend(append.rows.iter().cloned());
    }

    fn output(&mut self, output: Output, out: &mut Vec<Output>) {
        let now = self.now;
        match output {
            Output::Member { .. }
            | Output::Load { .. }
            | Output::Read { .. }
            | Output::Count { .. }
            | Output::Watermarks { .. }
                if self.slow =>
            {
                self.questions.push_back(output);
            }
            Output::Member { conv, term, user } => {
                self.member_reads += 1;
                let member = (!self.deaf).then(|| self.members.contains_key(&(conv, user)));
                self.owner.member(now, conv, term, user, member, out);
            }
            Output::Load { conv, term } => {
                let loaded = (!self.deaf).then(|| self.loaded(conv));
                self.owner.loaded(now, conv, term, loaded, out);
            }
            Output::Read { conv, term, read, range, limit } => {
                self.reads += 1;
                let rows = (!self.deaf).then(|| self.range(conv, range, limit));
                self.rows_read += rows.as_ref().map_or(0, Vec::len);
                self.owner.rows(now, conv, term, read, rows, out);
            }
            Output::Count { conv, term, user } => {
                self.counts += 1;
                let count = (!self.deaf).then_some(self.created_groups);
                self.owner.counted(now, conv, term, user, count, out);
            }
            Output::Watermarks { conv, term, users } => {
                self.reads += 1;
                let of = |user| self.marks.get(&(conv, user)).copied().unwrap_or_default();
                let found = users.into_iter().map(|user| (user, of(user))).collect();
                self.owner.watermarks(now, conv, term, (!self.deaf).then_some(found), out);
            }
            Output::Append { append, tag } if self.smooth => {
                self.write(&append);
                self.owner.appended(now, tag, AppendOutcome::Ok, out);
            }
            Output::Append { append, tag } => self.appends.push((tag, append)),
            Output::Project { conv, term, projections } => {
                self.apply(&projections);
                self.projected.extend(projections);
                if self.smooth {
                    self.owner.projected(now, conv, term, out);
                } else {
                    self.projecting.push((conv, term));
                }
            }
            Output::Answer { key, body, refusal } => self.answered(key, &body, refusal),
            Output::Head { key, head } => {
                assert!(self.heads.insert(key.request, head).is_none(), "answered twice");
            }
            Output::Deliver(delivery) => self.delivered.push(delivery),
            Output::CloseWindow(_) => self.closed += 1,
            Output::Recovered { conv, done } => self.recovered.push((conv, done)),
            Output::Lost(_) => self.lost += 1,
        }
    }

    fn answered(&mut self, key: Key, body: &[u8], refusal: Option<Refusal>) {
        let frame = v1::ServerFrame::decode(body).unwrap().into_owned();
        let body = frame.body.expect("an answer has a body");
        assert!(self.answers.insert(key.request, body).is_none(), "answered twice");
        self.refusals.extend(refusal.map(|refusal| (key.request, refusal)));
    }

    fn apply(&mut self, projections: &[Projection]) {
        for projection in projections {
            match projection {
                Projection::Conv(row) => {
                    self.convs.insert(row.conv, row.clone());
                }
                Projection::Member { conv, row, .. } => {
                    self.members.insert((*conv, row.user), row.clone());
                }
                Projection::Mark { user, conv, delivered_seq, read_seq, .. } => {
                    let marks = self.marks.entry((*conv, *user)).or_default();
                    marks.delivered_seq = marks.delivered_seq.max(*delivered_seq);
                    marks.read_seq = marks.read_seq.max(*read_seq);
                }
                Projection::Listed { .. } | Projection::Touch { .. } => {}
            }
        }
    }

    fn loaded(&self, conv: ConvId) -> Loaded {
        let of_conv = |((of, _), row): (&(ConvId, UserId), &MemberRow)| {
            (*of == conv && row.left_seq == 0).then(|| row.clone())
        };
        Loaded {
            conv: self.convs.get(&conv).cloned(),
            members: self.members.iter().filter_map(of_conv).collect(),
            tail: self.range(conv, Range::Before(Seq::MAX), TAIL),
        }
    }

    fn range(&self, conv: ConvId, range: Range, limit: PageLimit) -> Vec<Row> {
        let mut rows = self.rows.get(&conv).cloned().unwrap_or_default();
        rows.sort_by_key(|row| (row.seq, row.epoch));
        match range {
            Range::Before(before) => {
                rows.reverse();
                rows.retain(|row| row.seq < before);
            }
            Range::After(after) => rows.retain(|row| row.seq > after),
        }
        let ascending = matches!(range, Range::After(_));
        let mut page: Vec<Row> = Vec::new();
        for row in rows {
            let last = page.last().map(|last| last.seq);
            if limit.ended(&page) && !(ascending && last == Some(row.seq)) {
                break;
            }
            page.push(row);
        }
        page
    }
}

pub(crate) fn message(user: &str, client_msg_id: id::Id, text: &str) -> Op {
    let body = text_body(user, text, &client_msg_id);
    let mut digest = [0; 8];
    let len = text.len().min(8);
    digest[..len].copy_from_slice(&text.as_bytes()[..len]);
    let what = What::Message { body, reply_to: 0, to: None };
    Op::Write(Write { client_msg_id, digest, what })
}

pub(crate) fn message_to(user: &str, to: &str, client_msg_id: id::Id) -> (ConvId, Op) {
    let conv = ConvId(id::direct_conv(user, to));
    let Op::Write(write) = message(user, client_msg_id, "hi") else { unreachable!() };
    let What::Message { body, .. } = write.what else { unreachable!() };
    let what = What::Message { body, reply_to: 0, to: Some(named(to)) };
    (conv, Op::Write(Write { what, ..write }))
}

pub(crate) fn create(client_msg_id: id::Id, members: &[&str]) -> Op {
    let members = members.iter().map(|name| named(name)).collect();
    let what = What::Create { name: "group".into(), members, history_all: false };
    Op::Write(Write { client_msg_id, digest: [2; 8], what })
}

/// Puts a group's log of `head` rows, with its projections up to `applied`, into the store.
pub(crate) fn stored(bench: &mut Bench, conv: ConvId, members: &[&str], head: Seq, applied: Seq) {
    let mut rows = vec![created_row(members)];
    rows.extend((2..=head).map(row_of));
    if applied > 0 {
        for (index, name) in members.iter().enumerate() {
            let role =
                if index == 0 { throng_store::Role::Owner } else { throng_store::Role::Member };
            let row = MemberRow {
                user: user_id(name),
                name: (*name).into(),
                role,
                joined_seq: 1,
                left_seq: 0,
            };
            bench.members.insert((conv, row.user), row);
        }
        bench.convs.insert(
            conv,
            ConvRow {
                conv,
                direct: false,
                name: "group".into(),
                history_all: false,
                applied_seq: applied,
                applied_n: applied - 1,
                member_count: members.len() as u32,
            },
        );
    }
    bench.rows.insert(conv, rows);
}

/// A conversation of a known partition.
pub(crate) const CONV: ConvId = ConvId([0x42; 16]);
