//! The link between edge and router, without sockets.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod answers;
mod framing;
mod outbox;
