//! The vocabulary of the store: identifiers, rows, projections, outcomes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::limits;

/// Position of an event in its conversation: 1, 2, 3 … without a gap.
pub type Seq = u64;

/// Term of an owner. A later owner of a partition has a higher one.
pub type Epoch = u32;

/// One of the partitions that conversations and users hash to.
pub type PartitionId = u16;

/// What the caller wants to be told with an outcome.
pub type Tag = u64;

/// A conversation: 16 bytes, a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConvId(pub [u8; 16]);

/// A user: 16 bytes, UUIDv5 of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub [u8; 16]);

/// One event of a conversation as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Position in the conversation.
    pub seq: Seq,
    /// Term of the owner that wrote the row.
    pub epoch: Epoch,
    /// The writer's committed seq when the row was sent.
    pub acked: Seq,
    /// First seq that the writer itself assigned in this conversation.
    pub base: Seq,
    /// Ordinal among countable events (messages): unread = n of the head − n of the read mark.
    pub n: u64,
    /// Owner's clock, Unix milliseconds, never decreasing in seq.
    pub created_at_ms: u64,
    /// Who sent it.
    pub sender: UserId,
    /// The sender's idempotency key: a UUIDv7.
    pub client_msg_id: [u8; 16],
    /// SHA-256 prefix over the decoded fields: tells a retry from another message with the same id.
    pub digest: [u8; 8],
    /// What sort of event it is: `throng.v1.Event`'s field number of `what`.
    pub kind: u8,
    /// Free for later kinds (edits, deletes); 0 now.
    pub flags: u32,
    /// Seq that this event refers to, 0 = none.
    pub ref_seq: Seq,
    /// Encoded `throng.v1.Event` without conv, seq and time_ms.
    pub body: Bytes,
}

/// Rows of one conversation to be written at once. All have the same epoch and ascending seqs.
#[derive(Clone, Debug)]
pub struct Append {
    /// The conversation.
    pub conv: ConvId,
    /// The owner's term.
    pub epoch: Epoch,
    /// 1 to `limits::APPEND_ROWS_MAX` rows.
    pub rows: Vec<Row>,
    /// Set on the first append of a conversation in a window: durable with the rows.
    pub dirty: Option<DirtyWindow>,
}

/// A span of time in which a partition's owner appended; see [`crate::Store::open_windows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirtyWindow {
    /// The partition.
    pub partition: PartitionId,
    /// The owner's term.
    pub epoch: Epoch,
    /// Counts up within the term.
    pub window: u32,
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Durable.
    Ok,
    /// A newer owner exists: stop.
    Fenced,
    /// Nobody knows. Retry the same rows, or lose the partition.
    Unknown,
}

/// What a fence read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceOutcome {
    /// This process is the owner.
    Held,
    /// It is not any more: release nothing.
    Fenced,
    /// The read failed: ask again.
    Unknown,
}

/// Where outcomes of appends go: called once per commit with every outcome for this queue, in the
/// order of the appends. It must not block.
#[derive(Clone)]
pub struct Outcomes(Arc<Deliver>);

type Deliver = dyn Fn(Vec<(Tag, AppendOutcome)>) + Send + Sync;

impl Outcomes {
    /// Wraps the function that puts outcomes into the owner's mailbox.
    pub fn new(deliver: impl Fn(Vec<(Tag, AppendOutcome)>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(deliver))
    }

    /// Hands over the outcomes of one commit.
    pub fn deliver(&self, outcomes: Vec<(Tag, AppendOutcome)>) {
        (self.0)(outcomes);
    }

    /// Whether both go to the same queue.
    #[must_use]
    pub fn same_queue(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outcomes")
    }
}

/// The append queue is full: the append comes back untouched.
#[derive(Debug)]
pub struct Busy(pub Append);

/// How much one read of rows gives at most. A page ends with the row that reaches one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Rows, of all epochs; [`limits::PAGE_ROWS_MAX`] at most, whatever is said here.
    pub rows: usize,
    /// Bytes of their bodies; [`limits::PAGE_BYTES_MAX`] at most, whatever is said here. One row
    /// comes however large it is.
    pub bytes: usize,
}

impl PageLimit {
    /// Whether a page of so much is complete: it reached a limit, and there may be more rows.
    #[must_use]
    pub fn is_reached(&self, rows: usize, bytes: usize) -> bool {
        rows >= self.rows.min(limits::PAGE_ROWS_MAX)
            || rows > 0 && bytes >= self.bytes.min(limits::PAGE_BYTES_MAX)
    }

