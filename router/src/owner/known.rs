//! Which ids the log has, without a window and without a table.
//!
//! An id is a UUIDv7 and so tells when it was made. An id more than two minutes ahead of the
//! owner's clock is refused, hence the row that has it was created no earlier than two minutes
//! before the id's time; and `created_at` never decreases in seq. So an id that is not among the
//! newest rows in memory is in no older row either, once the oldest row in memory was created more
//! than two minutes before the id's time. Until then older rows are read, down to that point.

use std::collections::{HashMap, VecDeque};

use throng_store::{Row, Seq, UserId};
use throng_wire::id;

use crate::limits;

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In no row.
    New,
    /// Here.
    At(Seq),
    /// Rows below this seq must be read first.
    Ask(Seq),
}

/// What a retry is compared with and answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    sender: UserId,
    id: id::Id,
    /// Over the decoded fields.
    pub(crate) digest: [u8; 8],
    /// When the row was created.
    pub(crate) created_at_ms: u64,
}

impl From<&Row> for Known {
    fn from(row: &Row) -> Self {
        Self {
            sender: row.sender,
            id: row.client_msg_id,
            digest: row.digest,
            created_at_ms: row.created_at_ms,
        }
    }
}

/// Ids of the newest rows, without a gap.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    /// Seq of the first of `rows`.
    floor: Seq,
    rows: VecDeque<Known>,
    seqs: HashMap<(UserId, id::Id), Seq>,
}

impl KnownIds {
    /// Starts with no row above `head`: the next one pushed is `head + 1`.
    pub(crate) fn above(head: Seq) -> Self {
        Self { floor: head + 1, ..Self::default() }
    }

    /// The row after the newest.
    pub(crate) fn push(&mut self, row: &Row) {
        self.seqs.insert((row.sender, row.client_msg_id), row.seq);
        self.rows.push_back(row.into());
    }

    /// The row before the oldest.
    pub(crate) fn push_older(&mut self, row: &Row) {
        if row.seq + 1 == self.floor {
            self.seqs.insert((row.sender, row.client_msg_id), row.seq);
            self.rows.push_front(row.into());
            self.floor = row.seq;
        }
    }

    /// Whether a row has this id.
    pub(crate) fn find(&self, sender: UserId, id: &id::Id, made_ms: u64) -> Verdict {
        if let Some(seq) = self.seqs.get(&(sender, *id)) {
            return Verdict::At(*seq);
        }
        let settled = self.floor <= 1
            || self
                .rows
                .front()
                .is_some_and(|oldest| made_ms > oldest.created_at_ms + limits::CLOCK_AHEAD_MS_MAX);
        if settled { Verdict::New } else { Verdict::Ask(self.floor) }
    }

    /// The row at a seq that [`KnownIds::find`] gave.
    pub(crate) fn at(&self, seq: Seq) -> Option<&Known> {
        self.rows.get(usize::try_from(seq.checked_sub(self.floor)?).ok()?)
    }

    /// Forgets what is old, if there is much of it.
    pub(crate) fn prune(&mut self, now_ms: u64) {
        let old = now_ms.saturating_sub(limits::KNOWN_IDS_AGE_MS);
        while self.rows.len() > limits::KNOWN_IDS_KEPT {
            let excess = self.rows.len() > limits::KNOWN_IDS_MAX;
            let Some(oldest) = self.rows.front() else { return };
            if !excess && oldest.created_at_ms >= old {
                return;
            }
            if self.seqs.get(&(oldest.sender, oldest.id)) == Some(&self.floor) {
                self.seqs.remove(&(oldest.sender, oldest.id));
            }
            self.rows.pop_front();
            self.floor += 1;
        }
    }

    /// Seq of the oldest row known.
    pub(crate) fn floor(&self) -> Seq {
        self.floor
    }

    /// Rows known.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
