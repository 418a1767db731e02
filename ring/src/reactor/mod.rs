//! The state machine of a shard's connections, without a kernel: all backends run exactly this
//! code, over io_uring's queues, over epoll and the socket calls, or over a script.
//!
//! Invariants:
//! - A slot has at most one outstanding operation of each kind ([`token::OpKind`]); the record's
//!   bit set says which. The slot is released, and `Closed` delivered, when the set is empty after
//!   the descriptor's close was submitted.
//! - At most one of receive and poll is outstanding, and no new one is submitted while a cancel of
//!   the last one is: so a cancel's answer always means the operation that it was sent for.
//! - [`Reactor::settle`] derives from a record what is still to be submitted. It is called after
//!   every change and is idempotent, so no order of completions needs a path of its own.
//! - After `close` was called, the connection's only further event is `Closed`.
//! - Nothing received is lost: bytes that were taken from the socket before a cancel are delivered.
//!
//! A cancel that misses its operation (about to complete, or being retried by the kernel) is sent
//! again with each answer until the operation has ended, so closing always ends.

mod accept;
mod complete;
pub(crate) mod flight;
pub(crate) mod kernel;
mod settle;
pub(crate) mod table;
pub(crate) mod token;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::{
    Arm, CloseKind, ConnId, ConnectOptions, Event, Handler, Io, ListenOptions, ListenerId,
    SendBatch, Waker,
};
use crate::limits::{EVENTS_PER_CLOCK_READ, EVENTS_PER_TURN_MAX, REARMS_PER_BUFFER};
use crate::wake::Wake;
use accept::Listener;
use flight::Pool;
use kernel::Kernel;
use table::{Conn, Flags, Phase, Table};
use token::{OpKind, Token};

/// The operations of a driver over some kernel. See the module header.
#[derive(Debug)]
pub struct Reactor<K> {
    kernel: K,
    wake: Arc<Wake>,
    table: Table,
    pool: Pool,
    listeners: Vec<Option<Listener>>,
    /// Accept failures to be told in the next turn; at most one per listener.
    accept_failures: VecDeque<(ListenerId, io::Error)>,
    /// Connections whose receive found no buffer, longest waiting first: those whose last receive
    /// brought nothing at all, then those that got some. Without the difference a flooding
    /// connection, armed first, would take every buffer again and again.
    starved: [VecDeque<ConnId>; 2],
    connections: usize,
    now: Instant,
    turn_budget: Duration,
}

impl<K: Kernel> Reactor<K> {
    /// A reactor over a kernel with a descriptor table of `slots_max`.
    pub(crate) fn new(kernel: K, slots_max: u32, turn_budget: Duration) -> Self {
        Self {
            wake: kernel.doorbell(),
            now: kernel.clock(),
            kernel,
            table: Table::new(slots_max),
            pool: Pool::default(),
            listeners: Vec::new(),
            accept_failures: VecDeque::new(),
            starved: Default::default(),
            connections: 0,
            turn_budget,
        }
    }

    /// One turn. See [`crate::Driver::turn`].
    pub(crate) fn turn<H: Handler<Self>>(
        &mut self,
        wait: Duration,
        handler: &mut H,
    ) -> io::Result<()> {
        self.rearm_starved();
        let retry = self.top_up_listeners();
        let busy = self.kernel.pending() || !self.accept_failures.is_empty();
        let wait = if busy { Duration::ZERO } else { wait.min(retry.unwrap_or(wait)) };
        let woken = self.enter(wait)?;
        self.now = self.kernel.clock();
        if woken {
            handler.event(self, Event::Woken);
        }
        while let Some((listener, error)) = self.accept_failures.pop_front() {
            handler.event(self, Event::AcceptFailed { listener, error });
        }
        self.hand_out(handler);
        Ok(())
    }

    /// Enters the kernel, parked on the doorbell if it is to wait. True if the doorbell was rung.
    fn enter(&mut self, wait: Duration) -> io::Result<bool> {
        let parked = wait > Duration::ZERO && self.wake.park();
        let entered = self.kernel.enter(if parked { wait } else { Duration::ZERO });
        let woken = self.wake.unpark();
        entered.map(|()| woken)
    }

