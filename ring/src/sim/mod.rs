//! The scripted, deterministic backend.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::{
    Arm, CloseKind, ConnId, ConnectOptions, Driver, Handler, Io, ListenOptions, ListenerId,
    SendBatch, Waker,
};

/// Sizes and faults of a simulated driver.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of every random choice; the same seed and script give the same run.
    pub seed: u64,
    /// Slots of the descriptor table.
    pub connections_max: u32,
    /// Receive buffers.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer.
    pub receive_buffer_bytes: u32,
    /// Completions that fit before the queue overflows and ends every multishot operation.
    pub completion_entries: u32,
    /// Bytes a peer takes before it reads (and that wait for the driver to receive).
    pub window_bytes: usize,
    /// What goes wrong at random.
    pub faults: Faults,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            connections_max: 1024,
            receive_buffers: 16,
            receive_buffer_bytes: 4096,
            completion_entries: 4096,
            window_bytes: 256 * 1024,
            faults: Faults::default(),
        }
    }
}

/// Probabilities in 1/1000 per operation; all zero by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A send takes only a part.
    pub short_send: u16,
    /// A completion comes late, by at most `delay_max`.
    pub delay: u16,
    /// See `delay`.
    pub delay_max: Duration,
    /// Completions of different connections change places.
    pub reorder: u16,
    /// A receive ends with ENOBUFS although buffers exist.
    pub no_buffers: u16,
    /// The completion queue overflows: multishot operations end.
    pub overflow: u16,
    /// An accept fails (ENFILE).
    pub accept_failure: u16,
    /// A cancel does not find its operation (it completes by itself).
    pub cancel_miss: u16,
    /// The connection is reset instead of the next operation's success.
    pub reset: u16,
}

/// The simulated driver.
#[derive(Debug)]
pub struct SimDriver {
    io: SimIo,
}

/// Its operations.
#[derive(Debug)]
pub struct SimIo {}

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

skeleton!(SimIo);

impl SimDriver {
    /// A driver and the script's hold on its world. Both stay on one thread.
    #[must_use]
    pub fn new(_config: SimConfig) -> (Self, Sim) {
        (Self { io: SimIo {} }, Sim {})
    }
}

impl Driver for SimDriver {
    type Io = SimIo;
    fn io(&mut self) -> &mut SimIo {
        &mut self.io
    }
    /// Never blocks: with nothing to hand out, the virtual clock moves on by `wait` (or to the
    /// first delayed completion).
    fn turn<H: Handler<SimIo>>(&mut self, _wait: Duration, _handler: &mut H) -> io::Result<()> {
        unimplemented!()
    }
}

/// The script's hold on a simulated driver's world.
#[derive(Clone, Debug)]
pub struct Sim {}

/// The far end of a simulated connection.
#[derive(Clone, Debug)]
pub struct Peer {}

/// How the driver's side ended a connection, as its peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEnd {
    /// It will send no more.
    Fin,
    /// It is gone and what was not read is lost.
    Reset,
}

#[allow(unused_variables)]
impl Sim {
    /// The virtual clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }
    /// Moves the virtual clock.
    pub fn advance(&self, by: Duration) {}
    /// A peer connects to a listener of the driver; None if nobody listens there or the queue is full.
    #[must_use]
    pub fn connect(&self, listener: SocketAddr, from: SocketAddr) -> Option<Peer> {
        None
    }
    /// Makes an address connectable for [`Io::connect`]; all others refuse.
    pub fn listen(&self, at: SocketAddr) {}
    /// The next connection that the driver made to `at`.
    #[must_use]
    pub fn accept(&self, at: SocketAddr) -> Option<Peer> {
        None
    }
    /// A descriptor for [`Io::adopt`] and the far end of what it will be.
    ///
    /// # Errors
    /// No descriptor could be made.
    pub fn endpoint(&self) -> io::Result<(OwnedFd, Peer)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Changes the faults from here on.
    pub fn set_faults(&self, faults: Faults) {}
}

#[allow(unused_variables)]
impl Peer {
    /// Sends to the driver; returns how much fitted into the window.
    pub fn write(&self, bytes: &[u8]) -> usize {
        0
    }
    /// Takes all that the driver sent so far.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        Vec::new()
    }
    /// FIN: sends no more.
    pub fn finish(&self) {}
    /// RST.
    pub fn reset(&self) {}
    /// Whether and how the driver's side ended.
    #[must_use]
    pub fn end(&self) -> Option<PeerEnd> {
        None
    }
    /// Bytes it takes before it reads; zero is a peer that stopped reading.
    pub fn set_window(&self, bytes: usize) {}
}
