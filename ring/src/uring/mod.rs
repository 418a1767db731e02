//! The io_uring backend: one ring per shard, made and used on the shard's thread.
//!
//! What the kernel is asked for, and why:
//! - SINGLE_ISSUER | DEFER_TASKRUN: completions are produced only while this thread is inside
//!   `io_uring_enter`. So nothing writes into receive buffers while a handler reads them, and one
//!   enter per turn submits the batch, runs what is ready and waits.
//! - Direct descriptors: connections live in the ring's own table, not the process's. The table is
//!   capped by RLIMIT_NOFILE per ring and not per process, so more shards hold more connections.
//! - Receive is multishot from a ring of provided buffers and polls first: an idle connection owns
//!   no buffer and an empty buffer ring does not end it.
//! - Cancels go by key. A cancel by descriptor walks every armed operation of the ring.
//! - No operation asks for a kernel worker thread; the one that always takes one is shutdown (a
//!   graceful close whose peer did not finish first), so workers are capped.
//! - Not used: multishot accept (no peer address), SEND_ZC (slower below 16 KB, and a second
//!   completion after the peer's ACK), bundles.
//!
//! Memory of one driver with the default sizes: submission queue 1024 x 64 B = 64 KB, completion
//! queue 8192 x 16 B = 128 KB, the kernel's descriptor table 8 B per possible slot, receive buffers
//! 1 MB (pages are taken when first written). 64 drivers side by side, tables of 20,000 slots each,
//! were measured before any traffic at 12.9 MB resident and 37 MB taken from the host's available
//! memory in all. Per connection: 12 B of record, taken as slots are first used, and 8 B of send
//! slot, taken as slots are first sent on; 9,000 idle connections added 37 B each to the resident
//! memory of a process that held both their ends.
//!
//! Why packed buffers of 64 KB: with 16 x 64 KB packed (the default), 256 x 4 KB or 64 x 16 KB
//! unpacked, all 1 MB, `examples/receive_buffers.rs` measured server CPU per echoed message (µs,
//! least and median of 5 rounds of 150 ms) of
//!
//! | case | packed 16 x 64 KB | 256 x 4 KB | 64 x 16 KB |
//! |---|---|---|---|
//! | 500 connections, 64 B | 5.64, 6.01 | 5.02, 5.39 | 5.31, 5.79 |
//! | 500 connections, 512 B | 4.57, 5.39 | 4.54, 5.97 | 3.84, 5.18 |
//! | 500 connections, 16 KB | 9.10, 10.74 | 11.79, 11.90 | 10.92, 11.43 |
//! | 50 connections, 16 KB | 6.80, 7.81 | 8.24, 10.09 | 7.38, 8.68 |
//!
//! (AMD EPYC VM of 2 vCPUs that others used at the same time, kernel 6.18.44: differences below
//! 15 % mean nothing.) Small messages do not tell the three apart. Packed buffers win at 16 KB,
//! where a message comes in one or two pieces, and bursts of small messages cannot use them up:
//! 256 unpacked buffers are gone after 256 messages, whatever their size. More of them
//! (64 x 64 KB) gained nothing.
//!
//! [`UringDriver::new`] says in [`SetupError`] what is missing on this host and what to do.

mod buffers;
mod explain;
mod kernel;
mod ring;

use std::io;
use std::time::Duration;

use crate::driver::{Driver, Handler};
use crate::limits;
use crate::reactor::Reactor;
use crate::setup::SetupError;
use kernel::UringKernel;

/// Sizes of a driver.
#[derive(Clone, Debug)]
pub struct UringConfig {
    /// Connections wanted; the driver takes min(this, RLIMIT_NOFILE, 2^20).
    pub connections_max: u32,
    /// Submission queue entries (64 bytes each), a power of two of 8 or more.
    pub submission_entries: u32,
    /// Completion queue entries (16 bytes each), a power of two, at least 4 x the submissions.
    pub completion_entries: u32,
    /// Receive buffers, a power of two.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer, a multiple of 4096.
    pub receive_buffer_bytes: u32,
    /// Fill receive buffers message after message where the kernel can (6.12); otherwise, and
    /// where it cannot, each receive takes a buffer.
    pub receive_packed: bool,
    /// Work of a turn's handlers after which the rest waits for the next turn.
    pub turn_budget: Duration,
    /// How long a turn that has to wait gathers completions, up to [`limits::GATHERED_MAX`] of
    /// them, before it works on them (kernel 6.12 and later). Zero: the first ends the wait. Where
    /// rings share a core, fewer and fuller turns cost less processor time; every event may wait
    /// this long.
    pub gather: Duration,
    /// Connections made by `connect` are reset when they are closed (SO_LINGER of 0 s) instead of
    /// waiting in TIME_WAIT with their port: for load generators.
    pub connect_reset_on_close: bool,
}

