//! Writes: from a request to a committed row.

use throng_store::{Append, AppendOutcome, ConvRow, Range, Row, Seq, Tag, UserId};
use throng_wire::{id, v1};

use super::Output;
use super::after::{AfterWork, Heard};
use super::conversation::{Conversation, Phase, Turn};
use super::event;
use super::known::Verdict;
use super::reading::Pending;
use super::request::{Asker, Connection, Key, Named, Op, Refusal, Request, What, Write};
use super::roster::{self, Applied};
use super::windows::window_at;
use crate::limits;

/// `Row::kind` of a message, the only event that counts as unread.
const MESSAGE_KIND: u8 = v1::Event::MESSAGE as u8;

/// Who is told when a row is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// The request.
    pub(crate) key: Key,
    seq: Seq,
    duplicate: bool,
}

/// How far an append is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the store.
    Sent,
    /// The outcome is not known, or the store's queue was full: again at this monotonic time.
    Retry(u64),
    /// At the store for good; a fence read is awaited.
    Written,
}

/// The append in flight.
#[derive(Debug)]
pub(crate) struct Batch {
    rows: Vec<Row>,
    tag: Tag,
    state: State,
    unknown: u32,
    pub(crate) acks: Vec<Ack>,
    work: AfterWork,
    began_ms: u64,
    window: u32,
    /// Adopted rows under our term, instead of new ones.
    rewrite: bool,
}

impl Batch {
    /// At the store for good.
    pub(crate) fn is_written(&self) -> bool {
        self.state == State::Written
    }
}

/// The batch being made.
#[derive(Debug, Default)]
struct Draft {
    rows: Vec<Row>,
    bytes: usize,
    acks: Vec<Ack>,
    work: AfterWork,
}

impl Draft {
    /// A direct conversation's first message takes two rows.
    fn has_room(&self) -> bool {
        self.rows.len() + 2 <= limits::BATCH_ROWS_MAX
    }
}

/// What is to be done with a write.
enum Decision {
    /// Add events, the last of which is acknowledged.
    Append(Vec<Content>),
    /// It is there already.
    Duplicate(Seq, u64),
    /// It would change nothing.
    Unchanged,
    /// Something must be read first.
    Lookup(Lookup),
}

enum Lookup {
    Scan(Seq),
    First,
    Count,
}

/// An event to be.
struct Content {
    client_msg_id: id::Id,
    digest: [u8; 8],
    kind: u8,
    ref_seq: Seq,
    body: bytes::Bytes,
}

impl Content {
    fn event(asker: &Asker, write: &Write, what: v1::What<'_>) -> Self {
        let kind = match what {
            v1::What::Message(_) => v1::Event::MESSAGE,
            v1::What::Member(_) => v1::Event::MEMBER,
            v1::What::Meta(_) => v1::Event::META,
            v1::What::Created(_) => v1::Event::CREATED,
        };
        Self {
            client_msg_id: write.client_msg_id,
            digest: write.digest,
            kind: kind as u8,
            ref_seq: 0,
            body: event::body(&asker.user.name, &asker.device, &write.client_msg_id, what),
        }
    }
}

