//! Which kernel interface drives the shards of a process.

use std::fmt;

use crate::host;
use crate::limits::CONNECTIONS_MAX;
use crate::setup::SetupError;
use crate::uring::{UringConfig, UringDriver};

/// A backend that talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// [`crate::uring`].
    IoUring,
    /// [`crate::epoll`].
    Epoll,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

impl Backend {
    /// Whether this host lets this process have io_uring: sets a small ring up, as a driver would,
    /// and takes it down again.
    ///
    /// # Errors
    /// Why not.
    pub fn probe_io_uring() -> Result<(), SetupError> {
        let small = UringConfig {
            connections_max: 8,
            submission_entries: 8,
            completion_entries: 32,
            receive_buffers: 1,
            receive_buffer_bytes: 4096,
            ..UringConfig::default()
        };
        UringDriver::new(small).map(drop)
    }

    /// The longest table that each of `drivers` drivers in this process can have, when `others`
    /// descriptors are for the rest of the process. A ring has a table of its own, capped by
    /// RLIMIT_NOFILE; epoll's drivers share the process's.
    #[must_use]
    pub fn table_max(self, drivers: usize, others: u64) -> u32 {
        self.table_of(host::rlimit_nofile().soft.unwrap_or(u64::MAX), drivers, others)
    }

    fn table_of(self, nofile: u64, drivers: usize, others: u64) -> u32 {
        let table = match self {
            Self::IoUring => nofile,
            Self::Epoll => nofile.saturating_sub(others) / drivers.max(1) as u64,
        };
        table.min(CONNECTIONS_MAX.into()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_have_a_table_each_and_epolls_drivers_share_what_the_process_may_open() {
        assert_eq!(Backend::IoUring.table_of(20_000, 4, 1000), 20_000);
        assert_eq!(Backend::Epoll.table_of(20_000, 4, 1000), 4750);
        assert_eq!(Backend::Epoll.table_of(999, 4, 1000), 0);
        for backend in [Backend::IoUring, Backend::Epoll] {
            assert_eq!(backend.table_of(u64::MAX, 1, 0), CONNECTIONS_MAX);
        }
    }
}
