//! What is asked of a conversation's owner, in decoded form, and how it is refused.

use bytes::Bytes;
use throng_store::{Role, Seq, UserId};
use throng_wire::{ErrorCode, Protobuf, v1};

use super::Output;
use crate::limits;

/// The time as an input brings it. The machines have no clock of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix milliseconds, to judge what clients say of their time. May jump.
    pub wall_ms: u64,
    /// Unix milliseconds, for what is stored: no less than `wall_ms`, nor than any stored before.
    pub moment_ms: u64,
    /// Monotonic milliseconds since the process began, for deadlines and retries.
    pub mono_ms: u64,
}

/// One connection of a client, as long as it lives: a link, a slot, and the session in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The link, numbered by the router.
    pub link: u32,
    /// The edge's slot.
    pub slot: u32,
    /// The slot's present session.
    pub session: u32,
}

/// Where an answer goes: chosen by whoever asks, given back untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The link, or 0 for a question from within the router.
    pub link: u32,
    /// Which part of a request that goes to several conversations.
    pub part: u32,
    /// The request.
    pub request: u64,
}

/// A user by id and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Id made of the name.
    pub id: UserId,
    /// The name.
    pub name: Box<str>,
}

/// Who asks. The edge authenticated them.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The user.
    pub user: Named,
    /// Their device.
    pub device: Box<str>,
    /// The connection that asks.
    pub connection: Connection,
}

/// Place of a write among those of one connection to one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// 1, 2, 3 …
    pub number: u64,
    /// Nothing earlier is under way: start counting here.
    pub first: bool,
}

/// A request to one conversation.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the answer goes.
    pub key: Key,
    /// Who asks.
    pub asker: Asker,
    /// Place among the sender's writes; `None` if they are not numbered.
    pub order: Option<Order>,
    /// Monotonic milliseconds after which nobody waits for the answer.
    pub deadline_ms: u64,
    /// What is asked.
    pub op: Op,
}

impl Request {
    /// Answers with an error.
    pub(crate) fn refuse(&self, refusal: Refusal, out: &mut Vec<Output>) {
        let key = self.key;
        out.push(match self.op {
            Op::Head { .. } => Output::Head { key, head: Err(refusal) },
            _ => Output::Answer { key, body: refusal.frame(), refusal: Some(refusal) },
        });
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Op {
    /// Adds one event to the log.
    Write(Write),
    /// A write that was refused for good before it came here. It takes its place among those of its
    /// connection, so that the next one is not held up, and is refused.
    Refused(Refusal),
    /// The user's devices have the events up to here.
    Delivered(Seq),
    /// The user has read the events up to here.
    Read(Seq),
    /// A page of events.
    History(PageRequest),
    /// A page of members.
    Members {
        /// After this user, by id.
        after: Option<UserId>,
        /// At most so many.
        limit: usize,
    },
    /// The head, for lists of conversations that are not kept up by touches.
    Head {
        /// With the event at the head.
        event: bool,
    },
}

/// A page of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Which events.
    pub span: Span,
    /// At most so many.
    pub limit: usize,
    /// The page ends before the event that would pass this many bytes; it has one at least.
    pub bytes_max: usize,
    /// Answer with the page alone, to become part of a `sync`.
    pub bare: bool,
}

/// Which events of a conversation a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The newest below this seq; `Seq::MAX` = from the head.
    Before(Seq),
    /// The oldest above this seq.
    After(Seq),
}

/// A write with the id by which a retry is recognised.
#[derive(Clone, Debug)]
pub struct Write {
    /// UUIDv7 of the client.
    pub client_msg_id: [u8; 16],
    /// Over the decoded fields.
    pub digest: [u8; 8],
    /// What is written.
    pub what: What,
}

/// What is written.
#[derive(Clone, Debug)]
pub enum What {
    /// A message.
    Message {
        /// The encoded event, without conv, seq and time.
        body: Bytes,
        /// Seq of the message that this one answers, 0 = none.
        reply_to: Seq,
        /// The message names a user: their direct conversation is created on first use.
        to: Option<Named>,
    },
    /// A new group.
    Create {
        /// Its name.
        name: Box<str>,
        /// Members besides the creator.
        members: Vec<Named>,
        /// Whether members see what was before they joined.
        history_all: bool,
    },
    /// More members.
    Add(Vec<Named>),
    /// Fewer members.
    Remove(Vec<Named>),
    /// Another role.
    SetRole(Named, Role),
    /// Another name of the group.
    Rename(Box<str>),
    /// The asker leaves.
    Leave,
}

/// Why something is not done. The client is told code, reason, fault and when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The time in the id is ahead of ours.
    #[error("{}", ErrorCode::Clock.message())]
    Clock,
    /// The id is too old to tell a retry from a new message.
    #[error("{}", ErrorCode::ExpiredId.message())]
    ExpiredId,
    /// Too much was written since the id's time.
    #[error("{}", ErrorCode::SyncFirst.message())]
    SyncFirst,
    /// An earlier write of this connection to this conversation failed.
    #[error("{}", ErrorCode::AfterFailed.message())]
    AfterFailed,
    /// Not a member, or no such conversation: deliberately one answer.
    #[error("no such conversation, or you are not a member of it")]
    NotMember,
    /// A member who may not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The frame means nothing.
    #[error("{0}")]
    BadFrame(&'static str),
    /// Beyond a limit.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The id belongs to another content.
    #[error("{}", ErrorCode::IdReused.message())]
    IdReused,
    /// Too much to do; nothing was done.
    #[error("{}", ErrorCode::Overloaded.message())]
    Overloaded,
    /// The owner is not there; nothing was done.
    #[error("{}", ErrorCode::Unavailable.message())]
    Unavailable,
    /// It may have been done.
    #[error("{}", ErrorCode::Unknown.message())]
    Unknown,
    /// Our own mistake.
    #[error("{}", ErrorCode::Internal.message())]
    Internal,
}

impl Refusal {
    /// The code that clients know.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Clock => ErrorCode::Clock,
            Self::ExpiredId => ErrorCode::ExpiredId,
            Self::SyncFirst => ErrorCode::SyncFirst,
            Self::AfterFailed => ErrorCode::AfterFailed,
            Self::NotMember | Self::NotAllowed(_) => ErrorCode::Forbidden,
            Self::BadFrame(_) => ErrorCode::BadFrame,
            Self::TooLarge(_) => ErrorCode::TooLarge,
            Self::IdReused => ErrorCode::IdReused,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::Unavailable => ErrorCode::Unavailable,
            Self::Unknown => ErrorCode::Unknown,
            Self::Internal => ErrorCode::Internal,
        }
    }

    fn retry_after_ms(self) -> u64 {
        match self {
            Self::Overloaded | Self::Unavailable => limits::RETRY_AFTER_MS,
            _ => 0,
        }
    }

    /// The answer: an encoded `throng.v1.ServerFrame` without an id.
    #[must_use]
    pub fn frame(self) -> Bytes {
        let error = self.code().error_saying(self.to_string());
        let error = v1::Error { retry_after_ms: self.retry_after_ms(), ..error };
        let frame = v1::ServerFrame { id: None, body: Some(v1::Body::Error(error)) };
        frame.encode_to_vec().into()
    }
}
