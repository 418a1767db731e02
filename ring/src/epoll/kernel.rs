//! The state machine's operations as calls on sockets, in the order in which they can go on.
//!
//! The queue holds what is to be looked at: completions that are there already, and connections and
//! listeners that were told to be ready while something was armed on them. [`Kernel::next`] takes
//! one entry after the other and makes the call for it, so a receive's bytes are handed out before
//! the next receive is made. An entry is a hint: what it finds is looked up in the slot when its
//! turn has come, so one that outlived its cause (or its connection) does nothing.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use rustix::io::Errno;
use rustix::net::{self, Shutdown, SocketType, sockopt};

use crate::driver::{ConnId, ConnectOptions, ListenOptions};
use crate::epoll::EpollConfig;
use crate::epoll::accept::Listening;
use crate::epoll::input::Lease;
use crate::epoll::poller::{Interest, Poller, Told};
use crate::epoll::slots::{Slots, State};
use crate::reactor::flight::Flight;
use crate::reactor::kernel::{Completion, Kernel};
use crate::reactor::token::{OpKind, Token};
use crate::setup::SetupError;
use crate::socket;
use crate::wake::Wake;

/// The doorbell's number in the poller; listeners are numbered behind it.
const DOORBELL: u64 = Token::BACKEND;

pub(super) const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// An entry of the queue.
#[derive(Debug)]
pub(super) enum Entry {
    /// An operation has completed.
    Done { token: Token, result: i32, flight: Option<Box<Flight>> },
    /// A listener may have peers.
    Accept { listener: u32 },
    /// A slot may have input; it had so many receives in this turn.
    Input { slot: u32, receives: u8 },
    /// A slot may have room for its blocked send, or its connect may have ended.
    Output { slot: u32 },
}

/// See the module header.
#[derive(Debug)]
pub struct EpollKernel {
    pub(super) poller: Poller,
    pub(super) slots: Slots,
    pub(super) listeners: Vec<Option<Listening>>,
    pub(super) queue: VecDeque<Entry>,
    /// Slots that had their share of receives, for the next turn.
    pub(super) later: Vec<u32>,
    /// Blocked sends, by slot.
    pub(super) blocked: HashMap<u32, Box<Flight>>,
    landed: Option<Box<Flight>>,
    pub(super) peer: SocketAddr,
    /// Absent while it is lent.
    pub(super) scratch: Option<Box<[u8]>>,
    pub(super) scratch_bytes: usize,
    /// See [`EpollConfig::connect_reset_on_close`].
    connect_reset_on_close: bool,
    wake: Arc<Wake>,
}

impl EpollKernel {
    pub(super) fn new(config: &EpollConfig) -> Result<Self, SetupError> {
        let told = |step| move |error| SetupError::of_descriptor(step, error);
        let poller = Poller::new().map_err(told("epoll_create1"))?;
        let doorbell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|errno| SetupError::of_descriptor("making the doorbell", errno.into()))?;
        poller
            .add(&doorbell, DOORBELL, Interest::Input)
            .map_err(told("registering the doorbell"))?;
        Ok(Self {
            poller,
            slots: Slots::default(),
            listeners: Vec::new(),
            queue: VecDeque::new(),
            later: Vec::new(),
            blocked: HashMap::new(),
            landed: None,
            peer: NOWHERE,
            scratch: None,
            scratch_bytes: config.receive_buffer_bytes as usize,
            connect_reset_on_close: config.connect_reset_on_close,
            wake: Arc::new(Wake::new(Some(doorbell))),
        })
    }

    pub(super) fn done(&mut self, token: Token, result: i32) {
        self.queue.push_back(Entry::Done { token, result, flight: None });
    }

    pub(super) fn done_sending(&mut self, conn: ConnId, result: i32, flight: Box<Flight>) {
        let token = Token { kind: OpKind::Send, conn };
        self.queue.push_back(Entry::Done { token, result, flight: Some(flight) });
    }

    /// Registers a socket and puts it into a slot.
    pub(super) fn install(
        &mut self,
        conn: ConnId,
        socket: OwnedFd,
        interest: Interest,
    ) -> io::Result<()> {
        self.poller.add(&socket, key(conn), interest)?;
        self.slots.fill(conn, socket);
        Ok(())
    }

    /// Notes what the poller told, and queues whoever can go on by it.
    fn note(&mut self, told: Told) {
        let Some(Token { conn, .. }) = Token::unpack(told.key) else {
            if let Some(listener) = told.key.checked_sub(DOORBELL + 1) {
                self.note_peers(listener as u32);
            }
            return;
        };
        let Some(slot) = self.slots.get_mut(conn) else { return };
        slot.state.set(u8::from(told.ended) * State::ENDED);
        if told.output {
            slot.state.clear(State::FULL);
            if slot.state.has(State::CONNECTING) || self.blocked.contains_key(&conn.slot) {
                self.queue.push_back(Entry::Output { slot: conn.slot });
            }
        }
        if told.input {
            slot.state.set(State::READABLE);
            self.queue_input(conn);
        }
    }

    /// Ends an operation that did not complete: true if there was one.
    fn disarm(&mut self, target: Token) -> bool {
        let conn = target.conn;
        let armed = match target.kind {
            OpKind::Receive => State::RECEIVING,
            OpKind::Poll => State::POLLING,
            OpKind::Open => State::CONNECTING,
            OpKind::Send => {
                let Some(flight) = self.blocked.remove(&conn.slot) else { return false };
                self.done_sending(conn, -libc::ECANCELED, flight);
                return true;
            }
            _ => return false,
        };
        let found = match self.slots.get_mut(conn) {
            Some(slot) if slot.state.has(armed) => {
                slot.state.clear(armed);
                true
            }
            Some(_) => false,
            None => self.unpost(target),
        };
        if found {
            self.done(target, -libc::ECANCELED);
        }
        found
    }
}

