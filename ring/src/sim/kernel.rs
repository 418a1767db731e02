//! The kernel interface over the simulated world.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::{ConnId, ConnectOptions, ListenOptions};
use crate::reactor::flight::Flight;
use crate::reactor::kernel::{Completion, Kernel};
use crate::reactor::token::Token;
use crate::sim::world::{ListenQueue, Op, World};
use crate::wake::Wake;

/// An operation on its way to the next `enter`.
#[derive(Debug)]
enum Submission {
    Arm(Token, Request),
    Shutdown(Token),
    Cancel(Token, Token),
    Close(Token),
}

/// What to arm; the slot's socket is looked up at the enter, as the kernel does.
#[derive(Debug)]
enum Request {
    Accept { listener: usize },
    Connect { to: SocketAddr },
    Receive,
    Poll,
    Send { flight: Box<Flight> },
}

/// See the module header.
#[derive(Debug)]
pub struct SimKernel {
    world: Rc<RefCell<World>>,
    wake: Arc<Wake>,
    submissions: VecDeque<Submission>,
    landed: Option<Box<Flight>>,
    peer: Option<SocketAddr>,
    buffers_returned: usize,
}

impl SimKernel {
    pub(super) fn new(world: Rc<RefCell<World>>) -> Self {
        Self {
            world,
            wake: Arc::new(Wake::new(None)),
            submissions: VecDeque::new(),
            landed: None,
            peer: None,
            buffers_returned: 0,
        }
    }

    fn arm(&mut self, token: Token, request: Request) {
        self.submissions.push_back(Submission::Arm(token, request));
    }
}

impl World {
    fn issue(&mut self, submission: Submission) {
        match submission {
            Submission::Arm(token, request) => self.issue_arm(token, request),
            Submission::Shutdown(token) => {
                let result = match self.slots.get(&token.conn.slot) {
                    Some(&socket) if self.sockets[socket].reset => -libc::ENOTCONN,
                    Some(&socket) => {
                        self.sockets[socket].outbound_fin = true;
                        0
                    }
                    None => -libc::EBADF,
                };
                self.post(token, result);
            }
            Submission::Cancel(token, target) => {
                let result = self.cancel(target);
                self.post(token, result);
            }
            Submission::Close(token) => {
                let result = self.close(token.conn.slot);
                self.post(token, result);
            }
        }
    }

    fn issue_arm(&mut self, token: Token, request: Request) {
        let twice = self.ops.iter().any(|(armed, _)| *armed == token);
        assert!(!twice, "{token:?} was submitted while it is outstanding");
        let slot = self.slots.get(&token.conn.slot).copied();
        let op = match (request, slot) {
            (Request::Accept { listener }, None) => Op::Accept { listener },
            (Request::Accept { .. }, Some(_)) => panic!("{token:?} accepts into a slot in use"),
            (Request::Connect { to }, Some(socket)) => Op::Connect { socket, to },
            (Request::Receive, Some(socket)) => Op::Receive { socket },
            (Request::Poll, Some(socket)) => Op::Poll { socket },
            (Request::Send { flight }, Some(socket)) => Op::Send { socket, flight, sent: 0 },
            (_, None) => panic!("{token:?} on an empty slot"),
        };
        self.ops.push((token, op));
    }
}

impl Kernel for SimKernel {
    type Lease = Vec<u8>;

    fn clock(&self) -> Instant {
        self.world.borrow().now
    }

    fn doorbell(&self) -> Arc<Wake> {
        Arc::clone(&self.wake)
    }

    fn listen(&mut self, at: SocketAddr, options: ListenOptions) -> io::Result<(u32, SocketAddr)> {
        let mut world = self.world.borrow_mut();
        let key = world.listeners.len();
        let port = if at.port() == 0 { 40_000 + key as u16 } else { at.port() };
        let at = SocketAddr::new(at.ip(), port);
        let taken = world.listeners.iter().flatten().any(|listener| listener.at == at);
        if taken && !options.reuse_port {
            return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
        }
        let backlog = options.backlog as usize;
        world.listeners.push(Some(ListenQueue { at, backlog, waiting: VecDeque::new() }));
        Ok((key as u32, at))
    }

    fn unlisten(&mut self, listener: u32) {
        let mut world = self.world.borrow_mut();
        let queue = world.listeners[listener as usize].take();
        for socket in queue.into_iter().flat_map(|queue| queue.waiting) {
            world.sockets[socket].gone = Some(true);
        }
    }

    fn accept(&mut self, token: Token, listener: u32) {
        self.arm(token, Request::Accept { listener: listener as usize });
    }

    fn peer(&mut self, _slot: u32) -> SocketAddr {
        self.peer.take().unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))
    }

    fn connect(&mut self, token: Token, options: ConnectOptions) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let socket = world.socket(options.bind);
        world.install(token.conn.slot, socket);
        drop(world);
        self.arm(token, Request::Connect { to: options.to });
        Ok(())
    }

    fn adopt(&mut self, conn: ConnId, socket: OwnedFd) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let socket = world.endpoints.remove(&socket.as_raw_fd());
        world.install(conn.slot, socket.ok_or(io::ErrorKind::InvalidInput)?);
        Ok(())
    }

    fn receive(&mut self, token: Token, _readable: bool) {
        self.arm(token, Request::Receive);
    }

    fn poll(&mut self, token: Token) {
        self.arm(token, Request::Poll);
    }

    fn send(&mut self, token: Token, flight: Box<Flight>) {
        self.arm(token, Request::Send { flight });
    }

    fn landed(&mut self, _slot: u32) -> Option<Box<Flight>> {
        self.landed.take()
    }

    fn shutdown(&mut self, token: Token) {
        self.submissions.push_back(Submission::Shutdown(token));
    }

    fn cancel(&mut self, token: Token, target: Token) {
        self.submissions.push_back(Submission::Cancel(token, target));
    }

    fn close(&mut self, token: Token) {
        self.submissions.push_back(Submission::Close(token));
    }

    fn enter(&mut self, wait: Duration) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        for submission in self.submissions.drain(..) {
            world.issue(submission);
        }
        world.enter(wait);
        Ok(())
    }

    fn pending(&mut self) -> bool {
        !self.world.borrow().ready.is_empty()
    }

    fn next(&mut self) -> Option<Completion<Vec<u8>>> {
        let posted = self.world.borrow_mut().ready.pop_front()?;
        self.landed = posted.flight;
        self.peer = posted.peer;
        Some(posted.completion)
    }

    fn give_back(&mut self, _lease: Vec<u8>) {
        self.buffers_returned += 1;
    }

    fn provide(&mut self) -> usize {
        let mut world = self.world.borrow_mut();
        world.buffers_provided += std::mem::take(&mut self.buffers_returned);
        world.buffers_provided
    }
}
