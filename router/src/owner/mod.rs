//! The owner of conversations: gives each its order, and everything that follows from it.
//!
//! Sans-IO. An [`Owner`] takes requests, outcomes and time as arguments and appends what is to be
//! done to a list of [`Output`]s; the actor that drives it does those and comes back with what
//! became of them. It never waits and knows no clock, store, link or thread.
//! The same inputs in the same order give the same outputs.
//!
//! Order of calls: [`Owner::take`] for each partition, [`Owner::recover`] for what its last owner
//! did not finish, as it is read who is a member; then in any order [`Owner::request`] and the
//! answers to outputs ([`Owner::member`], [`Owner::loaded`], [`Owner::rows`], [`Owner::counted`],
//! [`Owner::watermarks`], [`Owner::appended`], [`Owner::projected`]); at the end of a turn
//! [`Owner::flush`], then [`Owner::fence_begins`] if [`Owner::wants_fence`], and [`Owner::fenced`]
//! with what the read showed; [`Owner::tick`] now and then.
//!
//! Invariants:
//! - One append of a conversation is in flight; what arrives meanwhile is the next batch.
//! - A row is committed when its append returned and a fence read that began afterwards still
//!   showed this owner. Only committed rows are acknowledged, delivered, served or kept.
//! - A (seq, epoch) has one content for ever: an append of unknown outcome is retried as it is, or
//!   the partition is given up with everything in it.
//! - Within one connection and conversation, writes succeed in the order they were numbered.
//! - Nothing is loaded for who never was a member, and every refusal of theirs costs the same read.
//! - Membership, roles, names and watermark ordinals are functions of the log.
//! - What was asked in one [`Term`] is not answered in another: a partition may be lost and taken
//!   again while the store still works for the first time.

mod admission;
mod after;
mod cache;
mod choose;
mod conversation;
mod counters;
mod created;
mod deciding;
pub mod event;
mod known;
mod loading;
mod machine;
mod marks;
mod reading;
mod request;
mod roster;
mod senders;
mod tail;
mod windows;
mod writing;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use after::Delivery;
pub use choose::{Chosen, choose, highest_epochs};
pub use counters::{Counters, Gauges};
pub use machine::{Adopt, Owner, Settings};
pub use request::{
    Asker, Connection, Key, Named, Now, Op, Order, PageRequest, Refusal, Request, Span, What, Write,
};

use bytes::Bytes;
use throng_store::{
    Append, ConvId, ConvRow, DirtyWindow, MemberRow, PageLimit, PartitionId, Projection, Range,
    Row, Seq, Tag, UserId,
};

/// One holding of a partition, from [`Owner::take`] until it is lost: given with what the store is
/// asked, and to be given back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term(u64);

/// What an actor is to do.
#[derive(Debug)]
pub enum Output {
    /// Read whether a user is a member or was one; answer with [`Owner::member`].
    Member {
        /// Of this conversation.
        conv: ConvId,
        /// To be given back.
        term: Term,
        /// Who.
        user: UserId,
    },
    /// Read a conversation; answer with [`Owner::loaded`].
    Load {
        /// Which.
        conv: ConvId,
        /// To be given back.
        term: Term,
    },
    /// Read rows; answer with [`Owner::rows`].
    Read {
        /// Of this conversation.
        conv: ConvId,
        /// To be given back.
        term: Term,
        /// To be given back.
        read: u64,
        /// Which rows.
        range: Range,
        /// At most so much.
        limit: PageLimit,
    },
    /// Count the groups that a user has created and is in; answer with [`Owner::counted`].
    Count {
        /// For this conversation, which the user is about to create.
        conv: ConvId,
        /// To be given back.
        term: Term,
        /// Whose.
        user: UserId,
    },
    /// Read how far users are; answer with [`Owner::watermarks`].
    Watermarks {
        /// In this conversation.
        conv: ConvId,
        /// To be given back.
        term: Term,
        /// Whose.
        users: Vec<UserId>,
    },
    /// Append; answer with [`Owner::appended`], or [`Owner::append_busy`].
    Append {
        /// The rows.
        append: Append,
        /// To be given back.
        tag: Tag,
    },
    /// Write projections; answer with [`Owner::projected`].
    Project {
        /// Of this conversation.
        conv: ConvId,
        /// To be given back.
        term: Term,
        /// In this order.
        projections: Vec<Projection>,
    },
    /// Answer a request.
    Answer {
        /// Which.
        key: Key,
        /// Encoded `throng.v1.ServerFrame`; for a bare page, one item of a `SyncPage`.
        body: Bytes,
        /// The body is an error.
        refusal: Option<Refusal>,
    },
    /// Answer a question for the head.
    Head {
        /// Which.
        key: Key,
        /// The error if it cannot be told, or not to this user.
        head: Result<Head, Refusal>,
    },
    /// Tell users.
    Deliver(Delivery),
    /// All after-work of a window is done.
    CloseWindow(DirtyWindow),
    /// Answer to [`Owner::recover`].
    Recovered {
        /// The conversation.
        conv: ConvId,
        /// Its after-work is done again; else it could not be loaded, and is still to be done.
        done: bool,
    },
    /// This partition is not ours any more.
    Lost(PartitionId),
}

/// What the store has of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Its projected row.
    pub conv: Option<ConvRow>,
    /// Its present members as projected.
    pub members: Vec<MemberRow>,
    /// The newest rows within `limits::TAIL`, descending, all epochs.
    pub tail: Vec<Row>,
}

/// The head of a conversation, as a member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Committed head.
    pub seq: Seq,
    /// Messages up to it.
    pub n: u64,
    /// When it was created, Unix milliseconds.
    pub at_ms: u64,
    /// The row there, if asked for.
    pub row: Option<Row>,
}
