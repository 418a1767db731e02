//! A shard over the simulated driver: virtual time, no sockets, no threads. The tests play the
//! clients and the router.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod admission;
mod backpressure;
mod drain;
mod echo;
mod fanout;
mod heartbeat;
mod link;
mod order;
mod origin;
mod output;
mod partial;
mod phases;
mod resume;
mod rig;
mod slow_reader;
mod tokens;
mod turns;
