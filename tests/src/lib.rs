//! What the black-box tests stand on. They drive the built binary over its sockets as a stranger
//! would, and this crate imports no product code: what it knows of the protocol is what
//! docs/protocol.md says.
//!
//! - [`gateway`] starts, kills and restarts `throng-edge`.
//! - [`client`] is one connection: frames out, frames in.
//! - [`participant`] is a whole client as the protocol asks for: cursors, holes, resume, retries.
//! - [`history`] is what participants record, [`checker`] what must hold over it (I1-I4, I8).
//! - [`run`] lets many participants talk, come and go, and gives their history.
//! - [`raw`] speaks bytes, for what no proper client would say.
//! - [`refusal`] is a host that refuses io_uring.
//! - [`tokens`], [`ids`], [`random`], [`http`]: keys and JWTs, identifiers, seeds, plain requests.
//!
//! A harness fails its test by panicking with what it saw, so `unwrap` and `expect` are its means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness fails its test by panicking"
)]

pub mod checker;
pub mod client;
pub mod gateway;
pub mod history;
pub mod http;
pub mod ids;
pub mod participant;
pub mod random;
pub mod raw;
pub mod refusal;
pub mod run;
pub mod tokens;
