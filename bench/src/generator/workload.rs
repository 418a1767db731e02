//! What the clients of a shard do: the interface between a workload and the engine.
//!
//! A workload is sans-IO: it is told what happened to its clients and asks for what shall happen,
//! through [`Turn`]. It runs over the simulated driver in tests exactly as over the kernel's ring.
//! Time comes from [`Turn::now`] only.
//!
//! Order of calls: `due` once at the start; then events and `due` in turns, until the run's stage
//! ends (its time is over, every workload [`is_done`](Workload::is_done), or it is interrupted);
//! then `stopping` once, after which the engine closes what is open. `ended` is still told.

use std::time::{Duration, Instant};

use throng_wire::ws::Opcode;

use super::{Cause, Counter, Metric, Sample};

/// A client of the run: 0 to the number of clients of all shards - 1. Client `c` belongs to shard
/// `c % shards` of the run, so that neighbours (pairs) are on different shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The workload closed, cut or dropped it.
    AsAsked,
    /// It failed. Already counted by the engine.
    Failed {
        /// Why.
        cause: Cause,
        /// As [`Cause`] says.
        detail: u32,
    },
}

/// What the clients of one shard do.
pub trait Workload: Send {
    /// Called at the start, after each turn of the driver, and when the moment it asked for has
    /// come. Does what is due (opens clients, sends what its schedule says) and returns when it
    /// wants to be called again at the latest; `None`: only after the next event.
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant>;

    /// The client's WebSocket is open (the upgrade was answered).
    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId);

    /// A message came: text (valid UTF-8) or binary. Pings are answered by the engine.
    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]);

    /// The client's connection is gone. It may be opened again.
    fn ended(&mut self, turn: &mut dyn Turn, client: ClientId, end: End);

    /// Whether nothing more is wanted of the run. It ends when all shards' workloads say so; a
    /// workload that never does runs for the time of its plan.
    fn is_done(&self) -> bool {
        false
    }

    /// The measured part is over: what must still be judged or counted is now. Clients that are
    /// open are closed by the engine afterwards, none can be opened, and `due` is not called again.
    fn stopping(&mut self, turn: &mut dyn Turn) {
        let _ = turn;
    }
}

/// What a workload can ask of the engine. Operations on a client that is not open do nothing.
pub trait Turn {
    /// The present moment; virtual in the simulation. Read anew on each call from `due`. Within an
    /// event it is the moment at which the event was taken up: messages that came in one piece
    /// came at one moment.
    fn now(&self) -> Instant;

    /// The start of the run: `now` of the common start barrier.
    fn start(&self) -> Instant;

    /// Connects a client that has no connection. `intended` is the moment of its arrival by the
    /// schedule: the engine records [`Metric::Connect`], [`Metric::Upgrade`] and lateness, and
    /// fails the connection with its cause if a deadline passes.
    fn open(&mut self, client: ClientId, intended: Instant);

    /// The same for a peer that connects and never asks for the upgrade. See [`Turn::expect_end`].
    fn open_half(&mut self, client: ClientId, intended: Instant);

    /// No deadline holds for this client any more, and however it ends is as asked: half-open
    /// peers, which a server must end by itself. It counts as neither established nor failed.
    fn expect_end(&mut self, client: ClientId);

    /// The workload regards the client as established (its first answer came, or none is wanted):
    /// counts it, records [`Metric::Establish`] and starts its heartbeats. If something was sent
    /// before, the time since the upgrade's answer is [`Metric::Hello`].
    fn established(&mut self, client: ClientId);

    /// Whether the client counts as established.
    fn is_established(&self, client: ClientId) -> bool;

    /// Queues a message; what is queued in one turn leaves as one send.
    fn send(&mut self, client: ClientId, opcode: Opcode, payload: &[u8]);

    /// Bytes queued for a client and not yet taken by the kernel.
    fn queued_bytes(&self, client: ClientId) -> usize;

    /// Reads no more from this client (a silent or slow reader), or goes on.
    fn read(&mut self, client: ClientId, on: bool);

    /// Closes as RFC 6455 wants, with code 1000.
    fn close(&mut self, client: ClientId);

    /// Cuts the connection at once, without a word (FIN or reset as the kernel pleases).
    fn cut(&mut self, client: ClientId);

    /// Fails a connection for a reason that the workload found (a wrong answer, a refused hello).
    fn fail(&mut self, client: ClientId, cause: Cause, detail: u32);

    /// How late an act may be before it counts as [`Counter::Overruns`].
    fn lateness_max(&self) -> Duration;

    /// The sample of the present interval, to count and record in.
    fn sample(&mut self) -> &mut Sample;

    /// Notes that what was intended for `intended` is done now: lateness, and overruns. `open`
    /// does it by itself; a workload calls it for what it sends on a schedule.
    fn act(&mut self, intended: Instant) {
        let late = self.now().saturating_duration_since(intended);
        let overrun = late > self.lateness_max();
        self.record(Metric::Lateness, late);
        self.count(Counter::Overruns, u64::from(overrun));
    }

    /// Records a time.
    fn record(&mut self, metric: Metric, time: Duration) {
        self.sample().record(metric, time);
    }

    /// Counts.
    fn count(&mut self, counter: Counter, count: u64) {
        self.sample().add(counter, count);
    }
}
