//! One shard: one thread, one driver, and everything its connections need.
//!
//! Nothing is shared with other threads on the data path; the mailbox ([`control`]) is for control.
//! A shard is driven by [`Shard::run`], which repeats a turn: the driver submits what was asked for
//! and waits; each completion goes to [`Core`], which answers into connections' outputs; then due
//! timers, the mailbox and waiting hints get their time, and what was written leaves in one send
//! per connection with the next submission.
//!
//! The life of a connection ([`conn::Phase`]):
//!
//! ```text
//! accepted ─▶ Http ─▶ Hello ─▶ Registering ─▶ Established ─▶ Closing ─▶ free
//!               │        (echo mode: Http ─▶ Echo)              ▲
//!               └──────────── answered or refused ──────────────┘
//! ```
//!
//! Every phase but the established one has a deadline. An established connection is looked after
//! by heartbeat. `Closing` sends what is queued, then the driver closes; the slot is free after the
//! driver's last event. An entry is named by slot and generation to the driver, and by slot and
//! session to the router: neither ever reaches the slot's next connection (invariant I8).

mod admission;
mod clock;
mod conn;
mod control;
mod courier;
mod echo;
mod fanout;
mod heartbeat;
mod http;
mod lifecycle;
mod link;
mod op;
mod order;
mod output;
mod partial;
mod requests;
mod session;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_ring::wheel::Wheel;
use throng_ring::{Driver, Event, Handler, Io, ListenOptions, ListenerId};
use throng_wire::{ErrorCode, ws};

use crate::keys::Keys;
use crate::limits;
use crate::metrics::{CloseReason, Counters};
use admission::{Admission, Rate};
use clock::{Random, Ticks};
use conn::Slab;
use fanout::Backlog;
use link::Link;
use output::{Bounds, Outputs};
use partial::Partial;

pub use clock::Clocks;
pub use control::{Control, Handle};
pub use courier::Courier;
pub use link::LinkSource;

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every message goes back.
    Echo,
    /// Sessions; users say who they are without proof.
    Development,
    /// Sessions; users come with tokens.
    Tokens,
}

/// Everything a shard is told at its start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Number of the shard, from 0.
    pub shard: usize,
    /// Shards of the process.
    pub shards: usize,
    /// What connections are for.
    pub mode: Mode,
    /// Seed of jitter and identifiers; different for every shard and start.
    pub seed: u64,
    /// Clocks beside the driver's.
    pub clocks: Clocks,
    /// Keys that verify tokens.
    pub keys: Option<Arc<Keys>>,
    /// What `GET /` answers, if anything.
    pub page: Option<&'static [u8]>,
    /// Connections of clients.
    pub connections_max: usize,
    /// Bytes of one message from a client.
    pub frame_bytes_max: u32,
    /// Bytes of messages and requests of all connections that are not whole yet.
    pub input_shard_bytes: usize,
    /// Queued output above which ephemeral frames are dropped.
    pub output_budget_bytes: usize,
    /// Queued output above which the connection is closed.
    pub output_burst_bytes: usize,
    /// Queued output of all connections above which nobody gets a burst.
    pub output_shard_bytes: usize,
    /// How long a client may leave one send untaken.
    pub output_stall: Duration,
    /// From accept to the end of the HTTP request.
    pub http_deadline: Duration,
    /// From the upgrade to hello.
    pub hello_deadline: Duration,
    /// How often a client has to be heard.
    pub heartbeat: Duration,
    /// Silence after which a connection takes less kernel memory.
    pub cold_after: Duration,
    /// Ops of a connection per second.
    pub ops_per_s: u32,
    /// Ops of a connection at once.
    pub ops_burst: u32,
    /// Connections accepted per second.
    pub accepts_per_s: u32,
    /// Connections that have not said who they are.
    pub handshakes_max: u32,
    /// The same from one address.
    pub handshakes_per_address_max: u32,
    /// Window over which clients are told to reconnect.
    pub drain_window: Duration,
}

/// Spans that phases last.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    http: Duration,
    hello: Duration,
    heartbeat: Duration,
    cold_after: Duration,
    cold_after_ticks: u32,
    drain_window: Duration,
}

/// What of a shard is not its driver.
#[derive(Debug)]
struct Core {
    shard: usize,
    shards: usize,
    mode: Mode,
    clocks: Clocks,
    random: Random,
    /// Of this shard: tells its sessions from those of an earlier start.
    incarnation: u64,
    ticks: Ticks,
    keys: Option<Arc<Keys>>,
    page: Option<&'static [u8]>,
    refusal: Bytes,
    frame_bytes_max: u32,
    /// Queued output at which a connection is not read any further.
    hold_bytes: usize,
    deadlines: Deadlines,
    ops: Rate,

    slab: Slab,
    order_numbers: order::Numbers,
    outputs: Outputs,
    partial: Partial,
    timers: Wheel,
    admission: Admission,
    listeners: Vec<ListenerId>,
    is_accepting: bool,
    link: Link,
    backlog: Backlog,
    /// An operation on its way to the link.
    scratch: Vec<u8>,
    mailbox: Receiver<Control>,
    life: turn::Life,
    housekeeping_at: Instant,