    /// Hands completions out until there are none, or the turn's bound in number or time is met.
    fn hand_out<H: Handler<Self>>(&mut self, handler: &mut H) {
        for count in 1..=EVENTS_PER_TURN_MAX {
            let Some(completion) = self.kernel.next() else { break };
            self.complete(completion, handler);
            let look = count % EVENTS_PER_CLOCK_READ == 0;
            if look && self.kernel.clock().saturating_duration_since(self.now) >= self.turn_budget {
                break;
            }
        }
    }

    /// Lets starved connections receive again, as many as the provided buffers may serve; one that
    /// finds none is starved again.
    fn rearm_starved(&mut self) {
        let mut rearms = self.kernel.provide() * REARMS_PER_BUFFER;
        for line in 0..self.starved.len() {
            let taken = rearms.min(self.starved[line].len());
            rearms -= taken;
            for _ in 0..taken {
                let Some(id) = self.starved[line].pop_front() else { break };
                if let Some(conn) = self.table.get_mut(id) {
                    conn.flags.clear(Flags::STARVED);
                    self.settle(id);
                }
            }
        }
    }

    /// The connection, if callers may still act on it: known to them and not closed by them.
    fn open(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.table.get_mut(id).filter(|conn| matches!(conn.phase, Phase::Open))
    }

    fn known(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.table.get_mut(id).filter(|conn| conn.phase != Phase::Accepting)
    }

    fn take_slot(&mut self, phase: Phase) -> io::Result<ConnId> {
        self.table.take(phase).ok_or_else(|| io::Error::from_raw_os_error(libc::ENFILE))
    }
}

impl<K: Kernel> Io for Reactor<K> {
    fn listen(&mut self, address: SocketAddr, options: ListenOptions) -> io::Result<ListenerId> {
        self.add_listener(address, options)
    }

    fn local_addr(&self, listener: ListenerId) -> io::Result<SocketAddr> {
        let listener = self.listeners.get(listener.0 as usize).and_then(Option::as_ref);
        listener.map(Listener::local_addr).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn accept(&mut self, listener: ListenerId, on: bool) {
        self.switch_listener(listener, on);
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.remove_listener(listener);
    }

    fn connect(&mut self, options: ConnectOptions) -> io::Result<ConnId> {
        let id = self.take_slot(Phase::Connecting)?;
        let token = Token { kind: OpKind::Open, conn: id };
        if let Err(error) = self.kernel.connect(token, options) {
            self.table.release(id);
            return Err(error);
        }
        self.connections += 1;
        self.mark(token);
        Ok(id)
    }

    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        let id = self.take_slot(Phase::Open)?;
        if let Err(error) = self.kernel.adopt(id, socket) {
            self.table.release(id);
            return Err(error);
        }
        self.connections += 1;
        Ok(id)
    }

    fn arm(&mut self, conn: ConnId, arm: Arm) {
        if let Some(record) = self.open(conn) {
            record.arm = arm;
            self.settle(conn);
        }
    }

    fn send(&mut self, conn: ConnId, batch: SendBatch) -> Result<(), SendBatch> {
        let idle = self.open(conn).is_some_and(|record| !record.outstanding(OpKind::Send));
        let fits = (1..=crate::limits::SEND_CHUNKS_MAX).contains(&batch.chunks());
        if !idle || !fits || batch.bytes() == 0 {
            return Err(batch);
        }
        let flight = self.pool.launch(batch);
        self.submit_send(conn, flight);
        Ok(())
    }

    fn sending(&self, conn: ConnId) -> bool {
        self.table.get(conn).is_some_and(|record| record.outstanding(OpKind::Send))
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.pool.buffer()
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        self.pool.recycle(buffer);
    }

    fn close(&mut self, conn: ConnId, kind: CloseKind) {
        let Some(record) = self.known(conn) else { return };
        match (record.phase, kind) {
            (Phase::Open, CloseKind::Graceful) => record.phase = Phase::Lingering,
            (Phase::Closing, _) | (Phase::Lingering, CloseKind::Graceful) => return,
            _ => record.phase = Phase::Closing,
        }
        self.settle(conn);
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn clock(&self) -> Instant {
        self.kernel.clock()
    }

    fn waker(&self) -> Waker {
        Waker { inner: Arc::clone(&self.wake) }
    }

    fn connections(&self) -> usize {
        self.connections
    }
}
