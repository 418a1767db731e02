//! The link between edge and router, sans-IO (docs/link.md).
//!
//! - [`FrameReader`] cuts received bytes into frames; [`ToRouter`] and [`ToEdge`] are what the two
//!   directions carry, and encode themselves as frames.
//! - [`negotiate`]: which version the two ends speak.
//! - [`CreditSpender`] (edge) and [`CreditGranter`] (router) bound what is under way.
//! - [`Outbox`] (router) puts large answers, in chunks, behind everything else; [`Answers`] (edge)
//!   puts the chunks together again.
//! - [`HintNumbers`] (edge) finds out which hints were lost.
//!
//! The two ends trust each other with what they say about users, but not with memory: every buffer
//! here is bounded, and an error of the peer means that the link is closed.

mod answers;
mod credit;
mod frame;
mod hints;
mod outbox;
mod reader;
mod version;

pub use answers::{AnswerError, Answers, Whole};
pub use credit::{CreditGranter, CreditSpender, GrantDecreased, NoCredit, Overspent};
pub use frame::{FrameTooLarge, KindError, ToEdge, ToRouter};
pub use hints::HintNumbers;
pub use messages::*;
pub use outbox::{Outbox, OutboxFull};
pub use reader::{Frame, FrameReader, LengthError};
pub use version::{VERSION_MAX, VERSION_MIN, negotiate};

/// Before a frame's payload: length of what follows as u32, big-endian; kind.
pub const HEADER_BYTES: usize = 5;

pub mod messages {
    //! Generated from proto/throng/link.proto.
    include!(concat!(env!("OUT_DIR"), "/throng.link.rs"));
}