impl Conversation {
    /// Makes the next batch of what waits and sends it, if nothing is in flight.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) {
        let free = matches!(self.phase, Phase::Serving)
            && self.batch.is_none()
            && self.lookup.is_none()
            && self.pending.heard.len() < limits::AFTER_WORK_ROWS_MAX;
        if !free {
            return;
        }
        let mut draft = Draft::default();
        while draft.has_room()
            && let Some(request) = self.waiting.pop_front()
        {
            if let Some(request) = self.draft(&mut draft, request, turn) {
                self.waiting.push_front(request);
                break;
            }
        }
        if !draft.rows.is_empty() {
            self.send(draft, turn);
        }
    }

    /// Decides on one write. Gives it back if it must stay in its place.
    fn draft(
        &mut self,
        draft: &mut Draft,
        request: Request,
        turn: &mut Turn<'_>,
    ) -> Option<Request> {
        let decision = match self.decide(&request, draft, turn) {
            Ok(decision) => decision,
            Err(refusal) => {
                self.refused(&request, refusal, turn);
                return None;
            }
        };
        match decision {
            Decision::Append(contents) => return self.allocate(draft, request, contents, turn),
            Decision::Lookup(lookup) => {
                if draft.rows.is_empty() {
                    self.look_up(&lookup, &request, turn);
                }
                return Some(request);
            }
            Decision::Duplicate(seq, time_ms) => {
                turn.counters.duplicates += 1;
                self.done_before(draft, request.key, seq, time_ms, turn);
            }
            Decision::Unchanged => {
                let (seq, time_ms) = self.newest(draft);
                self.done_before(draft, request.key, seq, time_ms, turn);
            }
        }
        self.settled(&request);
        None
    }

    fn settled(&mut self, request: &Request) {
        self.senders.settled(request.asker.connection, request.order);
        self.scanned_rows = 0;
        self.first_row = None;
        self.counted = None;
    }

    fn refused(&mut self, request: &Request, refusal: Refusal, turn: &mut Turn<'_>) {
        turn.counters.refused += 1;
        self.settled_or_failed(request, refusal);
        turn.refuse(request, refusal);
    }

    fn settled_or_failed(&mut self, request: &Request, refusal: Refusal) {
        if refusal.code().is_retryable() {
            self.senders.failed(request.asker.connection, request.order);
            self.scanned_rows = 0;
        } else {
            self.settled(request);
        }
    }

    /// Seq and time of the last row, of the draft's if it has any.
    fn newest(&self, draft: &Draft) -> (Seq, u64) {
        let head = (self.tail.head(), self.tail.created_at_ms());
        draft.rows.last().map_or(head, |row| (row.seq, row.created_at_ms))
    }

    /// Acknowledges what an earlier write did: now, or with the batch that has it.
    fn done_before(
        &self,
        draft: &mut Draft,
        key: Key,
        seq: Seq,
        time_ms: u64,
        turn: &mut Turn<'_>,
    ) {
        if seq > self.tail.head() {
            draft.acks.push(Ack { key, seq, duplicate: true });
        } else {
            turn.answer(key, event::ack_frame(&self.id, seq, time_ms, true));
        }
    }

    fn decide(
        &self,
        request: &Request,
        draft: &Draft,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        let Op::Write(write) = &request.op else { return Err(Refusal::Internal) };
        if request.deadline_ms <= turn.now.mono_ms {
            return Err(Refusal::Overloaded);
        }
        if !self.senders.admits(request.asker.connection, request.order) {
            return Err(Refusal::AfterFailed);
        }
        let exists = self.exists() || !draft.rows.is_empty();
        let user = &request.asker.user;
        if exists && matches!(write.what, What::Create { .. }) {
            return self.created_before(user.id, write, turn);
        }
        if exists && self.roster.member(user.id).is_none() {
            return Err(Refusal::NotMember);
        }
        if !exists && !self.may_create(user, write) {
            return Err(Refusal::NotMember);
        }
        let made_ms = fresh(write, turn)?;
        match self.known.find(user.id, &write.client_msg_id, made_ms) {
            Verdict::At(seq) => return self.duplicate(seq, write),
            Verdict::Ask(_) if self.scanned_rows >= limits::SCAN_ROWS_MAX => {
                return Err(Refusal::SyncFirst);
            }
            Verdict::Ask(below) => return Ok(Decision::Lookup(Lookup::Scan(below))),
            Verdict::New => {}
        }
        if exists {
            self.plan(request, write, draft, turn)
        } else {
            self.create(request, write, turn)
        }
    }

    /// Whether this write is the creation of this conversation.
    fn may_create(&self, user: &Named, write: &Write) -> bool {
        match &write.what {
            What::Message { to: Some(peer), .. } => {
                id::direct_conv(&user.name, &peer.name) == self.id.0
            }
            What::Create { .. } => id::group_conv(&user.name, &write.client_msg_id) == self.id.0,
            _ => false,
        }
    }

    fn duplicate(&self, seq: Seq, write: &Write) -> Result<Decision, Refusal> {
        let known = self.known.at(seq).ok_or(Refusal::Internal)?;
        if known.digest != write.digest {
            return Err(Refusal::IdReused);
        }
        Ok(Decision::Duplicate(seq, known.created_at_ms))
    }

    /// A creation of what is there: the id is part of the conversation's, so it is in event 1.
    fn created_before(
        &self,
        user: UserId,
        write: &Write,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        fresh(write, turn)?;
        let Some(first) = self.tail.row(1).or(self.first_row.as_ref()) else {
            return Ok(Decision::Lookup(Lookup::First));
        };
        if first.sender != user || first.client_msg_id != write.client_msg_id {
            return Err(Refusal::NotMember);
        }
        if first.digest != write.digest {
            return Err(Refusal::IdReused);
        }
        Ok(Decision::Duplicate(1, first.created_at_ms))
    }

    fn create(
        &self,
        request: &Request,
        write: &Write,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        let asker = &request.asker;
        match self.counted {
            Some((user, count)) if user == asker.user.id => {
                if count >= turn.settings.limits.user_conversations_max {
                    return Err(Refusal::TooLarge("you are in too many conversations"));
                }
            }
            _ => return Ok(Decision::Lookup(Lookup::Count)),
        }
        match &write.what {
            What::Message { to: Some(peer), .. } => {
                let nil = Write { client_msg_id: [0; 16], ..write.clone() };
                let created = roster::created_direct(&asker.user.name, &peer.name);
                let message = self.message(write, 1, 1)?;
                Ok(Decision::Append(vec![Content::event(asker, &nil, created), message]))
            }
            What::Create { name, members, history_all } => {
                let created = roster::created_group(&asker.user.name, name, members, *history_all);
                if members_of(&created) > turn.settings.limits.group_members_max {
                    return Err(Refusal::TooLarge("the group would have too many members"));
                }
                Ok(Decision::Append(vec![Content::event(asker, write, created)]))
            }
            _ => Err(Refusal::NotMember),
        }
    }

    /// The event that a write of a member makes.
    fn plan(
        &self,
        request: &Request,
        write: &Write,
        draft: &Draft,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        let by = self.roster.member(request.asker.user.id).ok_or(Refusal::NotMember)?;
        let members_max = turn.settings.limits.group_members_max;
        let what = match &write.what {
            What::Message { .. } => {
                let (head, _) = self.newest(draft);
                let message = self.message(write, self.roster.min_seq(by), head)?;
                return Ok(Decision::Append(vec![message]));
            }
            What::Add(users) => self.roster.plan_add(by, users, members_max)?,
            What::Remove(users) => self.roster.plan_remove(by, users)?,
            What::SetRole(user, role) => self.roster.plan_role(by, user, *role)?,
            What::Rename(name) => self.roster.plan_rename(by, name)?,
            What::Leave => self.roster.plan_leave(by)?,
            What::Create { .. } => return Err(Refusal::Internal),
        };
        let Some(what) = what else { return Ok(Decision::Unchanged) };
        Ok(Decision::Append(vec![Content::event(&request.asker, write, what)]))
    }

    fn message(&self, write: &Write, min_seq: Seq, head: Seq) -> Result<Content, Refusal> {
        let What::Message { body, reply_to, .. } = &write.what else {
            return Err(Refusal::Internal);
        };
        if *reply_to != 0 && !(min_seq..=head).contains(reply_to) {
            return Err(Refusal::BadFrame("reply_to names no event that you can see"));
        }
        Ok(Content {
            client_msg_id: write.client_msg_id,
            digest: write.digest,
            kind: MESSAGE_KIND,
            ref_seq: *reply_to,
            body: body.clone(),
        })
    }

    /// Gives the events their seqs. From here on an equal id waits for this one's outcome.
    fn allocate(
        &mut self,
        draft: &mut Draft,
        request: Request,
        contents: Vec<Content>,
        turn: &mut Turn<'_>,
    ) -> Option<Request> {
        let bytes: usize = contents.iter().map(|content| content.body.len()).sum();
        if draft.bytes + bytes > limits::BATCH_BYTES_MAX && !draft.rows.is_empty() {
            return Some(request);
        }
        draft.bytes += bytes;
        let mut seq = 0;
        for content in contents {
            let row = self.row(draft, &request.asker, content, turn);
            seq = row.seq;
            if self.enter(draft, row, request.asker.connection).is_err() {
                turn.counters.refused += 1;
                turn.refuse(&request, Refusal::Internal);
                return None;
            }
        }
        draft.acks.push(Ack { key: request.key, seq, duplicate: false });
        self.settled(&request);
        None
    }

    fn row(&self, draft: &Draft, asker: &Asker, content: Content, turn: &Turn<'_>) -> Row {
        let (head, created_at_ms) = self.newest(draft);
        let n = draft.rows.last().map_or(self.tail.n(), |row| row.n);
        Row {
            seq: head + 1,
            epoch: turn.epoch,
            acked: self.tail.head(),
            base: self.base,
            n: n + u64::from(content.kind == MESSAGE_KIND),
            created_at_ms: turn.now.wall_ms.max(created_at_ms),
            sender: asker.user.id,
            client_msg_id: content.client_msg_id,
            digest: content.digest,
            kind: content.kind,
            flags: 0,
            ref_seq: content.ref_seq,
            body: content.body,
        }
    }

    /// Applies a new row to everything that is a function of the log.
    fn enter(
        &mut self,
        draft: &mut Draft,
        row: Row,
        except: Connection,
    ) -> Result<(), throng_wire::DecodeError> {
        let Applied { projections, left } = self.roster.apply(self.id, &row)?;
        for user in &left {
            self.marks.remove(user);
        }
        let mut users = self.roster.audience();
        if !left.is_empty() {
            users = users.iter().chain(&left).copied().collect::<Vec<_>>().into();
        }
        draft.work.projections.extend(projections);
        draft.work.left.extend(left.iter().map(|user| (*user, row.seq, row.n)));
        self.known.push(&row);
        draft.work.heard.push(Heard { row: row.clone(), users, except: Some(except) });
        draft.rows.push(row);
        Ok(())
    }

    fn send(&mut self, draft: Draft, turn: &mut Turn<'_>) {
        let Draft { rows, acks, mut work, .. } = draft;
        let Some(last) = rows.last() else { return };
        let conv: ConvRow = self.roster.conv_row(self.id, last);
        work.conv = Some(conv);
        work.touched = (!self.roster.big()).then(|| self.roster.audience());
        let window = turn.windows.begin(self.partition, turn.epoch, turn.now.mono_ms);
        work.windows.push(window);
        turn.counters.batches += 1;
        turn.counters.rows += rows.len() as u64;
        self.submit(rows, acks, work, window, false, turn);
    }

    /// Adopted rows, written again before anything else.
    pub(super) fn send_rewrite(&mut self, rows: Vec<Row>, turn: &mut Turn<'_>) {
        let window = window_at(turn.now.mono_ms);
        self.submit(rows, Vec::new(), AfterWork::default(), window, true, turn);
    }

    fn submit(
        &mut self,
        rows: Vec<Row>,
        acks: Vec<Ack>,
        work: AfterWork,
        window: u32,
        rewrite: bool,
        turn: &mut Turn<'_>,
    ) {
        let began_ms = turn.now.mono_ms;
        let state = State::Sent;
        let batch =
            Batch { rows, tag: 0, state, unknown: 0, acks, work, began_ms, window, rewrite };
        self.batch = Some(batch);
        self.append(turn);
    }

    fn append(&mut self, turn: &mut Turn<'_>) {
        let Some(batch) = &mut self.batch else { return };
        *turn.tag += 1;
        batch.tag = *turn.tag;
        batch.state = State::Sent;
        let dirty = (!batch.rewrite && self.dirty != Some(batch.window)).then_some(
            throng_store::DirtyWindow {
                partition: self.partition,
                epoch: turn.epoch,
                window: batch.window,
            },
        );
        let append = Append { conv: self.id, epoch: turn.epoch, rows: batch.rows.clone(), dirty };
        turn.out.push(Output::Append { append, tag: batch.tag });
    }

    /// What became of the append in flight.
    pub(crate) fn appended(&mut self, tag: Tag, outcome: AppendOutcome, turn: &mut Turn<'_>) {
        let Some(batch) = self.batch.as_mut().filter(|batch| batch.tag == tag) else { return };
        match outcome {
            AppendOutcome::Ok => {
                batch.state = State::Written;
                turn.fence.push(self.id);
            }
            AppendOutcome::Fenced => turn.lost = true,
            AppendOutcome::Unknown => {
                turn.counters.unknown += 1;
                batch.unknown += 1;
                if batch.unknown >= limits::APPEND_ATTEMPTS_MAX {
                    turn.lost = true;
                }
                let wait_ms = limits::RETRY_MS_MIN << batch.unknown.min(10);
                batch.state = State::Retry(turn.now.mono_ms + wait_ms.min(limits::RETRY_MS_MAX));
            }
        }
    }

    /// The store's queue was full; nothing was written.
    pub(crate) fn append_busy(&mut self, tag: Tag, turn: &mut Turn<'_>) {
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.tag == tag) {
            batch.state = State::Retry(turn.now.mono_ms + limits::RETRY_MS_MIN);
        }
    }

    /// Sends the same rows again, when it is time.
    pub(super) fn retry_append(&mut self, turn: &mut Turn<'_>) {
        let due = matches!(self.batch, Some(Batch { state: State::Retry(at), .. })
            if at <= turn.now.mono_ms);
        if due {
            self.append(turn);
        }
    }

    /// The rows are the log now: acknowledge, keep, and begin what follows.
    pub(super) fn commit(&mut self, turn: &mut Turn<'_>) {
        let Some(batch) = self.batch.take() else { return };
        if batch.rewrite {
            return self.rewrite_next(turn);
        }
        self.dirty = Some(batch.window);
        turn.counters.committed(turn.now.mono_ms - batch.began_ms, batch.rows.len());
        for row in batch.rows {
            self.tail.push(row);
        }
        for ack in batch.acks {
            let time_ms = self.known.at(ack.seq).map_or(0, |known| known.created_at_ms);
            turn.answer(ack.key, event::ack_frame(&self.id, ack.seq, time_ms, ack.duplicate));
        }
        self.known.prune(turn.now.wall_ms);
        self.pending.extend(batch.work);
        turn.touched.push(self.id);
        self.pump(turn);
    }

    fn look_up(&mut self, lookup: &Lookup, request: &Request, turn: &mut Turn<'_>) {
        turn.counters.scans += 1;
        match lookup {
            Lookup::Scan(below) => {
                let left = limits::SCAN_ROWS_MAX - self.scanned_rows;
                let limit = left.min(limits::SCAN_PAGE_ROWS);
                let pending = Pending::Scan { below: *below };
                self.lookup = Some(self.read(Range::Before(*below), limit, pending, turn));
            }
            Lookup::First => {
                let limit = limits::BATCH_ROWS_MAX;
                self.lookup = Some(self.read(Range::Before(2), limit, Pending::First, turn));
            }
            Lookup::Count => {
                self.lookup = Some(0);
                turn.out.push(Output::Count { conv: self.id, user: request.asker.user.id });
            }
        }
    }

    /// Older rows, among which the id of the first write that waits is sought.
    pub(super) fn scanned(&mut self, below: Seq, rows: Option<Vec<Row>>, turn: &mut Turn<'_>) {
        self.lookup = None;
        let Some(rows) = rows else { return self.lookup_failed(turn) };
        self.scanned_rows += rows.len();
        for row in super::highest_epochs(rows) {
            self.known.push_older(&row);
        }
        if self.known.floor() >= below {
            return self.lookup_failed(turn);
        }
        self.pump(turn);
    }

    /// The first event.
    pub(super) fn first_read(&mut self, rows: Option<Vec<Row>>, turn: &mut Turn<'_>) {
        self.lookup = None;
        self.first_row = rows.and_then(|rows| super::highest_epochs(rows).pop());
        if self.first_row.is_none() {
            return self.lookup_failed(turn);
        }
        self.pump(turn);
    }

    /// How many conversations the user has who is about to create this one.
    pub(crate) fn counted(&mut self, user: UserId, count: Option<usize>, turn: &mut Turn<'_>) {
        self.lookup = None;
        let Some(count) = count else { return self.lookup_failed(turn) };
        self.counted = Some((user, count));
        self.pump(turn);
    }

    /// The store did not give what the first write needs.
    fn lookup_failed(&mut self, turn: &mut Turn<'_>) {
        if let Some(request) = self.waiting.pop_front() {
            self.refused(&request, Refusal::Unavailable, turn);
        }
        self.pump(turn);
    }
}

/// The id's time, if it is within the limits around ours.
fn fresh(write: &Write, turn: &Turn<'_>) -> Result<u64, Refusal> {
    let made_ms = id::v7_time_ms(&write.client_msg_id)
        .ok_or(Refusal::BadFrame("client_msg_id is not a UUIDv7"))?;
    if made_ms > turn.now.wall_ms + limits::CLOCK_AHEAD_MS_MAX {
        return Err(Refusal::Clock);
    }
    if made_ms + limits::ID_AGE_MS_MAX < turn.now.wall_ms {
        return Err(Refusal::ExpiredId);
    }
    Ok(made_ms)
}

fn members_of(created: &v1::What<'_>) -> usize {
    match created {
        v1::What::Created(created) => created.members.len(),
        _ => 0,
    }
}
