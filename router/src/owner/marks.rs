//! Watermarks: how far each member has received and read.
//!
//! - They only grow, and never pass the head.
//! - Who sends a message has read up to it: its commit moves the sender's marks. Nobody is told, as
//!   the event says it.
//! - A mark is answered when it is written, then told.
//! - What the store has of a user is read when it first matters: for a mark above what is known
//!   here, or a page of members. One read is under way at a time; the next is for all who wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use throng_store::{Range, Row, Seq, UserId, Watermarks};

use super::Output;
use super::conversation::{Conversation, Turn};
use super::deciding::MESSAGE_KIND;
use super::event;
use super::reading::Pending;
use super::request::{Refusal, Request};
use crate::limits;

/// What is known of one user.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    delivered: Seq,
    read: Seq,
    /// What the store had is in it.
    whole: bool,
}

/// The watermarks of a conversation's members, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    known: HashMap<UserId, Known>,
    /// Requests that need to know more.
    waiting: Vec<Request>,
    /// What the next read asks for.
    wanted: BTreeSet<UserId>,
    reading: bool,
}

impl Marks {
    /// (delivered, read) of a user, if there is nothing higher.
    pub(super) fn whole(&self, user: UserId) -> Option<(Seq, Seq)> {
        self.known.get(&user).filter(|known| known.whole).map(|known| (known.delivered, known.read))
    }

    fn reached(&self, user: UserId, delivered: Seq, read: Seq) -> bool {
        let known = self.known.get(&user).copied().unwrap_or_default();
        delivered <= known.delivered && read <= known.read
    }

    fn advance(&mut self, user: UserId, delivered: Seq, read: Seq) -> &mut Known {
        let known = self.known.entry(user).or_default();
        known.delivered = known.delivered.max(delivered);
        known.read = known.read.max(read);
        known
    }

    /// A row of the log, of which the store may not know yet.
    pub(super) fn sent(&mut self, row: &Row) {
        if row.kind == MESSAGE_KIND {
            self.advance(row.sender, row.seq, row.seq);
        }
    }

    /// The user is no member any more.
    pub(super) fn forget(&mut self, user: UserId) {
        self.known.remove(&user);
    }

    /// Users whose marks are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Requests that wait for a read.
    pub(super) fn waiting(&self) -> &[Request] {
        &self.waiting
    }
}

impl Conversation {
    /// The request needs the marks of these users.
    pub(super) fn need_marks(
        &mut self,
        request: Request,
        users: impl IntoIterator<Item = UserId>,
        turn: &mut Turn<'_>,
    ) {
        if self.marks.waiting.len() >= limits::WAITING_MAX {
            return self.overloaded(&request, turn);
        }
        self.marks.wanted.extend(users);
        self.marks.waiting.push(request);
        self.read_marks(turn);
    }

    fn read_marks(&mut self, turn: &mut Turn<'_>) {
        if self.marks.reading || self.marks.wanted.is_empty() {
            return;
        }
        self.marks.reading = true;
        turn.counters.reads += 1;
        let users = std::mem::take(&mut self.marks.wanted).into_iter().collect();
        turn.out.push(Output::Watermarks { conv: self.id, term: turn.term, users });
    }

    /// What the store has of users; `None` if it did not say.
    pub(crate) fn watermarks(
        &mut self,
        found: Option<Vec<(UserId, Watermarks)>>,
        turn: &mut Turn<'_>,
    ) {
        if !self.marks.reading {
            return;
        }
        let waited = std::mem::take(&mut self.marks.waiting);
        if let Some(found) = found {
            for (user, of) in found {
                self.marks.advance(user, of.delivered_seq, of.read_seq).whole = true;
            }
            for request in waited {
                self.serve(request, turn);
            }
        } else {
            self.marks.wanted.clear();
            for request in waited {
                turn.refuse(&request, Refusal::Unavailable);
            }
        }
        self.marks.reading = false;
        self.read_marks(turn);
    }

    /// A watermark. `read` is 0 if the events were delivered only.
    pub(super) fn mark(&mut self, request: Request, seq: Seq, read: Seq, turn: &mut Turn<'_>) {
        let user = request.asker.user.id;
        if let Err(refusal) = self.visible_from(user) {
            return turn.refuse(&request, refusal);
        }
        let head = self.tail.head();
        let (delivered, read) = (seq.min(head), read.min(head));
        if self.marks.reached(user, delivered, read) {
            return self.answer_written(&request, turn);
        }
        if self.marks.whole(user).is_none() {
            return self.need_marks(request, [user], turn);
        }
        let n = if read == head { Some(self.tail.n()) } else { self.ordinal(read) };
        match n {
            Some(n) => self.record_mark(&request, delivered, read, n, turn),
            None if self.reads.len() >= limits::READS_MAX => {
                turn.refuse(&request, Refusal::Overloaded);
            }
            None => {
                let pending = Pending::Mark { request: Box::new(request), seq: read };
                self.read(Range::Before(read + 1), limits::BATCH_ROWS_MAX, pending, turn);
            }
        }
    }

    /// The mark says nothing new, but what said it before may still be on its way to the store.
    fn answer_written(&mut self, request: &Request, turn: &mut Turn<'_>) {
        if !self.pending.is_empty() {
            self.pending.waiting.push(request.key);
        } else if let Some(running) = &mut self.running {
            running.waiting.push(request.key);
        } else {
            turn.answer(request.key, event::ok_frame());
        }
    }

    /// Messages up to a seq, if that is known without reading.
    fn ordinal(&self, seq: Seq) -> Option<u64> {
        if seq == 0 { Some(0) } else { self.tail.row(seq).map(|row| row.n) }
    }

    /// The row of a read mark.
    pub(super) fn mark_read(
        &mut self,
        request: Box<Request>,
        seq: Seq,
        rows: &[Row],
        turn: &mut Turn<'_>,
    ) {
        let row = rows.iter().filter(|row| row.seq == seq).max_by_key(|row| row.epoch);
        match (row, self.visible_from(request.asker.user.id)) {
            (Some(row), Ok(_)) => self.record_mark(&request, seq, seq, row.n, turn),
            (None, Ok(_)) => turn.refuse(&request, Refusal::Internal),
            (_, Err(refusal)) => turn.refuse(&request, refusal),
        }
    }

    /// Joins the mark with what waits to be written.
    fn record_mark(
        &mut self,
        request: &Request,
        delivered: Seq,
        read: Seq,
        read_n: u64,
        turn: &mut Turn<'_>,
    ) {
        let user = &request.asker.user;
        let known = *self.marks.advance(user.id, delivered, read);
        let audience = if self.committed_roster().len() <= limits::RECEIPT_MEMBERS_MAX {
            self.committed_audience()
        } else {
            Arc::from([user.id])
        };
        let mark = self.pending.marks.entry(user.id).or_default();
        let connection = request.asker.connection;
        let alone = mark.audience.is_none() || mark.except == Some(connection);
        mark.name.clone_from(&user.name);
        mark.except = alone.then_some(connection);
        mark.told = (known.delivered, known.read);
        mark.advance(delivered, read, read_n);
        mark.audience = Some(audience);
        self.pending.waiting.push(request.key);
        turn.touched.push(self.id);
    }
}
