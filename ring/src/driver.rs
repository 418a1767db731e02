//! The interface of a shard's driver. See the crate header for its contracts.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

/// A connection: its slot in the driver's table and the generation of that slot's present use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index into the driver's (and the caller's) table.
    pub slot: u32,
    /// Counts the uses of the slot (24 bits used, wraps).
    pub generation: u32,
}

/// A listening socket of this driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Length of the accept queue.
    pub backlog: u32,
    /// Join other shards' listeners on the same address (SO_REUSEPORT).
    pub reuse_port: bool,
}

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Where to.
    pub to: SocketAddr,
    /// Source address; port 0 lets the kernel choose late (IP_BIND_ADDRESS_NO_PORT).
    pub bind: Option<SocketAddr>,
}

/// How a connection waits for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// A receive is posted: fastest. Over io_uring ~830 bytes of kernel memory, over epoll ~240.
    Hot,
    /// Only readiness is awaited: ~265 bytes of kernel memory (epoll: ~240), one more step on the
    /// first byte (the driver turns hot by itself when bytes come).
    Cold,
    /// Nothing is received: the peer is held back by its window. Bytes that were taken from the
    /// socket before this took effect are still delivered.
    Off,
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseKind {
    /// Send what is in flight, then FIN, wait (bounded by the caller's deadline, who then aborts)
    /// for the peer's FIN.
    Graceful,
    /// Cancel everything and close now.
    Abort,
}

/// What one send carries, in order: buffers of its own and shared frames.
///
/// Owned buffers come from [`Io::buffer`] and go back to that pool when the send has ended.
#[derive(Debug, Default)]
pub struct SendBatch {
    pub(crate) chunks: SmallVec<[Chunk; 2]>,
}

/// A piece of a send.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Written for this connection alone.
    Owned(Vec<u8>),
    /// One encoding for many recipients.
    Shared(Bytes),
}

impl Chunk {
    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(buffer) => buffer,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl SendBatch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a buffer got from [`Io::buffer`].
    pub fn push_owned(&mut self, buffer: Vec<u8>) {
        self.chunks.push(Chunk::Owned(buffer));
    }

    /// Appends a frame that others share.
    pub fn push_shared(&mut self, frame: Bytes) {
        self.chunks.push(Chunk::Shared(frame));
    }

    /// Number of pieces; a send takes at most [`crate::limits::SEND_CHUNKS_MAX`].
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes in all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.as_slice().len()).sum()
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A peer connected to a listener. The connection is not armed yet.
    Accepted {
        /// The listener.
        listener: ListenerId,
        /// The new connection.
        conn: ConnId,
        /// The peer's address.
        peer: SocketAddr,
    },
    /// Accepting failed for now (table full, out of descriptors); the driver goes on by itself when
    /// a slot is free.
    AcceptFailed {
        /// The listener.
        listener: ListenerId,
        /// Why.
        error: io::Error,
    },
    /// The outcome of [`Io::connect`]. On error the connection is gone (`Closed` follows).
    Connected {
        /// The connection.
        conn: ConnId,
        /// Outcome.
        result: io::Result<()>,
    },
    /// Bytes came. They are the handler's to change until it returns.
    Received {
        /// The connection.
        conn: ConnId,
        /// 1 byte or more.
        data: &'a mut [u8],
    },
    /// The peer will send no more (FIN: `Ok`) or the connection broke. The caller still closes.
    ReceiveEnd {
        /// The connection.
        conn: ConnId,
        /// `Ok` for FIN.
        result: io::Result<()>,
    },
    /// The send in flight ended. On error the connection is broken; the caller still closes.
    Sent {
        /// The connection.
        conn: ConnId,
        /// Outcome; `Ok` means that every byte is in the socket.
        result: io::Result<()>,
    },
    /// The connection's last event. Its slot may be used again.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// [`Waker::wake`] was called since the last turn (any number of times).
    Woken,
}

