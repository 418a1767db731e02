//! The test's side of the simulated world.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;

use crate::driver::Arm;
use crate::sim::Faults;
use crate::sim::world::{Op, Socket, World};

/// The script's hold on a simulated driver's world.
#[derive(Clone, Debug)]
pub struct Sim {
    world: Rc<RefCell<World>>,
}

/// The far end of a simulated connection.
#[derive(Clone, Debug)]
pub struct Peer {
    world: Rc<RefCell<World>>,
    socket: usize,
}

/// How the driver's side ended a connection, as its peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEnd {
    /// It will send no more.
    Fin,
    /// It is gone over bytes that it had not read.
    Reset,
}

impl Sim {
    pub(super) fn new(world: Rc<RefCell<World>>) -> Self {
        Self { world }
    }

    /// The virtual clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.borrow().now
    }

    /// Moves the virtual clock.
    pub fn advance(&self, by: Duration) {
        self.world.borrow_mut().now += by;
    }

    /// Changes the faults from here on.
    pub fn set_faults(&self, faults: Faults) {
        self.world.borrow_mut().config.faults = faults;
    }

    /// A peer connects to a listener of the driver; `None` if nobody listens there or the listen
    /// queue is full.
    #[must_use]
    pub fn connect(&self, listener: SocketAddr, from: SocketAddr) -> Option<Peer> {
        let mut world = self.world.borrow_mut();
        let socket = world.socket(Some(from));
        let queue = world.listeners.iter_mut().flatten().find(|queue| queue.at == listener)?;
        if queue.waiting.len() >= queue.backlog {
            return None;
        }
        queue.waiting.push_back(socket);
        Some(self.peer(socket))
    }

    /// Makes an address connectable for the driver; all others refuse.
    pub fn listen(&self, at: SocketAddr) {
        self.world.borrow_mut().outside.entry(at).or_default();
    }

    /// Makes an address that never answers a connect.
    pub fn silence(&self, at: SocketAddr) {
        self.world.borrow_mut().silent.push(at);
    }

    /// The next connection that the driver made to an address given to [`Sim::listen`].
    #[must_use]
    pub fn accept(&self, at: SocketAddr) -> Option<Peer> {
        let made = self.world.borrow_mut().outside.get_mut(&at)?.pop_front();
        made.map(|socket| self.peer(socket))
    }

    /// A descriptor for the driver to adopt, and the far end of what it becomes.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn endpoint(&self) -> io::Result<(OwnedFd, Peer)> {
        let ticket = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let mut world = self.world.borrow_mut();
        let socket = world.socket(None);
        world.endpoints.insert(ticket.as_raw_fd(), socket);
        Ok((ticket, self.peer(socket)))
    }

    /// Operations that the simulated kernel has armed (leaks show here).
    #[must_use]
    pub fn armed(&self) -> usize {
        self.world.borrow().ops.len()
    }

    /// Receive buffers that the simulated kernel has (leaks show here).
    #[must_use]
    pub fn buffers_provided(&self) -> usize {
        self.world.borrow().buffers_provided
    }

    fn peer(&self, socket: usize) -> Peer {
        Peer { world: Rc::clone(&self.world), socket }
    }
}

impl Peer {
    /// Sends to the driver; returns how many bytes fitted into the window.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let window = self.world.borrow().config.window_bytes;
        self.with(|end| {
            let open = end.gone.is_none() && !end.reset && !end.inbound_fin;
            let room = if open { window.saturating_sub(end.inbound.len()) } else { 0 };
            let taken = room.min(bytes.len());
            end.inbound.extend(&bytes[..taken]);
            taken
        })
    }

    /// Takes all that the driver sent so far.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        self.with(|end| end.outbound.drain(..).collect())
    }

    /// FIN: it sends no more.
    pub fn finish(&self) {
        self.with(|end| end.inbound_fin = true);
    }

    /// RST: it is gone, and what the driver has not received is lost.
    pub fn reset(&self) {
        self.with(|end| {
            end.reset = true;
            end.inbound.clear();
        });
    }

    /// How the driver's side waits for input: what its kernel has armed.
    #[must_use]
    pub fn armed(&self) -> Arm {
        let world = self.world.borrow();
        let mut armed = Arm::Off;
        for (_, op) in &world.ops {
            match op {
                Op::Receive { socket } if *socket == self.socket => armed = Arm::Hot,
                Op::Poll { socket } if *socket == self.socket => armed = Arm::Cold,
                _ => {}
            }
        }
        armed
    }

    /// Whether and how the driver's side ended.
    #[must_use]
    pub fn end(&self) -> Option<PeerEnd> {
        self.with(|end| match end.gone {
            Some(true) => Some(PeerEnd::Reset),
            Some(false) => Some(PeerEnd::Fin),
            None => end.outbound_fin.then_some(PeerEnd::Fin),
        })
    }

    /// Bytes it takes before it reads; zero is a peer that has stopped reading.
    pub fn set_window(&self, bytes: usize) {
        self.with(|end| end.window = bytes);
    }

    fn with<R>(&self, change: impl FnOnce(&mut Socket) -> R) -> R {
        change(&mut self.world.borrow_mut().sockets[self.socket])
    }
}
