//! The reactor of one shard: sockets, timers and wakes behind one interface shaped by completions.
//!
//! One thread owns one driver. It submits operations through [`Io`] and runs [`Driver::turn`],
//! which enters the kernel once, then hands every completion to a [`Handler`] as an [`Event`]. The
//! handler gets the `Io` back to answer with, so one turn is: drain completions, do the work they
//! ask for, submit everything that came of it together with the wait.
//!
//! Backends: [`uring`] (the kernel's io_uring), [`epoll`] (for hosts that refuse it), [`sim`]
//! (scripted and deterministic, for tests). [`backend`] chooses between the first two.
//!
//! Contracts every backend keeps:
//! - A [`ConnId`] is a slot and a generation. Slots are dense and reused, so a caller keeps its own
//!   state in an array indexed by slot. After [`Event::Closed`] no event names that generation.
//! - Received bytes are lent for the length of the call (`&mut`, so that they can be unmasked and
//!   decrypted in place) and belong to the driver again when the handler returns.
//! - One send is in flight per connection. What is sent belongs to the driver until
//!   [`Event::Sent`]; short sends are finished by the driver and never seen above.
//! - Closing is a state machine inside the driver: every accepted, connected or adopted connection
//!   ends with exactly one [`Event::Closed`], after its last completion.
//! - An idle connection owns no buffer, in user space or (armed [`Arm::Cold`]) in the kernel.
//!
//! This is the only crate of the workspace with `unsafe` code.

pub mod backend;
pub mod driver;
pub mod epoll;
pub mod host;
pub mod limits;
mod reactor;
pub mod setup;
pub mod sim;
mod socket;
pub mod uring;
mod wake;
pub mod wheel;

pub use backend::Backend;
pub use driver::{
    Arm, CloseKind, ConnId, ConnectOptions, Driver, Event, Handler, Io, ListenOptions, ListenerId,
    SendBatch, Waker,
};
pub use setup::SetupError;
