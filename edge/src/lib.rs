//! The gateway: shards that hold clients' connections, and the process around them.
//!
//! - [`shard`]: one thread with its own ring, listener, connection table, timers and router link.
//!   The whole data path is in there.
//! - [`config`], [`keys`], [`limits`], [`exit`]: what the process is told, whom it believes, what
//!   it bounds, and how it ends.
//! - [`metrics`], [`admin`]: what shards count, and the port that shows it.

pub mod admin;
pub mod config;
pub mod exit;
pub mod keys;
pub mod limits;
pub mod metrics;
mod page;
pub mod process;
pub mod shard;
