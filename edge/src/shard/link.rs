//! The shard's connection to its router (docs/link.md): opened again with backoff when it is lost.
//!
//! What is written in a turn leaves in one send. Requests cost credit; those that find none wait
//! in a bounded queue, and beyond it are refused. When the link is lost nobody is disconnected:
//! sends under way are answered `unknown`, other requests `unavailable`, and when the link is back
//! all sessions are registered again, some per turn, and told what changed meanwhile. While too
//! many hints wait for their turn the link is not read: the router then leaves hints out, which it
//! repairs itself, and the edge sees and counts the gap.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_ring::{Arm, CloseKind, ConnId, Io, SendBatch};
use throng_wire::link::{
    Answers, CreditSpender, FrameReader, Hello, HintNumbers, ToEdge, ToRouter, VERSION_MAX,
    VERSION_MIN,
};
use throng_wire::{SessionClose, link};

use super::Core;
use super::conn::Phase;
use super::fanout::Shared;
use super::requests::Requests;
use crate::limits;
use crate::metrics::CloseReason;

/// Opens connections to the router.
pub struct LinkSource(Box<dyn FnMut() -> io::Result<OwnedFd> + std::marker::Send>);

impl LinkSource {
    /// `open` gives a connected stream socket whose other end the router serves.
    pub fn new(open: impl FnMut() -> io::Result<OwnedFd> + std::marker::Send + 'static) -> Self {
        Self(Box::new(open))
    }
}

impl fmt::Debug for LinkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSource")
    }
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No router.
    Down,
    /// The queue is full.
    Full,
    /// The frame does not fit the link.
    TooLarge,
}

/// A request that waits for credit.
#[derive(Debug)]
struct Waiting {
    frame: Vec<u8>,
    /// Slot and session that it registers.
    registers: Option<(u32, u32)>,
}

/// The link and what is under way on it.
#[derive(Debug)]
pub(super) struct Link {
    source: Option<LinkSource>,
    conn: Option<ConnId>,
    is_up: bool,
    /// When to open it, while there is no connection.
    retry_at: Instant,
    backoff: Duration,
    /// The router's welcome is due by then.
    welcome_by: Instant,
    reader: FrameReader,
    pub(super) answers: Answers,
    credit: CreditSpender,
    numbers: HintNumbers,
    /// Written in this turn.
    out: Vec<u8>,
    /// Requests that wait for credit.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    pub(super) requests: Requests,
    /// Which log the router serves.
    log_id: Vec<u8>,
    /// The home's time up to which everything has been pushed, Unix milliseconds.
    since_ms: u64,
    /// The next slot whose session is registered again.
    repair: Option<u32>,
    /// Not read at the moment.
    is_held: bool,
}

impl Link {
    pub(super) fn new(source: Option<LinkSource>, now: Instant) -> Self {
        Self {
            source,
            conn: None,
            is_up: false,
            retry_at: now,
            backoff: limits::LINK_BACKOFF.0,
            welcome_by: now,
            reader: FrameReader::new(),
            answers: Answers::new(),
            credit: CreditSpender::default(),
            numbers: HintNumbers::new(),
            out: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            requests: Requests::default(),
            log_id: Vec::new(),
            since_ms: 0,
            repair: None,
            is_held: false,
        }
    }

    pub(super) fn has_connection(&self) -> bool {
        self.conn.is_some()
    }