    sessions: usize,
    /// Connections whose HTTP request is not there yet.
    asking: usize,
    counters: Counters,
    closes: [u64; CloseReason::ALL.len()],
    errors: [u64; ErrorCode::ALL.len()],
}

/// A shard on its driver.
#[derive(Debug)]
pub struct Shard<D: Driver> {
    driver: D,
    core: Core,
}

/// What stands in for a decoder where there is none.
fn no_decoder() -> ws::Decoder {
    ws::Decoder::new(ws::Role::Server, 0)
}

impl<D: Driver> Shard<D> {
    /// A shard that listens on nothing yet, and the hold on it for other threads.
    pub fn new(mut driver: D, config: ShardConfig, link: Option<LinkSource>) -> (Self, Handle) {
        let (handle, mailbox) = control::mailbox(driver.io().waker());
        let now = driver.io().now();
        let core = Core::new(config, Link::new(link, now), now, mailbox);
        (Self { driver, core }, handle)
    }

    /// Listens, beside the other shards, and tells the address (port 0 resolved).
    ///
    /// # Errors
    /// Those of bind and listen.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let options = ListenOptions { backlog: limits::BACKLOG, reuse_port: true };
        let io = self.driver.io();
        let listener = io.listen(address, options)?;
        self.core.listeners.push(listener);
        io.local_addr(listener)
    }

    /// Turns until told to stop or drained.
    ///
    /// # Errors
    /// The driver failed; the shard cannot go on.
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn(Duration::MAX)? {}
        Ok(())
    }

    /// One turn that waits at most `wait_max`. False: the shard has ended.
    ///
    /// # Errors
    /// The driver failed; the shard cannot go on.
    pub fn turn(&mut self, wait_max: Duration) -> io::Result<bool> {
        let now = self.driver.io().now();
        let wait = self.core.wait(now).min(wait_max);
        self.driver.turn(wait, &mut self.core)?;
        Ok(self.core.finish_turn(self.driver.io()))
    }
}

impl Core {
    fn new(config: ShardConfig, link: Link, now: Instant, mailbox: Receiver<Control>) -> Self {
        let mut random = Random::new(config.seed);
        let bounds = Bounds {
            budget_bytes: config.output_budget_bytes,
            burst_bytes: config.output_burst_bytes,
            stall_ticks: Ticks::of(config.output_stall),
            shard_bytes: config.output_shard_bytes,
        };
        Self {
            shard: config.shard,
            shards: config.shards,
            mode: config.mode,
            clocks: config.clocks,
            incarnation: random.next(),
            random,
            ticks: Ticks::new(now),
            keys: config.keys,
            page: config.page,
            refusal: http::refusal_when_full(),
            frame_bytes_max: config.frame_bytes_max,
            hold_bytes: match config.mode {
                Mode::Echo => limits::ECHO_HOLD_BYTES,
                Mode::Development | Mode::Tokens => config.output_budget_bytes,
            },
            deadlines: Deadlines {
                http: config.http_deadline,
                hello: config.hello_deadline,
                heartbeat: config.heartbeat,
                cold_after: config.cold_after,
                cold_after_ticks: Ticks::of(config.cold_after),
                drain_window: config.drain_window,
            },
            ops: Rate { per_s: config.ops_per_s, burst: config.ops_burst },
            slab: Slab::default(),
            order_numbers: order::Numbers::default(),
            outputs: Outputs::new(bounds),
            partial: Partial::new(config.input_shard_bytes),
            timers: Wheel::new(limits::TICK, now),
            admission: Admission::new(
                config.connections_max,
                config.handshakes_max,
                config.handshakes_per_address_max,
                config.accepts_per_s,
            ),
            listeners: Vec::new(),
            is_accepting: true,
            link,
            backlog: Backlog::default(),
            scratch: Vec::new(),
            mailbox,
            life: turn::Life::Starting,
            housekeeping_at: now + limits::HOUSEKEEPING,
            sessions: 0,
            asking: 0,
            counters: Counters::default(),
            closes: [0; CloseReason::ALL.len()],
            errors: [0; ErrorCode::ALL.len()],
        }
    }
}

impl<I: Io> Handler<I> for Core {
    fn event(&mut self, io: &mut I, event: Event<'_>) {
        match event {
            Event::Received { conn, data } => self.received(io, conn, data),
            Event::Sent { conn, result } => self.sent(io, conn, result.is_ok()),
            Event::Accepted { conn, peer, .. } => self.accepted(io, conn, peer),
            Event::ReceiveEnd { conn, result } => self.receive_ended(io, conn, result.is_ok()),
            Event::Closed { conn } => self.closed(io, conn),
            Event::AcceptFailed { error, .. } => {
                self.counters.accept_failures += 1;
                tracing::debug!(shard = self.shard, %error, "accept failed");
            }
            // A shard opens no TCP connections; the mailbox is looked at after every turn.
            Event::Connected { .. } | Event::Woken => {}
        }
    }
}
