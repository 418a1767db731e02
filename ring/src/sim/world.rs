//! The simulated kernel's inside: sockets, armed operations, and the way of a completion.
//!
//! An operation is armed when submitted, makes progress whenever the kernel is entered, and posts
//! completions. A posted completion may be delayed; it then keeps its place among those of its own
//! operation. A socket ends, as its peer sees it, when its slot is closed *and* no armed operation
//! refers to it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::reactor::flight::Flight;
use crate::reactor::kernel::Completion;
use crate::reactor::token::Token;
use crate::sim::SimConfig;
use crate::sim::chance::Chance;

/// Rounds that a multishot receive makes before it lets others go on, as in the kernel.
const RECEIVE_ROUNDS: usize = 32;

/// The driver's end of a connection.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) inbound: VecDeque<u8>,
    pub(super) inbound_fin: bool,
    /// The peer reset it.
    pub(super) reset: bool,
    pub(super) outbound: VecDeque<u8>,
    pub(super) outbound_fin: bool,
    /// What the peer takes before it reads.
    pub(super) window: usize,
    /// In a listen queue or a slot.
    pub(super) held: bool,
    /// The driver's end is gone; true if over unread bytes.
    pub(super) gone: Option<bool>,
    pub(super) peer: Option<SocketAddr>,
}

impl Socket {
    fn readable(&self) -> bool {
        self.reset || self.inbound_fin || !self.inbound.is_empty()
    }
}

/// What is armed.
#[derive(Debug)]
pub(super) enum Op {
    Accept { listener: usize },
    Connect { socket: usize, to: SocketAddr },
    Receive { socket: usize },
    Poll { socket: usize },
    Send { socket: usize, flight: Box<Flight>, sent: usize },
}

impl Op {
    fn socket(&self) -> Option<usize> {
        match self {
            Self::Accept { .. } => None,
            Self::Connect { socket, .. }
            | Self::Receive { socket }
            | Self::Poll { socket }
            | Self::Send { socket, .. } => Some(*socket),
        }
    }
}

/// A completion, with what the kernel interface hands out beside it.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) completion: Completion<Vec<u8>>,
    pub(super) flight: Option<Box<Flight>>,
    pub(super) peer: Option<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct ListenQueue {
    pub(super) at: SocketAddr,
    pub(super) backlog: usize,
    pub(super) waiting: VecDeque<usize>,
}

/// See the module header.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: SimConfig,
    pub(super) chance: Chance,
    pub(super) now: Instant,
    pub(super) sockets: Vec<Socket>,
    pub(super) slots: HashMap<u32, usize>,
    pub(super) listeners: Vec<Option<ListenQueue>>,
    /// Where the driver may connect to, and the connections it made there.
    pub(super) outside: HashMap<SocketAddr, VecDeque<usize>>,
    /// Addresses that never answer a connect.
    pub(super) silent: Vec<SocketAddr>,
    pub(super) endpoints: HashMap<RawFd, usize>,
    pub(super) ops: Vec<(Token, Op)>,
    delayed: Vec<(Instant, Posted)>,
    pub(super) ready: VecDeque<Posted>,
    pub(super) buffers_provided: usize,
}

impl World {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            chance: Chance::new(config.seed),
            buffers_provided: usize::from(config.receive_buffers),
            config,
            now: Instant::now(),
            sockets: Vec::new(),
            slots: HashMap::new(),
            listeners: Vec::new(),
            outside: HashMap::new(),
            silent: Vec::new(),
            endpoints: HashMap::new(),
            ops: Vec::new(),
            delayed: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// A new socket, held by whoever will put it somewhere.
    pub(super) fn socket(&mut self, peer: Option<SocketAddr>) -> usize {
        let window = self.config.window_bytes;
        self.sockets.push(Socket { window, held: true, peer, ..Socket::default() });
        self.sockets.len() - 1
    }

    /// The kernel is entered: everything armed goes as far as it can; with nothing to tell, time
    /// passes.
    pub(super) fn enter(&mut self, wait: Duration) {
        self.progress();
        self.release_delayed();
        if self.ready.is_empty() && !wait.is_zero() {
            let until = self.now + wait;
            let due = self.delayed.iter().map(|(due, _)| *due).min();
            self.now = due.map_or(until, |due| due.min(until));
            self.release_delayed();
        }
    }

