//! What the state machine needs from below: the real kernel, or a simulated one.

use std::io;
use std::net::SocketAddr;
use std::ops::DerefMut;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::{ConnId, ConnectOptions, ListenOptions};
use crate::reactor::flight::Flight;
use crate::reactor::token::Token;
use crate::wake::Wake;

/// One completion.
#[derive(Debug)]
pub struct Completion<L> {
    pub(crate) token: Token,
    /// A count, or a negated errno.
    pub(crate) result: i32,
    /// The operation goes on and will complete again.
    pub(crate) more: bool,
    /// What was received.
    pub(crate) lease: Option<L>,
}

/// Submits operations on slots of the descriptor table and reports their completions.
///
/// Every submitted operation ends with exactly one completion whose `more` is false. Operations are
/// issued in the order of submission, but complete in any. The owner of the slots is the caller; a
/// backend keeps what an operation refers to until it has completed.
pub trait Kernel {
    /// Received bytes; the backend's again after [`Kernel::give_back`].
    type Lease: DerefMut<Target = [u8]>;

    /// The time.
    fn clock(&self) -> Instant;
    /// The doorbell that ends [`Kernel::enter`]'s wait.
    fn doorbell(&self) -> Arc<Wake>;

    /// A listening socket and the address it got.
    fn listen(&mut self, at: SocketAddr, options: ListenOptions) -> io::Result<(u32, SocketAddr)>;
    /// Drops a listening socket.
    fn unlisten(&mut self, listener: u32);
    /// Accepts one connection into the token's slot.
    fn accept(&mut self, token: Token, listener: u32);
    /// The peer of the accept that has just completed into the slot.
    fn peer(&mut self, slot: u32) -> SocketAddr;
    /// Puts a fresh socket into the token's slot and connects it.
    fn connect(&mut self, token: Token, options: ConnectOptions) -> io::Result<()>;
    /// Puts a connected socket into the connection's slot.
    fn adopt(&mut self, conn: ConnId, socket: OwnedFd) -> io::Result<()>;

    /// Receives into provided buffers, again and again. `readable`: bytes are known to wait.
    fn receive(&mut self, token: Token, readable: bool);
    /// Completes once the slot is readable.
    fn poll(&mut self, token: Token);
    /// Sends what is left of a flight. At most one per slot.
    fn send(&mut self, token: Token, flight: Box<Flight>);
    /// The flight whose send has just completed.
    fn landed(&mut self, slot: u32) -> Option<Box<Flight>>;
    /// Ends our direction (FIN).
    fn shutdown(&mut self, token: Token);
    /// Cancels an outstanding operation: 0 if it was found.
    fn cancel(&mut self, token: Token, target: Token);
    /// Closes the slot's descriptor. Operations in flight keep the socket alive.
    fn close(&mut self, token: Token);

    /// Submits, and waits for at least one completion, or a ring of the doorbell, at most `wait`.
    fn enter(&mut self, wait: Duration) -> io::Result<()>;
    /// Whether completions of an earlier `enter` are left.
    fn pending(&mut self) -> bool;
    /// Takes one completion.
    fn next(&mut self) -> Option<Completion<Self::Lease>>;
    /// Takes received bytes back.
    fn give_back(&mut self, lease: Self::Lease);
    /// Provides the returned buffers to receives again, and says how many are provided now.
    fn provide(&mut self) -> usize;
}
