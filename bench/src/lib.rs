//! Programs that measure Throng: what an idle connection costs, what a frame costs, how many
//! messages become durable in a second, and how the gateway's echo compares with a peer's.
//!
//! Every program prints figures with the machine, the kernel and the command that made them, can
//! write them as JSON, and never takes part in a test's verdict by time. `idle` alone judges:
//! memory per connection is repeatable, and it fails above its limit.

pub mod conclude;
pub mod coordinate;
pub mod diagnose;
pub mod durable;
pub mod gateway;
pub mod generator;
pub mod host;
pub mod idle;
pub mod limits;
pub mod measure;
pub mod outcome;
pub mod peers;
pub mod preflight;
pub mod report;
pub mod spread;
pub mod workload;

use std::io;

use throng_ring::SetupError;
use throng_ring::uring::{UringConfig, UringDriver};

/// A driver with room for `connections`.
///
/// # Errors
/// The kernel refuses a ring of this size; the text says what to do.
pub fn driver_for(connections: usize) -> io::Result<UringDriver> {
    let wanted = u32::try_from(connections).unwrap_or(u32::MAX).saturating_add(limits::SPARE_SLOTS);
    let config = UringConfig { connections_max: wanted, ..UringConfig::default() };
    UringDriver::new(config).map_err(|error: SetupError| io::Error::other(error.to_string()))
}

/// A directory that is removed with the value.
fn scratch_dir() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("throng-bench-").tempdir()
}