/// Takes the events of a turn.
///
/// Received bytes cannot be kept beyond the call:
///
/// ```compile_fail,E0521
/// use throng_ring::{Event, Handler, Io};
///
/// struct Keeps(Vec<&'static mut [u8]>);
///
/// impl<I: Io> Handler<I> for Keeps {
///     fn event(&mut self, _io: &mut I, event: Event<'_>) {
///         if let Event::Received { data, .. } = event {
///             self.0.push(data);
///         }
///     }
/// }
/// ```
pub trait Handler<I: Io> {
    /// One event. Must return soon: a turn is bounded by the handler's own budget.
    fn event(&mut self, io: &mut I, event: Event<'_>);
}

/// Operations. They reach the kernel at the end of the turn at the latest.
///
/// An operation on a stale [`ConnId`] does nothing (its connection's `Closed` was, or is about to
/// be, delivered).
pub trait Io {
    /// Binds and listens, and keeps accepting until told otherwise.
    ///
    /// # Errors
    /// Those of socket, bind and listen; the address in use is `AddrInUse`.
    fn listen(&mut self, address: SocketAddr, options: ListenOptions) -> io::Result<ListenerId>;

    /// The address a listener got (port 0 resolved).
    ///
    /// # Errors
    /// Unknown listener.
    fn local_addr(&self, listener: ListenerId) -> io::Result<SocketAddr>;

    /// Holds back (or goes on with) accepting: pending peers stay in the kernel's queue.
    fn accept(&mut self, listener: ListenerId, on: bool);

    /// Stops listening for good.
    fn close_listener(&mut self, listener: ListenerId);

    /// Starts a TCP connection; [`Event::Connected`] tells the outcome.
    ///
    /// # Errors
    /// The table is full (ENFILE), or the socket cannot be made or bound. There is no connection
    /// then, and no event comes.
    fn connect(&mut self, options: ConnectOptions) -> io::Result<ConnId>;

    /// Takes over a connected stream socket (a socketpair's end). Not armed yet.
    ///
    /// # Errors
    /// The table is full (ENFILE), or the descriptor is no socket that can be adopted. There is no
    /// connection then; the descriptor is closed.
    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId>;

    /// Changes how a connection waits for input. A new connection is [`Arm::Off`]; one that is
    /// being made can be armed from its [`Event::Connected`] on.
    fn arm(&mut self, conn: ConnId, arm: Arm);

    /// Sends. One send is in flight per connection.
    ///
    /// # Errors
    /// Gives the batch back while the one before is in flight, if the connection is stale, not
    /// connected or closed, or if the batch is empty or has too many pieces.
    fn send(&mut self, conn: ConnId, batch: SendBatch) -> Result<(), SendBatch>;

    /// Whether a send is in flight.
    fn sending(&self, conn: ConnId) -> bool;

    /// An empty buffer from the driver's pool, for [`SendBatch::push_owned`].
    fn buffer(&mut self) -> Vec<u8>;

    /// Gives a buffer back unused.
    fn recycle(&mut self, buffer: Vec<u8>);

    /// Ends a connection. Its only further event is [`Event::Closed`]: what still comes, and how
    /// the send in flight ends, is not told. `Abort` after `Graceful` hastens it.
    fn close(&mut self, conn: ConnId, kind: CloseKind);

    /// The driver's clock at the start of this turn. Virtual in the simulation: callers take time
    /// from here only.
    fn now(&self) -> Instant;

    /// The driver's clock at this very moment, for callers that measure within a turn. Costs a
    /// reading of the clock; equals what [`Io::now`] would say if the turn began now.
    fn clock(&self) -> Instant;

    /// A handle by which other threads end this driver's wait.
    fn waker(&self) -> Waker;

    /// Connections in the table.
    fn connections(&self) -> usize;
}

/// A reactor.
pub trait Driver {
    /// Where operations go.
    type Io: Io;

    /// Operations outside a turn (set-up, and what timers ask for between turns).
    fn io(&mut self) -> &mut Self::Io;

    /// Submits what is queued, waits at most `wait` (zero: only looks) for at least one completion,
    /// and hands out what came: at most [`crate::limits::EVENTS_PER_TURN_MAX`] completions, and no
    /// more once the handler has used the turn's budget of time. What is left comes with the next
    /// turn, which then does not wait.
    ///
    /// # Errors
    /// The ring (or epoll) itself failed: the shard cannot go on.
    fn turn<H: Handler<Self::Io>>(&mut self, wait: Duration, handler: &mut H) -> io::Result<()>;
}

/// Ends the wait of a driver from another thread. Cheap to clone; waking is coalesced.
#[derive(Clone, Debug)]
pub struct Waker {
    pub(crate) inner: std::sync::Arc<crate::wake::Wake>,
}

impl Waker {
    /// Makes the driver's present or next wait end with [`Event::Woken`].
    pub fn wake(&self) {
        self.inner.wake();
    }
}
