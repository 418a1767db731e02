//! Writes: from a request to a committed row.

use smallvec::SmallVec;
use throng_store::{Append, AppendOutcome, ConvRow, Range, Row, Seq, Tag, UserId};

use super::Output;
use super::after::{AfterWork, Heard};
use super::conversation::{Conversation, Fenced, Phase, Turn};
use super::deciding::{Content, Decision, Lookup, MESSAGE_KIND};
use super::event;
use super::reading::Pending;
use super::request::{Asker, Connection, Key, Op, Refusal, Request, What};
use super::roster::Applied;
use crate::limits;

/// Who is told when a row is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// The request.
    pub(crate) key: Key,
    says: Says,
}

/// Those of one batch. Most batches are short.
pub(crate) type Acks = SmallVec<[Ack; 2]>;

/// What the answer to a write says when the batch is committed.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// The write's event.
    Event { seq: Seq, duplicate: bool },
    /// It was so already, by an event of this batch at the latest.
    Unchanged,
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
    pub(crate) acks: Acks,
    work: AfterWork,
    began_ms: u64,
    window: u32,
    /// Adopted rows under our term, instead of new ones.
    rewrite: bool,
}

impl Batch {
    /// At the store for good, by the append with this tag.
    pub(crate) fn is_written(&self, tag: Tag) -> bool {
        self.state == State::Written && self.tag == tag
    }
}

/// The batch being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) rows: Vec<Row>,
    bytes: usize,
    acks: Acks,
    work: AfterWork,
}