impl Default for UringConfig {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            submission_entries: 1024,
            completion_entries: 8192,
            receive_buffers: 16,
            receive_buffer_bytes: 64 * 1024,
            receive_packed: true,
            turn_budget: limits::TURN_BUDGET,
            gather: Duration::ZERO,
            connect_reset_on_close: false,
        }
    }
}

impl UringConfig {
    fn check(&self) -> Result<(), SetupError> {
        let wrong = |field, value: u32, must| {
            Err(SetupError::Configuration { field, value: value.into(), must })
        };
        let buffers = u32::from(self.receive_buffers);
        if self.connections_max == 0 {
            return wrong("connections_max", 0, "1 or more");
        }
        if !self.submission_entries.is_power_of_two()
            || !(8..=32768).contains(&self.submission_entries)
        {
            return wrong(
                "submission_entries",
                self.submission_entries,
                "a power of two in 8..=32768",
            );
        }
        if !self.completion_entries.is_power_of_two()
            || !(4 * self.submission_entries..=65536).contains(&self.completion_entries)
        {
            let must = "a power of two, at least 4 x submission_entries, at most 65536";
            return wrong("completion_entries", self.completion_entries, must);
        }
        if !buffers.is_power_of_two() || buffers > 32768 {
            return wrong("receive_buffers", buffers, "a power of two, at most 32768");
        }
        if self.gather > limits::GATHER_MAX {
            let ms = self.gather.as_millis().try_into().unwrap_or(u32::MAX);
            return wrong("gather", ms, "at most a second");
        }
        if self.receive_buffer_bytes == 0 || !self.receive_buffer_bytes.is_multiple_of(4096) {
            return wrong("receive_buffer_bytes", self.receive_buffer_bytes, "a multiple of 4096");
        }
        Ok(())
    }
}

/// The operations of a [`UringDriver`].
pub type UringIo = Reactor<UringKernel>;

/// A reactor over io_uring. Stays on the thread that made it.
#[derive(Debug)]
pub struct UringDriver {
    io: UringIo,
    connections_max: u32,
    gathers: bool,
}

impl UringDriver {
    /// Sets a ring up on the calling thread, the only one that may use it.
    ///
    /// # Errors
    /// See [`SetupError`]; each says what to do.
    pub fn new(config: UringConfig) -> Result<Self, SetupError> {
        config.check()?;
        let (kernel, connections_max) = UringKernel::new(&config)?;
        let gathers = kernel.gathers();
        let io = Reactor::new(kernel, connections_max, config.turn_budget);
        Ok(Self { io, connections_max, gathers })
    }

    /// Slots of the descriptor table. Posted accepts take up to
    /// [`limits::ACCEPTS_IN_FLIGHT`] of them per listener.
    #[must_use]
    pub fn connections_max(&self) -> u32 {
        self.connections_max
    }

    /// Whether waits gather completions: it was asked for, and this kernel can.
    #[must_use]
    pub fn gathers(&self) -> bool {
        self.gathers
    }
}

impl Driver for UringDriver {
    type Io = UringIo;

    fn io(&mut self) -> &mut UringIo {
        &mut self.io
    }

    fn turn<H: Handler<UringIo>>(&mut self, wait: Duration, handler: &mut H) -> io::Result<()> {
        self.io.turn(wait, handler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut UringConfig)) -> bool {
        let mut config = UringConfig::default();
        change(&mut config);
        matches!(config.check(), Err(SetupError::Configuration { .. }))
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_and_their_neighbours_are_not() {
        assert!(!refused(|_| {}));
        assert!(refused(|c| c.connections_max = 0) && !refused(|c| c.connections_max = 1));
        assert!(refused(|c| c.submission_entries = 7) && !refused(|c| c.submission_entries = 8));
        assert!(
            refused(|c| c.completion_entries = 2048) && !refused(|c| c.completion_entries = 4096)
        );
        assert!(refused(|c| c.completion_entries = 131_072));
        assert!(refused(|c| c.submission_entries = 65_536));
        assert!(refused(|c| c.receive_buffers = 0) && !refused(|c| c.receive_buffers = 1));
        assert!(refused(|c| c.receive_buffers = 24) && !refused(|c| c.receive_buffers = 32_768));
        assert!(refused(|c| c.receive_buffer_bytes = 4095));
        assert!(!refused(|c| c.receive_buffer_bytes = 4096));
    }
}
