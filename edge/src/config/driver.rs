//! `driver`: which kernel interface the shards use.

use serde::{Deserialize, Serialize};

/// Which kernel interface the shards use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum DriverSetting {
    /// `io_uring` where the host lets it be used, else `epoll`.
    Auto,
    /// `io_uring` or nothing.
    IoUring,
    /// `epoll`, which no host refuses.
    Epoll,
}
