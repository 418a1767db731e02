//! The append log of conversations and its projections, behind one trait.
//!
//! A *row* is one event of one conversation, keyed (conversation, seq, epoch). Rows are written by
//! the one router that owns the conversation's partition and carry what later owners need to tell
//! live rows from dead ones (`acked`, `base`). Everything else here (conversation heads, members,
//! the list of a user's conversations) is a *projection*: a function of the log that can be applied
//! any number of times and in any order, because every cell keeps the value of the highest seq.
//!
//! Who drives it: an owner's actor calls [`Store::append`] and reads its outcome from the queue it
//! gave; every other call is a future on the router's tokio runtime. No call blocks the caller's
//! thread.
//!
//! Pages: a read gives at most [`limits::PAGE_ROWS_MAX`] rows, members or conversations, whatever
//! its `limit`. Fewer than the lesser of the two means that there are no more. Rows have bodies, so
//! that a page of them is bounded by their bytes, too: [`PageLimit`].
//!
//! Invariants every engine keeps:
//! - [`AppendOutcome::Ok`] means durable as the engine's configuration promises, and readable.
//! - The rows of one append become visible together or not at all where the engine can (embedded);
//!   no reader above may rest on that (a replicated store cannot).
//! - Outcomes of appends to one conversation arrive in the order of the appends.
//! - A failed or refused write harms no other conversation.

pub mod cql;
pub mod embedded;
pub mod limits;
mod ownership;
#[cfg(feature = "sim")]
pub mod sim;
mod types;

pub use ownership::{Incarnation, Ownership, OwnershipError, PartitionRow, RouterId, RouterRow};
pub use types::{
    Append, AppendOutcome, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow,
    Outcomes, PageLimit, PartitionId, Projection, Range, Role, Row, Seq, StoreError, Tag,
    UserConvRow, UserId, Watermarks,
};

use std::future::Future;

/// What a router needs from a store. Cheap to clone handles implement it.
pub trait Store: Clone + Send + Sync + 'static {
    /// Identity of the log: random, new after a restore. Part of every cursor.
    fn log_id(&self) -> [u8; 16];

    /// Becomes the owner of a partition: a new epoch, higher than every earlier one.
    ///
    /// The embedded engine takes all partitions at once when it opens (its directory lock is the
    /// fence) and gives the epoch of this run. What a shared store asks for: [`Ownership`].
    fn take(
        &self,
        partition: PartitionId,
    ) -> impl Future<Output = Result<Epoch, OwnershipError>> + Send;

    /// Whether this process still owns what it took. A commit needs a fence read that *started*
    /// after the append returned. A store that can write no more answers `Fenced`.
    fn fence(&self) -> impl Future<Output = FenceOutcome> + Send;

    /// Queues rows of one conversation for one durable write. The outcome comes later through
    /// `outcomes`, with `tag`; one send on that queue carries all outcomes of one commit. An engine
    /// that has one epoch answers an append of any other [`AppendOutcome::Fenced`]; elsewhere such
    /// rows harm nobody, as they are keyed by their epoch and carry their `base`.
    ///
    /// # Errors
    /// [`Busy`] gives the append back when the queue is full, or the store has ended: nothing was
    /// written, retry later.
    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy>;

    /// The newest rows of a conversation, descending by (seq, epoch), all epochs included.
    fn tail(
        &self,
        conv: ConvId,
        limit: PageLimit,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Rows of a conversation with seq in `range`, in the order of the range's direction, all
    /// epochs included. An ascending page never ends between the epochs of a seq: the rest of them
    /// come beyond `limit`, so that the highest epoch of every seq in it is known.
    fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: PageLimit,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Applies projections: they can be read when this returns. Durable no later than the next
    /// successful append; after a crash the dirty windows tell which conversations must have theirs
    /// applied again. Order and repetition do not matter, but for one thing: a [`Projection::Conv`]
    /// says that all others up to its `applied_seq` are there, so that it is written when those of
    /// the same call are durable, and not before.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a cell that is there already cannot be read: it stays as it is,
    /// all others are written, and asking again will not help.
    fn project(
        &self,
        projections: Vec<Projection>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The projected state of a conversation, `None` if it does not exist.
    fn conv(
        &self,
        conv: ConvId,
    ) -> impl Future<Output = Result<Option<ConvRow>, StoreError>> + Send;

    /// Members of a conversation, those who left included, in the order of their user id, after
    /// `after` if given.
    fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<MemberRow>, StoreError>> + Send;

    /// One member's present or last interval, `None` for whom there was never one.
    fn member(
        &self,
        conv: ConvId,
        user: UserId,
    ) -> impl Future<Output = Result<Option<MemberRow>, StoreError>> + Send;

    /// Conversations of a user, those left included, in the order of their id, after `after`.
    fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<UserConvRow>, StoreError>> + Send;

    /// One conversation of a user.
    fn user_conv(
        &self,
        user: UserId,
        conv: ConvId,
    ) -> impl Future<Output = Result<Option<UserConvRow>, StoreError>> + Send;

    /// How far users are in a conversation, in the order of `users`; zeros for whom nothing is
    /// known.
    fn watermarks(
        &self,
        conv: ConvId,
        users: Vec<UserId>,
    ) -> impl Future<Output = Result<Vec<Watermarks>, StoreError>> + Send;

    /// Conversations written in windows that were never closed, of all earlier epochs of the
    /// partition. Their after-work (projections, deliver) is to be done again.
    fn open_windows(
        &self,
        partition: PartitionId,
    ) -> impl Future<Output = Result<Vec<(DirtyWindow, ConvId)>, StoreError>> + Send;

    /// The same for every partition that this process owns, in the order of (window, conversation),
    /// after `after`. One scan of what is open, however many partitions there are: this is what a
    /// process that owns them all reads when it starts, page by page until one is short.
    fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(DirtyWindow, ConvId)>, StoreError>> + Send;

    /// The highest moment that was recorded, Unix milliseconds; 0 if there is none.
    fn moment(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Records how far a router's time has come, so that whoever reads it later begins there,
    /// whatever their clock says. A lower moment than the recorded one changes nothing. Durable as
    /// projections are.
    fn record_moment(&self, moment_ms: u64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records that all after-work of a window is done. Nothing is appended in it any more.
    fn close_window(
        &self,
        window: DirtyWindow,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
