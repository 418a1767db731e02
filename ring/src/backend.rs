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

    /// The longest table that each of `drivers` drivers in this process can have. A ring has a
    /// table of its own, capped by RLIMIT_NOFILE. Epoll's drivers share the process's: `beside` of
    /// its descriptors (but no more than a quarter) are for the rest of the process, and
    /// `per_driver` for what each driver has beside its connections.
    #[must_use]
    pub fn table_max(self, drivers: usize, beside: u64, per_driver: u64) -> u32 {
        let nofile = host::rlimit_nofile().soft.unwrap_or(u64::MAX);
        self.table_of(nofile, drivers, beside, per_driver)
    }

    fn table_of(self, nofile: u64, drivers: usize, beside: u64, per_driver: u64) -> u32 {
        let table = match self {
            Self::IoUring => nofile,
            Self::Epoll => {
                let shared = nofile - beside.min(nofile / 4);
                (shared / drivers.max(1) as u64).saturating_sub(per_driver)
            }
        };
        table.min(CONNECTIONS_MAX.into()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_have_a_table_each_and_epolls_drivers_share_what_the_process_may_open() {
        let of = |backend: Backend, nofile, drivers| backend.table_of(nofile, drivers, 1000, 8);
        assert_eq!(of(Backend::IoUring, 20_000, 4), 20_000);
        assert_eq!(of(Backend::Epoll, 20_000, 4), 4742);
        assert_eq!(of(Backend::Epoll, 20_000, 4000), 0);
        assert_eq!(of(Backend::Epoll, 4000, 1), 2992);
        assert_eq!(of(Backend::Epoll, 400, 1), 292, "the rest of the process gets a quarter");
        for backend in [Backend::IoUring, Backend::Epoll] {
            assert_eq!(of(backend, u64::MAX, 1), CONNECTIONS_MAX);
        }
    }
}