/// A connection's number in the poller.
pub(super) fn key(conn: ConnId) -> u64 {
    Token { kind: OpKind::Open, conn }.pack()
}

/// An error as the result of an operation.
pub(super) fn code(error: impl Into<io::Error>) -> i32 {
    -error.into().raw_os_error().unwrap_or(libc::EIO)
}

/// An outcome as the result of an operation.
pub(super) fn negated(outcome: Result<(), impl Into<io::Error>>) -> i32 {
    outcome.map_or_else(code, |()| 0)
}

/// The only, or last, completion of an operation.
pub(super) fn ended(token: Token, result: i32) -> Completion<Lease> {
    Completion { token, result, more: false, lease: None }
}

impl Kernel for EpollKernel {
    type Lease = Lease;

    fn clock(&self) -> Instant {
        Instant::now()
    }

    fn doorbell(&self) -> Arc<Wake> {
        Arc::clone(&self.wake)
    }

    fn listen(&mut self, at: SocketAddr, options: ListenOptions) -> io::Result<(u32, SocketAddr)> {
        let (socket, local) = socket::listening(at, options)?;
        socket.set_nonblocking(true)?;
        let free = self.listeners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listeners.len());
        self.poller.add(&socket, DOORBELL + 1 + index as u64, Interest::Input)?;
        if index == self.listeners.len() {
            self.listeners.push(None);
        }
        let posted = VecDeque::new();
        self.listeners[index] =
            Some(Listening { socket, posted, is_ready: false, is_queued: false });
        Ok((index as u32, local))
    }

    fn unlisten(&mut self, listener: u32) {
        if let Some(listening) = self.listeners.get_mut(listener as usize) {
            *listening = None;
        }
    }

    fn accept(&mut self, token: Token, listener: u32) {
        match self.listening(listener) {
            Some(listening) => {
                listening.posted.push_back(token);
                self.queue_accept(listener);
            }
            None => self.done(token, -libc::EBADF),
        }
    }

    fn peer(&mut self, _slot: u32) -> SocketAddr {
        self.peer
    }

    fn connect(&mut self, token: Token, options: ConnectOptions) -> io::Result<()> {
        let socket = socket::connecting(options, self.connect_reset_on_close)?;
        socket.set_nonblocking(true)?;
        let outcome = net::connect(&socket, &options.to);
        // Registered after the call: a socket that nobody connects tells an end. It stays
        // registered for output, which a TCP socket tells only after it was full.
        self.install(token.conn, socket.into(), Interest::InputAndOutput)?;
        match outcome {
            Err(Errno::INPROGRESS) => {
                if let Some(slot) = self.slots.get_mut(token.conn) {
                    slot.state.set(State::CONNECTING);
                }
            }
            outcome => self.done(token, negated(outcome)),
        }
        Ok(())
    }

    fn adopt(&mut self, conn: ConnId, socket: OwnedFd) -> io::Result<()> {
        if sockopt::socket_type(&socket)? != SocketType::STREAM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.install(conn, socket, Interest::Input)
    }

    fn receive(&mut self, token: Token, _readable: bool) {
        self.await_input(token, State::RECEIVING);
    }

    fn poll(&mut self, token: Token) {
        self.await_input(token, State::POLLING);
    }

    fn send(&mut self, token: Token, flight: Box<Flight>) {
        match self.slots.get_mut(token.conn) {
            Some(slot) if slot.state.has(State::FULL) => self.block(token.conn, flight),
            _ => self.transmit(token.conn, flight),
        }
    }

    fn landed(&mut self, _slot: u32) -> Option<Box<Flight>> {
        self.landed.take()
    }

    fn shutdown(&mut self, token: Token) {
        let socket = self.slots.get_mut(token.conn).and_then(|slot| slot.socket());
        let outcome = socket.map_or(Err(Errno::BADF), |it| net::shutdown(it, Shutdown::Write));
        self.done(token, negated(outcome));
    }

    fn cancel(&mut self, token: Token, target: Token) {
        let result = if self.disarm(target) { 0 } else { -libc::ENOENT };
        self.done(token, result);
    }

    fn close(&mut self, token: Token) {
        let closed = self.slots.empty(token.conn).is_some();
        self.done(token, if closed { 0 } else { -libc::EBADF });
    }

    fn enter(&mut self, wait: Duration) -> io::Result<()> {
        let next = self.later.drain(..).map(|slot| Entry::Input { slot, receives: 0 });
        self.queue.extend(next);
        self.poller.wait(if self.queue.is_empty() { wait } else { Duration::ZERO })?;
        for place in 0.. {
            let Some(told) = self.poller.told(place) else { break };
            self.note(told);
        }
        Ok(())
    }

    fn pending(&mut self) -> bool {
        !self.queue.is_empty() || !self.later.is_empty()
    }

    fn next(&mut self) -> Option<Completion<Lease>> {
        loop {
            let completion = match self.queue.pop_front()? {
                Entry::Done { token, result, flight } => {
                    self.landed = flight;
                    Some(ended(token, result))
                }
                Entry::Accept { listener } => self.accept_one(listener),
                Entry::Input { slot, receives } => self.input(slot, receives),
                Entry::Output { slot } => self.output(slot),
            };
            if completion.is_some() {
                return completion;
            }
        }
    }

    fn give_back(&mut self, lease: Lease) {
        self.scratch = Some(lease.buffer);
    }

    /// There is always one: whoever receives has given it back before the next does.
    fn provide(&mut self) -> usize {
        1
    }
}