    /// Whether these rows ended with a limit. If not, there are no more.
    #[must_use]
    pub fn ended(&self, rows: &[Row]) -> bool {
        self.is_reached(rows.len(), rows.iter().map(|row| row.body.len()).sum())
    }
}

impl From<usize> for PageLimit {
    /// So many rows, and as many bytes as a page may have.
    fn from(rows: usize) -> Self {
        Self { rows, bytes: limits::PAGE_BYTES_MAX }
    }
}

/// Which rows to read. Bounds are exclusive of the given seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// seq < before, descending.
    Before(Seq),
    /// seq > after, ascending.
    After(Seq),
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads and sends.
    Member,
    /// Also adds and removes members and renames.
    Admin,
    /// Also sets roles. A group always has one.
    Owner,
}

/// A conversation as projected from its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvRow {
    /// The conversation.
    pub conv: ConvId,
    /// Direct or group.
    pub direct: bool,
    /// Name of a group.
    pub name: String,
    /// Whether members see events from before they joined.
    pub history_all: bool,
    /// All events up to here are in the projections.
    pub applied_seq: Seq,
    /// `n` at `applied_seq`.
    pub applied_n: u64,
    /// Members at `applied_seq`.
    pub member_count: u32,
}

/// One member's present or last interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Seq of the event by which they joined.
    pub joined_seq: Seq,
    /// Seq of the event by which they left; 0 = a member.
    pub left_seq: Seq,
}

/// One conversation in a user's list. Seqs and ordinals only grow; each is written with the seq as
/// its timestamp, so an old write never wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConvRow {
    /// The conversation.
    pub conv: ConvId,
    /// Direct or group.
    pub direct: bool,
    /// The other user of a direct conversation; empty for a group.
    pub peer: String,
    /// Seq of the event by which the user joined.
    pub joined_seq: Seq,
    /// Seq of the event by which the user left; 0 = a member.
    pub left_seq: Seq,
    /// Newest event the user was told of. Not kept up for a big conversation.
    pub head_seq: Seq,
    /// `n` of that event.
    pub head_n: u64,
    /// When it was touched, Unix milliseconds.
    pub head_at_ms: u64,
    /// Read up to here.
    pub read_seq: Seq,
    /// `n` at `read_seq`.
    pub read_n: u64,
    /// Delivered up to here.
    pub delivered_seq: Seq,
    /// Too many members to touch each: ask its owner for the head.
    pub big: bool,
    /// A group that the user created.
    pub created: bool,
}

/// How far a user is in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Delivered up to here.
    pub delivered_seq: Seq,
    /// Read up to here.
    pub read_seq: Seq,
}

/// One idempotent write to the projections. Every cell keeps the value written with the highest
/// seq; a mark keeps the highest mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// The conversation's row. Wins over rows with a lower `applied_seq`.
    Conv(ConvRow),
    /// A member's interval as of the event `at`.
    Member {
        /// The conversation.
        conv: ConvId,
        /// The interval.
        row: MemberRow,
        /// Seq of the event that caused it.
        at: Seq,
    },
    /// Membership as seen from the user, as of the event `at`.
    Listed {
        /// Whose list.
        user: UserId,
        /// The conversation.
        conv: ConvId,
        /// Direct or group.
        direct: bool,
        /// The other user of a direct conversation.
        peer: String,
        /// Interval.
        joined_seq: Seq,
        /// 0 = a member.
        left_seq: Seq,
        /// `n` just before the user joined: nothing before it counts as unread. Only grows, 0
        /// leaves it alone.
        joined_n: u64,
        /// Too many members to touch each.
        big: bool,
        /// A group that the user created. Stays true once it is.
        created: bool,
        /// Seq of the event that caused it.
        at: Seq,
    },
    /// The head moved, for every one of `users`.
    Touch {
        /// Whose lists.
        users: Arc<[UserId]>,
        /// The conversation.
        conv: ConvId,
        /// The new head.
        head_seq: Seq,
        /// Its `n`.
        head_n: u64,
        /// Now, Unix milliseconds.
        head_at_ms: u64,
    },
    /// A user's watermarks; each only grows, 0 leaves it alone.
    Mark {
        /// Whose.
        user: UserId,
        /// The conversation.
        conv: ConvId,
        /// Delivered up to here.
        delivered_seq: Seq,
        /// Read up to here.
        read_seq: Seq,
        /// `n` at `read_seq`.
        read_n: u64,
    },
}

/// Why a read or a projection failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The store refused or did not answer in time; try again later.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// What was read is not what was written.
    #[error("the store holds data that this version cannot read: {0}")]
    Corrupt(String),
    /// The engine can write no more (a failed fsync, a full disk). The process must stop.
    #[error("the store can write no more: {0}")]
    Fatal(String),
}
