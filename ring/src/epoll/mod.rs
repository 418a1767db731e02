//! The epoll backend, for hosts that refuse io_uring: one epoll descriptor per shard, used on the
//! shard's thread.
//!
//! The state machine above is shaped by completions; this backend makes them. An operation is tried
//! at once, or when its connection is told to be ready, and what a call returns is its completion:
//! - Edge-triggered: one registration per connection for its whole life, whatever it waits for.
//!   That bytes wait is remembered until a receive has found the socket empty, so changing between
//!   [`crate::Arm`]s costs no call. Output is registered for only while a send is blocked.
//! - One receive buffer per driver, lent to the handler and back before the next receive. A receive
//!   is called when its turn to be handed out has come, not earlier, so one buffer is enough.
//! - Everything that can go on stands in one queue, first come, first served. A connection gets
//!   [`limits::RECEIVES_PER_TURN`] receives in a turn, a listener as many accepts as are posted
//!   ([`limits::ACCEPTS_IN_FLIGHT`]); what is left waits for the next turn, which does not block.
//! - Sends go out when they are asked for, up to [`limits::SEND_CHUNKS_MAX`] pieces in one call.
//!   A short one goes on when room is told.
//! - The doorbell's eventfd is registered edge-triggered too, and therefore never read.
//! - Nothing completes between turns, and a cancel always finds its operation.
//!
//! What differs from the other backend for whoever uses it:
//! - Each connection is a descriptor of the process. RLIMIT_NOFILE therefore caps all drivers of
//!   the process together, and not each of them. Where it is met first, accepting pauses for
//!   [`limits::ACCEPT_RETRY`] at a time and peers wait in the listen queue, as with a full table.
//! - [`crate::Arm::Hot`] and [`crate::Arm::Cold`] cost the same in the kernel: ~240 bytes.
//! - A wait cannot gather completions.
//!
//! Memory of one driver: 32 KiB of receive buffer, 12 KiB of events; per connection 12 B of record
//! and 12 B of slot, taken as slots are first used.

mod accept;
mod input;
mod kernel;
mod output;
mod poller;
mod slots;

use std::io;
use std::time::Duration;

use crate::driver::{Driver, Handler};
use crate::host;
use crate::limits;
use crate::reactor::Reactor;
use crate::setup::SetupError;
use kernel::EpollKernel;

/// Sizes of a driver.
#[derive(Clone, Debug)]
pub struct EpollConfig {
    /// Connections wanted; the driver takes min(this, RLIMIT_NOFILE, 2^20). Drivers share
    /// RLIMIT_NOFILE, so several in a process should each be given a part of it.
    pub connections_max: u32,
    /// Bytes that one receive takes at most.
    pub receive_buffer_bytes: u32,
    /// Work of a turn's handlers after which the rest waits for the next turn.
    pub turn_budget: Duration,
    /// Connections made by `connect` are reset when they are closed (SO_LINGER of 0 s) instead of
    /// waiting in TIME_WAIT with their port: for load generators.
    pub connect_reset_on_close: bool,
}

impl Default for EpollConfig {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            receive_buffer_bytes: limits::RECEIVE_BYTES_MAX,
            turn_budget: limits::TURN_BUDGET,
            connect_reset_on_close: false,
        }
    }
}

impl EpollConfig {
    fn check(&self) -> Result<(), SetupError> {
        let positive = [
            ("connections_max", self.connections_max),
            ("receive_buffer_bytes", self.receive_buffer_bytes),
        ];
        match positive.into_iter().find(|(_, value)| *value == 0) {
            Some((field, _)) => {
                Err(SetupError::Configuration { field, value: 0, must: "1 or more" })
            }
            None => Ok(()),
        }
    }
}

/// The operations of an [`EpollDriver`].
pub type EpollIo = Reactor<EpollKernel>;

/// A reactor over epoll.
#[derive(Debug)]
pub struct EpollDriver {
    io: EpollIo,
    connections_max: u32,
}

impl EpollDriver {
    /// Sets a driver up.
    ///
    /// # Errors
    /// See [`SetupError`]: sizes that cannot be, or no descriptor is left.
    pub fn new(config: EpollConfig) -> Result<Self, SetupError> {
        config.check()?;
        let nofile = host::rlimit_nofile().soft.unwrap_or(u64::MAX);
        let capped = nofile.min(u64::from(limits::CONNECTIONS_MAX)) as u32;
        let connections_max = config.connections_max.min(capped);
        let kernel = EpollKernel::new(&config)?;
        let io = Reactor::new(kernel, connections_max, config.turn_budget);
        Ok(Self { io, connections_max })
    }

    /// Slots of the table. Posted accepts take up to [`limits::ACCEPTS_IN_FLIGHT`] of them per
    /// listener.
    #[must_use]
    pub fn connections_max(&self) -> u32 {
        self.connections_max
    }
}

impl Driver for EpollDriver {
    type Io = EpollIo;

    fn io(&mut self) -> &mut EpollIo {
        &mut self.io
    }

    fn turn<H: Handler<EpollIo>>(&mut self, wait: Duration, handler: &mut H) -> io::Result<()> {
        self.io.turn(wait, handler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_one_are_taken_and_of_zero_refused() {
        let config = |connections_max, receive_buffer_bytes| EpollConfig {
            connections_max,
            receive_buffer_bytes,
            ..EpollConfig::default()
        };
        assert!(EpollDriver::new(config(1, 1)).is_ok());
        for (config, field) in
            [(config(0, 1), "connections_max"), (config(1, 0), "receive_buffer_bytes")]
        {
            let error = EpollDriver::new(config).unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }
}
