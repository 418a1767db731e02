//! Which ids the log has, without a window and without a table.
//!
//! An id is a UUIDv7 and so tells when it was made. An id more than two minutes ahead of the
//! owner's clock is refused, hence the row that has it was created no earlier than two minutes
//! before the id's time; and `created_at` never decreases in seq. So an id that is not among the
//! newest rows in memory is in no older row either, once the oldest row in memory was created more
//! than two minutes before the id's time. Until then older rows are read, down to that point.
//!
//! How far down depends on the age of the rows, not on the question:
//! - Rows of the last three minutes are what every new message has to be compared with. All of them
//!   are read, over as many questions as it takes: a busy conversation that was just loaded answers
//!   late once, and refuses nobody for good.
//! - Of older rows, which only a late retry asks for, [`limits::SCAN_ROWS_MAX`] are read. A retry
//!   from further down is refused without a read. They are kept for a while, as a client that was
//!   away has more than one message to repeat, and are then forgotten.
//! - There are never more than [`limits::KNOWN_IDS_MAX`] in memory. Where the conversations of an
//!   owner take much memory together, younger ones are forgotten, too. What is remembered of them
//!   is the highest time in their ids: an id made later is not among them, so that new messages
//!   need no read even then.

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
    /// Older rows must be read first.
    Ask {
        /// Rows below this seq,
        below: Seq,
        /// this many.
        rows: usize,
    },
    /// So many older rows would have to be read that nobody will.
    TooFar,
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
    /// No id below `floor` was made later, Unix milliseconds; `None` if that is not known.
    older_made_ms: Option<u64>,
    /// When older rows were last read, Unix milliseconds.
    read_at_ms: u64,
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

    /// Rows below the oldest, descending, as [`Verdict::Ask`] wants them.
    pub(crate) fn extend_older<'r>(
        &mut self,
        rows: impl IntoIterator<Item = &'r Row>,
        now_ms: u64,
    ) {
        for row in rows {
            if row.seq + 1 == self.floor {
                self.seqs.insert((row.sender, row.client_msg_id), row.seq);
                self.rows.push_front(row.into());
                self.floor = row.seq;
            }
        }
        self.read_at_ms = now_ms;
    }

    /// Seq of the row that has this id, if it is in memory.
    pub(crate) fn seq_of(&self, sender: UserId, id: &id::Id) -> Option<Seq> {
        self.seqs.get(&(sender, *id)).copied()
    }

    /// Whether a row has this id.
    pub(crate) fn find(&self, sender: UserId, id: &id::Id, made_ms: u64, now_ms: u64) -> Verdict {
        if let Some(seq) = self.seq_of(sender, id) {
            return Verdict::At(seq);
        }
        let oldest_ms = self.rows.front().map(|oldest| oldest.created_at_ms);
        let latest_ms = oldest_ms.map(|oldest| oldest + limits::CLOCK_AHEAD_MS_MAX);
        let later = |than: Option<u64>| than.is_some_and(|than| made_ms > than);
        if self.floor <= 1 || later(latest_ms) || later(self.older_made_ms) {
            return Verdict::New;
        }
        let room = limits::KNOWN_IDS_MAX.saturating_sub(self.rows.len());
        let budget = match self.old(now_ms) {
            0 => room,
            old => room.min(limits::SCAN_ROWS_MAX.saturating_sub(old)),
        };
        match budget.min(limits::SCAN_PAGE_ROWS) {
            0 => Verdict::TooFar,
            rows => Verdict::Ask { below: self.floor, rows },
        }
    }

    /// How many rows are older than what a new message is compared with.
    fn old(&self, now_ms: u64) -> usize {
        self.older_than(now_ms.saturating_sub(limits::KNOWN_IDS_AGE_MS))
    }

    fn older_than(&self, before: u64) -> usize {
        self.rows.partition_point(|row| row.created_at_ms < before)
    }

    /// The row at a seq that [`KnownIds::find`] gave.
    pub(crate) fn at(&self, seq: Seq) -> Option<&Known> {
        self.rows.get(usize::try_from(seq.checked_sub(self.floor)?).ok()?)
    }

    /// Forgets what is older than `age_ms`, if there is much of it. Only where memory is scarce
    /// that is less than [`limits::KNOWN_IDS_AGE_MS`].
    pub(crate) fn prune(&mut self, now_ms: u64, age_ms: u64) {
        let recent = self.rows.len() - self.older_than(now_ms.saturating_sub(age_ms));
        let scarce = age_ms < limits::KNOWN_IDS_AGE_MS;
        let asked_for = now_ms.saturating_sub(self.read_at_ms) < limits::KNOWN_IDS_AGE_MS;
        let kept = if asked_for && !scarce {
            recent + limits::SCAN_ROWS_MAX
        } else {
            recent.max(limits::KNOWN_IDS_KEPT)
        };
        while self.rows.len() > kept.min(limits::KNOWN_IDS_MAX)
            && let Some(oldest) = self.rows.pop_front()
        {
            self.forget(&oldest);
        }
        if self.rows.capacity() > 4 * self.rows.len().max(limits::KNOWN_IDS_KEPT) {
            self.rows.shrink_to(2 * self.rows.len());
            self.seqs.shrink_to(2 * self.rows.len());
        }
    }

    fn forget(&mut self, oldest: &Known) {
        if self.seqs.get(&(oldest.sender, oldest.id)) == Some(&self.floor) {
            self.seqs.remove(&(oldest.sender, oldest.id));
        }
        let below_ms = match self.older_made_ms {
            Some(older_ms) => older_ms,
            None if self.floor <= 1 => 0,
            None => oldest.created_at_ms + limits::CLOCK_AHEAD_MS_MAX,
        };
        let made_ms = id::v7_time_ms(&oldest.id).unwrap_or(0);
        self.older_made_ms = Some(below_ms.max(made_ms));
        self.floor += 1;
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