    /// Posts a completion of an operation that ends with it.
    pub(super) fn post(&mut self, token: Token, result: i32) {
        self.post_with(Posted {
            completion: Completion { token, result, more: false, lease: None },
            flight: None,
            peer: None,
        });
    }

    fn post_with(&mut self, posted: Posted) {
        let token = posted.completion.token;
        let of_this =
            |(due, posted): &(Instant, Posted)| (posted.completion.token == token).then_some(*due);
        let behind = self.delayed.iter().filter_map(of_this).max();
        let late = self.chance.hits(self.config.faults.delay).then(|| {
            let delay_us = self.config.faults.delay_max.as_micros() as usize;
            self.now + Duration::from_micros(1 + self.chance.below(delay_us) as u64)
        });
        match late.max(behind) {
            Some(due) => self.delayed.push((due, posted)),
            None => self.ready_one(posted),
        }
    }

    fn ready_one(&mut self, posted: Posted) {
        let token = posted.completion.token;
        let other = self.ready.back().is_some_and(|last| last.completion.token != token);
        let overtakes = other && self.chance.hits(self.config.faults.reorder);
        let at = self.ready.len() - usize::from(overtakes);
        self.ready.insert(at, posted);
    }

    fn release_delayed(&mut self) {
        let now = self.now;
        let (mut due, later): (Vec<_>, Vec<_>) =
            self.delayed.drain(..).partition(|(due, _)| *due <= now);
        self.delayed = later;
        due.sort_by_key(|(due, _)| *due);
        due.into_iter().for_each(|(_, posted)| self.ready_one(posted));
    }

    fn progress(&mut self) {
        for (token, op) in std::mem::take(&mut self.ops) {
            let socket = op.socket();
            if let Some(socket) = socket
                && self.chance.hits(self.config.faults.reset)
            {
                self.sockets[socket].reset = true;
            }
            if let Some(op) = self.advance(token, op) {
                self.ops.push((token, op));
            }
            socket.into_iter().for_each(|socket| self.end_if_unused(socket));
        }
    }

    /// Takes one operation as far as it goes; gives it back if it stays armed.
    fn advance(&mut self, token: Token, op: Op) -> Option<Op> {
        match op {
            Op::Accept { listener } => self.advance_accept(token, listener),
            Op::Connect { socket, to } => self.advance_connect(token, socket, to),
            Op::Receive { socket } => self.advance_receive(token, socket),
            Op::Poll { socket } if !self.sockets[socket].readable() => Some(op),
            Op::Poll { .. } => {
                self.post(token, i32::from(libc::POLLIN));
                None
            }
            Op::Send { socket, flight, sent } => self.advance_send(token, socket, flight, sent),
        }
    }

    fn advance_accept(&mut self, token: Token, listener: usize) -> Option<Op> {
        let queue = self.listeners.get_mut(listener).and_then(Option::as_mut)?;
        if queue.waiting.is_empty() {
            return Some(Op::Accept { listener });
        }
        if self.chance.hits(self.config.faults.accept_failure) {
            self.post(token, -libc::ENFILE);
            return None;
        }
        let socket = queue.waiting.pop_front()?;
        let peer = self.sockets[socket].peer;
        self.install(token.conn.slot, socket);
        let completion = Completion { token, result: 0, more: false, lease: None };
        self.post_with(Posted { completion, flight: None, peer });
        None
    }

    fn advance_connect(&mut self, token: Token, socket: usize, to: SocketAddr) -> Option<Op> {
        if self.silent.contains(&to) {
            return Some(Op::Connect { socket, to });
        }
        let result = match self.outside.get_mut(&to) {
            Some(made) => {
                made.push_back(socket);
                0
            }
            None => -libc::ECONNREFUSED,
        };
        self.post(token, result);
        None
    }