    pub(super) fn is_on(&self, id: ConnId) -> bool {
        self.conn == Some(id)
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether something is to be done in the next turn whatever happens.
    pub(super) fn is_busy(&self) -> bool {
        self.repair.is_some() && self.is_up && self.waiting.is_empty()
    }

    /// When the link wants to be looked at.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match (&self.source, self.conn) {
            (Some(_), None) => Some(self.retry_at),
            (Some(_), Some(_)) if !self.is_up => Some(self.welcome_by),
            _ => None,
        }
    }

    /// Sends a frame that costs no credit.
    pub(super) fn tell(&mut self, frame: &ToRouter<'_>) {
        if self.is_up && frame.encode(&mut self.out).is_err() {
            tracing::error!("a frame does not fit the link");
        }
    }

    /// Sends a request, or lets it wait for credit.
    pub(super) fn ask(&mut self, frame: &ToRouter<'_>) -> Result<(), Refused> {
        if !self.is_up {
            return Err(Refused::Down);
        }
        let bytes = frame.frame_len();
        if self.waiting.is_empty() && self.credit.spend(bytes).is_ok() {
            return frame.encode(&mut self.out).map_err(|_| Refused::TooLarge);
        }
        if self.waiting.len() >= limits::LINK_QUEUE_REQUESTS_MAX
            || self.waiting_bytes + bytes > limits::LINK_QUEUE_BYTES_MAX
        {
            return Err(Refused::Full);
        }
        let mut encoded = Vec::with_capacity(bytes);
        frame.encode(&mut encoded).map_err(|_| Refused::TooLarge)?;
        let registers = match frame {
            ToRouter::Register(register) => register.session.as_ref(),
            _ => None,
        };
        let registers = registers.map(|session| (session.slot, session.session));
        self.waiting_bytes += encoded.len();
        self.waiting.push_back(Waiting { frame: encoded, registers });
        Ok(())
    }

    /// Takes back a registration that still waits for credit. False: none does, the router has it.
    pub(super) fn withdraw(&mut self, slot: u32, session: u32) -> bool {
        let is_it = |waiting: &Waiting| waiting.registers == Some((slot, session));
        let Some(at) = self.waiting.iter().position(is_it) else { return false };
        if let Some(waiting) = self.waiting.remove(at) {
            self.waiting_bytes -= waiting.frame.len();
        }
        self.release_waiting();
        true
    }

    /// Where sessions that come again go on.
    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// A home says what time it is. Until all sessions are registered again some still need what
    /// changed since the link was lost.
    pub(super) fn pushed_until(&mut self, home_ms: u64) {
        if self.repair.is_none() && !self.requests.is_resuming() {
            self.since_ms = self.since_ms.max(home_ms);
        }
    }

    /// Credit came: those that waited go.
    fn release_waiting(&mut self) {
        while let Some(first) = self.waiting.front() {
            if self.credit.spend(first.frame.len()).is_err() {
                return;
            }
            self.waiting_bytes -= first.frame.len();
            self.out.extend_from_slice(&first.frame);
            self.waiting.pop_front();
        }
    }

    /// Forgets everything that belonged to the lost connection.
    fn reset(&mut self, now: Instant) {
        self.conn = None;
        self.is_up = false;
        self.retry_at = now + self.backoff;
        self.backoff = (self.backoff * 2).min(limits::LINK_BACKOFF.1);
        self.reader = FrameReader::new();
        self.answers = Answers::new();
        self.credit = CreditSpender::default();
        self.numbers = HintNumbers::new();
        self.out.clear();
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.repair = None;
        self.is_held = false;
    }
}

impl Core {
    /// Opens the link when it is time, gives up one that does not answer, goes on registering.
    pub(super) fn tend_link<I: Io>(&mut self, io: &mut I) {
        let now = io.now();
        if self.link.wakes_at().is_some_and(|at| at <= now) {
            match self.link.conn {
                None => self.open_link(io),
                Some(_) => self.lose_link(io, "no welcome from the router"),
            }
        }
        if self.link.is_busy() {
            self.repair_some(io);
        }
    }

    fn open_link<I: Io>(&mut self, io: &mut I) {
        let Some(source) = &mut self.link.source else { return };
        match (source.0)().and_then(|socket| io.adopt(socket)) {
            Ok(id) => {
                self.slab.insert(id, Phase::Link);
                io.arm(id, Arm::Hot);
                self.link.conn = Some(id);
                self.link.welcome_by = io.now() + limits::LINK_WELCOME_DEADLINE;
                self.greet_router();
            }
            Err(error) => {
                tracing::warn!(shard = self.shard, %error, "cannot open the link");
                self.link.reset(io.now());
            }
        }
    }

