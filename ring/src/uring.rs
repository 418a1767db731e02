//! The io_uring backend.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::setup::SetupError;
use crate::{
    Arm, CloseKind, ConnId, ConnectOptions, Driver, Handler, Io, ListenOptions, ListenerId,
    SendBatch, Waker, limits,
};

/// Sizes of a driver.
#[derive(Clone, Debug)]
pub struct UringConfig {
    /// Connections wanted; the driver takes min(this, RLIMIT_NOFILE, 2^20).
    pub connections_max: u32,
    /// Submission queue entries, a power of two (64 bytes each).
    pub submission_entries: u32,
    /// Completion queue entries, a power of two, at least 4 x the submissions (16 bytes each).
    pub completion_entries: u32,
    /// Receive buffers, a power of two.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer, a power of two.
    pub receive_buffer_bytes: u32,
    /// Work of a turn's handlers after which the rest waits for the next turn.
    pub turn_budget: Duration,
}

impl Default for UringConfig {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            submission_entries: 1024,
            completion_entries: 8192,
            receive_buffers: 16,
            receive_buffer_bytes: 64 * 1024,
            turn_budget: limits::TURN_BUDGET,
        }
    }
}

/// The driver. Made and used on one thread.
#[derive(Debug)]
pub struct UringDriver {
    io: UringIo,
}

/// Its operations.
#[derive(Debug)]
pub struct UringIo {}

impl UringDriver {
    /// Sets a ring up on the calling thread, the only one that may use it.
    ///
    /// # Errors
    /// See [`SetupError`]; each says what to do.
    pub fn new(_config: UringConfig) -> Result<Self, SetupError> {
        Ok(Self { io: UringIo {} })
    }
}

impl Driver for UringDriver {
    type Io = UringIo;
    fn io(&mut self) -> &mut UringIo {
        &mut self.io
    }
    fn turn<H: Handler<UringIo>>(&mut self, _wait: Duration, _handler: &mut H) -> io::Result<()> {
        unimplemented!()
    }
}

macro_rules! skeleton {
    ($name:ty) => {
        #[allow(unused_variables)]
        impl Io for $name {
            fn listen(&mut self, a: SocketAddr, o: ListenOptions) -> io::Result<ListenerId> {
                unimplemented!()
            }
            fn local_addr(&self, listener: ListenerId) -> io::Result<SocketAddr> {
                unimplemented!()
            }
            fn accept(&mut self, listener: ListenerId, on: bool) {}
            fn close_listener(&mut self, listener: ListenerId) {}
            fn connect(&mut self, options: ConnectOptions) -> io::Result<ConnId> {
                unimplemented!()
            }
            fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
                unimplemented!()
            }
            fn arm(&mut self, conn: ConnId, arm: Arm) {}
            fn send(&mut self, conn: ConnId, batch: SendBatch) -> Result<(), SendBatch> {
                Err(batch)
            }
            fn sending(&self, conn: ConnId) -> bool {
                false
            }
            fn buffer(&mut self) -> Vec<u8> {
                Vec::new()
            }
            fn recycle(&mut self, buffer: Vec<u8>) {}
            fn close(&mut self, conn: ConnId, kind: CloseKind) {}
            fn now(&self) -> Instant {
                Instant::now()
            }
            fn waker(&self) -> Waker {
                unimplemented!()
            }
            fn connections(&self) -> usize {
                0
            }
        }
    };
}
pub(crate) use skeleton;
skeleton!(UringIo);