    fn advance_receive(&mut self, token: Token, socket: usize) -> Option<Op> {
        for _ in 0..RECEIVE_ROUNDS {
            let end = &self.sockets[socket];
            let error = if end.reset { Some(-libc::ECONNRESET) } else { None };
            let end = error.or_else(|| (end.inbound_fin && end.inbound.is_empty()).then_some(0));
            if let Some(result) = end {
                self.post(token, result);
                return None;
            }
            if self.sockets[socket].inbound.is_empty() {
                break;
            }
            let faults = self.config.faults;
            if self.buffers_provided == 0 || self.chance.hits(faults.no_buffers) {
                self.post(token, -libc::ENOBUFS);
                return None;
            }
            let crowded = self.ready.len() >= self.config.completion_entries as usize;
            let more = !crowded && !self.chance.hits(faults.overflow);
            self.receive_one(token, socket, more);
            if !more {
                return None;
            }
        }
        Some(Op::Receive { socket })
    }

    fn receive_one(&mut self, token: Token, socket: usize, more: bool) {
        self.buffers_provided -= 1;
        let inbound = &mut self.sockets[socket].inbound;
        let bytes = inbound.len().min(self.config.receive_buffer_bytes as usize);
        let lease: Vec<u8> = inbound.drain(..bytes).collect();
        let completion = Completion { token, result: bytes as i32, more, lease: Some(lease) };
        self.post_with(Posted { completion, flight: None, peer: None });
    }

    fn advance_send(
        &mut self,
        token: Token,
        socket: usize,
        flight: Box<Flight>,
        mut sent: usize,
    ) -> Option<Op> {
        let end = &mut self.sockets[socket];
        if end.reset || end.outbound_fin {
            let error = if end.reset { -libc::ECONNRESET } else { -libc::EPIPE };
            self.post_sent(token, if sent > 0 { sent as i32 } else { error }, flight);
            return None;
        }
        let left = flight.left() - sent;
        let room = end.window.saturating_sub(end.outbound.len()).min(left);
        if room == 0 {
            return Some(Op::Send { socket, flight, sent });
        }
        let short = self.chance.hits(self.config.faults.short_send);
        let taken = if short { 1 + self.chance.below(room) } else { room };
        let bytes = flight.pieces().flatten().skip(sent).take(taken);
        self.sockets[socket].outbound.extend(bytes);
        sent += taken;
        if short || taken == left {
            self.post_sent(token, sent as i32, flight);
            return None;
        }
        Some(Op::Send { socket, flight, sent })
    }

    fn post_sent(&mut self, token: Token, result: i32, flight: Box<Flight>) {
        let completion = Completion { token, result, more: false, lease: None };
        self.post_with(Posted { completion, flight: Some(flight), peer: None });
    }

    /// Ends the target if it is armed: 0, or ENOENT.
    pub(super) fn cancel(&mut self, target: Token) -> i32 {
        let armed = self.ops.iter().position(|(token, _)| *token == target);
        let Some(index) = armed.filter(|_| !self.chance.hits(self.config.faults.cancel_miss))
        else {
            return -libc::ENOENT;
        };
        let (_, op) = self.ops.remove(index);
        let socket = op.socket();
        match op {
            Op::Send { flight, sent, .. } => {
                let result = if sent > 0 { sent as i32 } else { -libc::ECANCELED };
                self.post_sent(target, result, flight);
            }
            _ => self.post(target, -libc::ECANCELED),
        }
        socket.into_iter().for_each(|socket| self.end_if_unused(socket));
        0
    }

    /// Puts a socket into a slot.
    pub(super) fn install(&mut self, slot: u32, socket: usize) {
        let former = self.slots.insert(slot, socket);
        assert!(former.is_none(), "slot {slot} was taken while another use is open");
    }

    /// Empties a slot.
    pub(super) fn close(&mut self, slot: u32) -> i32 {
        let Some(socket) = self.slots.remove(&slot) else { return -libc::EBADF };
        self.sockets[socket].held = false;
        self.end_if_unused(socket);
        0
    }

    fn end_if_unused(&mut self, socket: usize) {
        let used = self.ops.iter().any(|(_, op)| op.socket() == Some(socket));
        let end = &mut self.sockets[socket];
        if !end.held && !used && end.gone.is_none() {
            end.gone = Some(!end.inbound.is_empty());
            end.outbound_fin = true;
        }
    }
}