    fn greet_router(&mut self) {
        let hello = ToRouter::Hello(Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            incarnation: self.incarnation,
            name: "edge".into(),
            shard: self.shard as u32,
            shards: self.shards as u32,
        });
        // A hello is far below the limit of a frame.
        let _ = hello.encode(&mut self.link.out);
    }

    /// Sends what this turn wrote.
    pub(super) fn flush_link<I: Io>(&mut self, io: &mut I) {
        let Some(id) = self.link.conn else { return };
        if self.link.out.is_empty() || io.sending(id) {
            return;
        }
        let mut batch = SendBatch::new();
        batch.push_owned(std::mem::replace(&mut self.link.out, io.buffer()));
        // A refused batch means that the connection broke: its end is on the way as an event.
        let _ = io.send(id, batch);
    }

    /// The link's connection ended or misbehaved.
    pub(super) fn lose_link<I: Io>(&mut self, io: &mut I, why: &str) {
        let Some(id) = self.link.conn else { return };
        if self.link.source.is_some() {
            tracing::warn!(shard = self.shard, why, "the link to the router is lost");
            self.counters.link_losses += 1;
        }
        io.close(id, CloseKind::Abort);
        self.link.reset(io.now());
        self.fail_all_requests(io);
        for slot in 0..self.slab.len() as u32 {
            if let Some((_, conn)) = self.slab.slot_mut(slot) {
                conn.is_registered = false;
            }
        }
    }

    /// Says goodbye; the link is not opened again.
    pub(super) fn close_link<I: Io>(&mut self, io: &mut I) {
        self.link.source = None;
        let Some(id) = self.link.conn else { return };
        self.link.tell(&ToRouter::Bye(link::Bye { reason: "the edge stops".into() }));
        self.flush_link(io);
        io.close(id, CloseKind::Graceful);
    }

    /// Bytes from the router.
    pub(super) fn link_received<I: Io>(&mut self, io: &mut I, id: ConnId, data: &[u8]) {
        if !self.link.is_on(id) {
            return;
        }
        let mut reader = std::mem::take(&mut self.link.reader);
        let mut input = data;
        let outcome = loop {
            match reader.next(&mut input) {
                Ok(Some(frame)) => match ToEdge::decode(frame) {
                    Ok(frame) => {
                        if let Err(why) = self.link_frame(io, frame) {
                            break Err(why);
                        }
                    }
                    Err(error) => break Err(error.to_string()),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        match outcome {
            Ok(()) => {
                self.link.reader = reader;
                self.hold_link(io);
            }
            Err(why) => self.lose_link(io, &why),
        }
    }

    /// One frame of the router's. An error means that the link must be closed.
    fn link_frame<I: Io>(&mut self, io: &mut I, frame: ToEdge<'_>) -> Result<(), String> {
        match frame {
            ToEdge::Welcome(welcome) => return self.link_welcome(&welcome),
            ToEdge::Credit(credit) => {
                self.link.credit.grant(&credit).map_err(|error| error.to_string())?;
                self.link.release_waiting();
            }
            ToEdge::Answer(chunk) => {
                let mut answers = std::mem::take(&mut self.link.answers);
                let whole = answers.push(chunk).map_err(|error| error.to_string())?;
                if let Some(whole) = whole {
                    self.answered(io, whole.request, &whole.body, whole.failed);
                }
                self.link.answers = answers;
            }
            ToEdge::Hint(hint) => self.hint(&hint),
            ToEdge::Evict(evict) => self.evict(io, &evict),
            ToEdge::Beacon(beacon) => {
                let lost = self.link.numbers.beacon(beacon.number);
                self.hints_lost(lost);
            }
            ToEdge::Bye(bye) => return Err(format!("the router said bye: {}", bye.reason)),
        }
        Ok(())
    }

    fn link_welcome(&mut self, welcome: &link::Welcome<'_>) -> Result<(), String> {
        if self.link.is_up || !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version) {
            return Err(format!("unexpected welcome, version {}", welcome.version));
        }
        self.link.credit = CreditSpender::new(welcome);
        self.link.is_up = true;
        self.link.backoff = limits::LINK_BACKOFF.0;
        self.link.repair = Some(0);
        if self.link.log_id != *welcome.log_id {
            // Moments of another log mean nothing here.
            self.link.log_id = welcome.log_id.to_vec();
            self.link.since_ms = 0;
        }
        tracing::debug!(shard = self.shard, "the link to the router is up");
        Ok(())
    }

    fn hint(&mut self, hint: &link::Hint<'_>) {
        self.counters.hints += 1;
        let lost = self.link.numbers.hint(hint.number);
        self.hints_lost(lost);
        let targets = hint.slots.iter().copied().zip(hint.sessions.iter().copied()).collect();
        let body = Bytes::copy_from_slice(&hint.frame);
        self.backlog.push(Shared::new(body, hint.ephemeral), targets);
    }

    fn hints_lost(&mut self, lost: u64) {
        if lost > 0 {
            self.counters.hint_gaps += 1;
            tracing::debug!(shard = self.shard, lost, "numbers of hints are missing");
        }
    }

    /// Reads the link only while there is room for hints.
    pub(super) fn hold_link<I: Io>(&mut self, io: &mut I) {
        let Some(id) = self.link.conn else { return };
        let bytes = self.backlog.bytes();
        if !self.link.is_held && bytes > limits::FANOUT_BYTES_MAX {
            self.link.is_held = true;
            self.counters.link_holds += 1;
            io.arm(id, Arm::Off);
        } else if self.link.is_held && bytes <= limits::FANOUT_BYTES_MAX / 2 {
            self.link.is_held = false;
            io.arm(id, Arm::Hot);
        }
    }

    fn evict<I: Io>(&mut self, io: &mut I, evict: &link::Evict<'_>) {
        let Some(session) = &evict.session else { return };
        let Some((id, conn)) = self.slab.session_mut(session.slot, session.session) else { return };
        conn.is_registered = false;
        let close = SessionClose::parse(evict.code).unwrap_or(SessionClose::ServerFault);
        let text = if evict.reason.is_empty() { close.reason() } else { &*evict.reason };
        self.close_with(io, id, CloseReason::from(close), Some(close.number()), text);
    }

    /// Registers the sessions of the next slots again.
    fn repair_some<I: Io>(&mut self, io: &mut I) {
        let Some(from) = self.link.repair else { return };
        let mut registered = 0;
        for slot in from..self.slab.len() as u32 {
            if registered == limits::REREGISTER_PER_TURN || !self.link.waiting.is_empty() {
                self.link.repair = Some(slot);
                return;
            }
            let Some((id, conn)) = self.slab.slot_mut(slot) else { continue };
            let is_session = matches!(conn.phase, Phase::Established(_) | Phase::Registering(_));
            // Those that said hello since the link is up are registered.
            if is_session && !conn.is_registered {
                registered += 1;
                self.register(io, id);
            }
        }
        self.link.repair = None;
    }
}
