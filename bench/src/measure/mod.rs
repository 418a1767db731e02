//! What a run costs: processes and kernel, before, during and after.

pub mod calibrate;
pub mod kernel;
pub mod process;

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::Side;

/// One look at one side of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Processor time of all its processes so far.
    pub cpu: Duration,
    /// Resident anonymous memory of all its processes.
    pub resident_bytes: u64,
}

impl Reading {
    /// Of processes of this host, added up.
    ///
    /// # Errors
    /// One of them is gone.
    pub fn of(pids: &[u32]) -> io::Result<Self> {
        let mut reading = Self::default();
        for &pid in pids {
            reading.cpu += Duration::from_secs_f64(process::cpu_seconds(pid)?);
            reading.resident_bytes += process::resident_bytes(pid)?;
        }
        Ok(reading)
    }
}

/// One look at the kernel's memory; `slab_bytes` is 0 without root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelReading {
    /// Slab objects in use.
    pub slab_bytes: u64,
    /// Pages that hold data in sockets.
    pub socket_bytes: u64,
}

impl KernelReading {
    /// Reads both.
    #[must_use]
    pub fn read() -> Self {
        Self {
            slab_bytes: kernel::slab_bytes().unwrap_or_default(),
            socket_bytes: kernel::socket_page_bytes().unwrap_or_default(),
        }
    }
}

/// The readings of one side over a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Readings {
    /// Its processes.
    pub pids: Vec<u32>,
    /// Before the first connection.
    pub before: Reading,
    /// With most connections open.
    pub full: Reading,
    /// At the end of the measured part.
    pub after: Reading,
}

/// Growth of the kernel's memory from before the first connection to the fullest moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelGrowth {
    /// Slab, both ends if both are on this host.
    pub slab_bytes: u64,
    /// Pages that hold data in sockets.
    pub socket_bytes: u64,
    /// Connections at the fullest moment.
    pub connections: u64,
}

impl KernelGrowth {
    /// Between two readings.
    #[must_use]
    pub fn between(before: KernelReading, full: KernelReading, connections: u64) -> Self {
        Self {
            slab_bytes: full.slab_bytes.saturating_sub(before.slab_bytes),
            socket_bytes: full.socket_bytes.saturating_sub(before.socket_bytes),
            connections,
        }
    }
}

impl Readings {
    /// This side's part of a result.
    ///
    /// `slab_bytes`: what of the slab is this side's; see [`calibrate`] for how it is found where
    /// both ends are on this host (`shared`).
    #[must_use]
    pub fn side(&self, growth: KernelGrowth, slab_bytes: u64, shared: bool) -> Side {
        let resident = self.full.resident_bytes.saturating_sub(self.before.resident_bytes);
        Side {
            pids: self.pids.clone(),
            cpu_seconds: self.after.cpu.saturating_sub(self.before.cpu).as_secs_f64(),
            rss_bytes: self.full.resident_bytes,
            rss_before_bytes: self.before.resident_bytes,
            slab_bytes,
            socket_bytes: growth.socket_bytes,
            slab_shared: shared,
            user_bytes_per_connection: per_connection(resident, growth.connections),
            kernel_bytes_per_connection: per_connection(slab_bytes, growth.connections),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
fn per_connection(bytes: u64, connections: u64) -> f64 {
    if connections == 0 { 0.0 } else { bytes as f64 / connections as f64 }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not as expected in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_grew_divided_by_the_connections() {
        let reading = |resident_bytes| Reading { cpu: Duration::ZERO, resident_bytes };
        let readings = Readings {
            pids: vec![7],
            before: reading(1_000),
            full: reading(41_000),
            after: reading(2_000),
        };
        let growth = KernelGrowth { slab_bytes: 8_000, socket_bytes: 0, connections: 100 };
        let side = readings.side(growth, 5_000, true);
        assert_eq!(side.user_bytes_per_connection, 400.0);
        assert_eq!(side.kernel_bytes_per_connection, 50.0);
        assert_eq!(side.rss_bytes, 41_000);
    }

    #[test]
    fn no_connection_costs_nothing() {
        assert_eq!(per_connection(5, 0), 0.0);
    }

    #[test]
    fn the_kernel_may_give_memory_back_during_a_run() {
        let before = KernelReading { slab_bytes: 10, socket_bytes: 10 };
        let full = KernelReading { slab_bytes: 5, socket_bytes: 20 };
        let growth = KernelGrowth::between(before, full, 1);
        assert_eq!((growth.slab_bytes, growth.socket_bytes), (0, 10));
    }
}
