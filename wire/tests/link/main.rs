//! The link between edge and router, without sockets.

mod answers;
mod framing;
mod outbox;