impl Draft {
    /// A direct conversation's first message takes two rows.
    fn has_room(&self) -> bool {
        self.rows.len() + 2 <= limits::BATCH_ROWS_MAX
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
            Decision::Unchanged => self.unchanged(draft, request.key, turn),
        }
        self.settled(&request);
        None
    }

    fn settled(&mut self, request: &Request) {
        self.senders.settled(request.asker.connection, request.order);
        self.first_row = None;
    }

    fn refused(&mut self, request: &Request, refusal: Refusal, turn: &mut Turn<'_>) {
        turn.counters.refused += 1;
        self.settled_or_failed(request, refusal);
        turn.refuse(request, refusal);
    }

    fn settled_or_failed(&mut self, request: &Request, refusal: Refusal) {
        if refusal.code().is_retryable() {
            self.senders.failed(request.asker.connection, request.order);
        } else {
            self.settled(request);
        }
    }

    /// Seq and time of the last row, of the draft's if it has any.
    pub(super) fn newest(&self, draft: &Draft) -> (Seq, u64) {
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
            draft.acks.push(Ack { key, says: Says::Event { seq, duplicate: true } });
        } else {
            turn.answer(key, event::ack_frame(&self.id, seq, time_ms, true));
        }
    }

    /// Answers what would change nothing: with the batch, as it may be this that made it so.
    fn unchanged(&self, draft: &mut Draft, key: Key, turn: &mut Turn<'_>) {
        if draft.rows.is_empty() {
            turn.answer(key, event::ok_frame());
        } else {
            draft.acks.push(Ack { key, says: Says::Unchanged });
        }
    }

    /// Gives the events their seqs. From here on an equal id waits for this one's outcome.
    fn allocate(
        &mut self,
        draft: &mut Draft,
        request: Request,
        contents: SmallVec<[Content; 1]>,
        turn: &mut Turn<'_>,
    ) -> Option<Request> {
        let bytes: usize = contents.iter().map(|content| content.body.len()).sum();
        if draft.bytes + bytes > limits::BATCH_BYTES_MAX && !draft.rows.is_empty() {
            return Some(request);
        }
        let mut seq = 0;
        for content in contents {
            let row = self.row(draft, &request.asker, content, turn);
            seq = row.seq;
            // What cannot be applied is the only event of its write, and has changed nothing yet.
            if self.enter(draft, row, request.asker.connection).is_err() {
                self.refused(&request, Refusal::Internal, turn);
                return None;
            }
        }
        draft.bytes += bytes;
        if matches!(&request.op, Op::Write(write) if matches!(write.what, What::Create { .. })) {
            turn.created.add(request.asker.user.id);
        }
        draft.acks.push(Ack { key: request.key, says: Says::Event { seq, duplicate: false } });
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
            created_at_ms: turn.now.moment_ms.max(created_at_ms),
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
        let changes = row.kind != MESSAGE_KIND && self.roster_before.is_none();
        let before = changes.then(|| Box::new(self.roster.clone()));
        let Applied { projections, left } = self.roster.apply(self.id, &row)?;
        self.roster_before = self.roster_before.take().or(before);
        for user in &left {
            self.marks.forget(*user);
        }
        let mut users = self.roster.audience();
        if !left.is_empty() {
            users = users.iter().chain(&left).copied().collect::<Vec<_>>().into();
        }
        draft.work.projections.extend(projections);
        draft.work.left.extend(left.iter().map(|user| (*user, row.seq, row.n)));
        self.known.push(&row);
        draft.work.sent(&row);
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
        turn.counters.batches += 1;
        turn.counters.rows += rows.len() as u64;
        self.submit(rows, acks, work, false, turn);
    }

    /// Adopted rows, written again before anything else. Their writer's mark of a dirty window may
    /// be lost with it: its append never returned. So they get one of ours, or nobody would do the
    /// after-work if we died before it was done.
    pub(super) fn send_rewrite(&mut self, rows: Vec<Row>, turn: &mut Turn<'_>) {
        self.submit(rows, Acks::new(), AfterWork::default(), true, turn);
    }

    fn submit(
        &mut self,
        rows: Vec<Row>,
        acks: Acks,
        mut work: AfterWork,
        rewrite: bool,
        turn: &mut Turn<'_>,
    ) {
        let began_ms = turn.now.mono_ms;
        let window = turn.windows.begin(self.partition, turn.epoch, began_ms);
        work.windows.push(window);
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
        let dirty = (self.dirty != Some(batch.window)).then_some(throng_store::DirtyWindow {
            partition: self.partition,
            epoch: turn.epoch,
            window: batch.window,
        });
        let append = Append { conv: self.id, epoch: turn.epoch, rows: batch.rows.clone(), dirty };
        turn.out.push(Output::Append { append, tag: batch.tag });
    }

    /// What became of the append in flight.
    pub(crate) fn appended(&mut self, tag: Tag, outcome: AppendOutcome, turn: &mut Turn<'_>) {
        let Some(batch) = self.batch.as_mut().filter(|batch| batch.tag == tag) else { return };
        match outcome {
            AppendOutcome::Ok => {
                batch.state = State::Written;
                turn.fence.push(Fenced { conv: self.id, tag });
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
        self.dirty = Some(batch.window);
        if batch.rewrite {
            self.pending.extend(batch.work);
            return self.rewrite_next(turn);
        }
        self.roster_before = None;
        turn.counters.committed(turn.now.mono_ms - batch.began_ms, batch.rows.len());
        for row in batch.rows {
            self.marks.sent(&row);
            self.tail.push(row);
        }
        for ack in batch.acks {
            turn.answer(ack.key, self.says(ack.says));
        }
        // What was just read for the first that waits must be there when it is decided on.
        let age_ms = match self.lookup {
            None => turn.known_ids_age_ms,
            Some(_) => limits::KNOWN_IDS_AGE_MS,
        };
        self.known.prune(turn.now.moment_ms, age_ms);
        self.pending.extend(batch.work);
        turn.touched.push(self.id);
        self.pump(turn);
    }

    fn says(&self, says: Says) -> bytes::Bytes {
        let Says::Event { seq, duplicate } = says else { return event::ok_frame() };
        let time_ms = self.known.at(seq).map_or(0, |known| known.created_at_ms);
        event::ack_frame(&self.id, seq, time_ms, duplicate)
    }

    fn look_up(&mut self, lookup: &Lookup, request: &Request, turn: &mut Turn<'_>) {
        turn.counters.scans += 1;
        match lookup {
            Lookup::Scan(below, rows) => {
                let pending = Pending::Scan { below: *below };
                self.lookup = Some(self.read(Range::Before(*below), *rows, pending, turn));
            }
            Lookup::First => {
                let limit = limits::BATCH_ROWS_MAX;
                self.lookup = Some(self.read(Range::Before(2), limit, Pending::First, turn));
            }
            Lookup::Count => {
                self.lookup = Some(0);
                let user = request.asker.user.id;
                turn.out.push(Output::Count { conv: self.id, term: turn.term, user });
            }
        }
    }

    /// Older rows, among which the id of the first write that waits is sought.
    pub(super) fn scanned(&mut self, below: Seq, rows: Option<Vec<Row>>, turn: &mut Turn<'_>) {
        self.lookup = None;
        let Some(rows) = rows else { return self.lookup_failed(turn) };
        self.known.extend_older(&super::highest_epochs(rows), turn.now.moment_ms);
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

    /// How many groups the user has created who is about to create this one.
    pub(crate) fn counted(&mut self, user: UserId, count: Option<usize>, turn: &mut Turn<'_>) {
        self.lookup = None;
        let Some(count) = count else { return self.lookup_failed(turn) };
        turn.created.put(user, count, turn.now.mono_ms);
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
