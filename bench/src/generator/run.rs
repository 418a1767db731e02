//! A whole run in this process: a thread per shard, one start for all, a sample a second of each,
//! added up by the calling thread.
//!
//! Course: every thread makes its ring, table and workload and says so; the start is given to all;
//! they step until the run's stage ends (time, workloads done, or the caller); the measured part is
//! over; connections are closed and waited for; books are balanced.
//!
//! `RunRecord::invalid` says why its figures may not be believed: see `validity`.

mod crew;
mod ledger;
mod validity;
mod workforce;

use std::io;
use std::time::{Duration, Instant};

use throng_ring::Backend;

use super::address::AddressError;
use super::settings::{Deadlines, Heartbeat, ShardInfo};
use super::{Metric, Sample, Target, Workload};
use crate::limits::{CLIENTS_PER_SHARD, LATENESS_MAX, SPARE_SLOTS};
use crate::measure::{KernelGrowth, KernelReading, Reading, Readings};
use ledger::Ledger;

pub use crew::Crew;
pub use workforce::{Elsewhere, News, Stage, Workforce};

/// From the readiness of all shards to their common start.
const START_LEAD: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// Servers, sources and the form of the upgrade request.
    pub target: Target,
    /// Clients of the run, of all workers together.
    pub clients: u32,
    /// Threads of this process; `None`: see [`shards_for`].
    pub shards: Option<u32>,
    /// This process's shards among those of a run of several workers; `None`: it is the only one.
    pub part: Option<Part>,
    /// The measured part ends after this long at the latest.
    pub duration: Duration,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Heartbeats of established clients.
    pub heartbeat: Option<Heartbeat>,
    /// Established clients wait cold: for runs in which most are silent.
    pub cold: bool,
    /// Later acts are overruns.
    pub lateness_max: Duration,
    /// What is done has moments of its own, and does not wait for answers.
    pub open_loop: bool,
    /// Longest message that is taken from a server, in bytes.
    pub message_bytes_max: u32,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// The server's processes on this host, if they are to be measured.
    pub server_pids: Vec<u32>,
    /// The metric that matters most to this kind of run; it is kept for each second.
    pub main_metric: Metric,
    /// How long a thread that waits gathers what comes: less of its own processor time in a run of
    /// many threads, and so much is added to latencies.
    pub gather: Duration,
    /// Connections end by a reset instead of FIN, so that none keeps its port for a minute.
    pub reset_on_close: bool,
    /// Kernel interface of the threads. Over epoll they share the process's descriptors, and do not
    /// gather.
    pub driver: Backend,
}

/// Which shards of a run of several workers are this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of the first.
    pub first_shard: u32,
    /// Shards of the run.
    pub shards: u32,
}

impl RunPlan {
    /// A closed-loop run of `clients` against `target` that ends with its workloads, or after
    /// `duration`; without heartbeats, over io_uring.
    #[must_use]
    pub fn new(target: Target, clients: u32, duration: Duration, main_metric: Metric) -> Self {
        Self {
            target,
            clients,
            shards: None,
            part: None,
            duration,
            deadlines: Deadlines::default(),
            heartbeat: None,
            cold: false,
            lateness_max: LATENESS_MAX,
            open_loop: false,
            message_bytes_max: 1 << 20,
            seed: 1,
            server_pids: Vec::new(),
            main_metric,
            gather: Duration::ZERO,
            reset_on_close: false,
            driver: Backend::IoUring,
        }
    }

    /// Threads of this process.
    #[must_use]
    pub fn shards_here(&self) -> u32 {
        self.shards.unwrap_or_else(|| shards_for(self.clients)).max(1)
    }
}

/// Threads for so many clients when nobody says: all cores but one, which is the server's; more
/// where a ring's table, capped by the descriptor limit, holds too few.
#[must_use]
pub fn shards_for(clients: u32) -> u32 {
    let cores = u32::try_from(throng_ring::host::cores().len()).unwrap_or(1);
    let descriptors = throng_ring::host::rlimit_nofile().soft.unwrap_or(u64::MAX);
    let table = u32::try_from(descriptors).unwrap_or(u32::MAX).saturating_sub(SPARE_SLOTS);
    let per_shard = table.clamp(1, CLIENTS_PER_SHARD);
    clients.div_ceil(per_shard).max(cores.saturating_sub(1).min(clients)).max(1)
}

/// What happens beside a run.
pub trait Hooks {
    /// An interval is over.
    fn tick(&mut self, tick: &Tick<'_>);

    /// Whether the measured part shall end now. Asked several times a second.
    fn stops(&mut self) -> bool {
        false
    }
}

/// One interval of a run, over all its shards here.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Its end, since the start.
    pub at: Duration,
    /// What was seen in it; `open` is the number of usable connections at its end.
    pub sample: &'a Sample,
    /// What was seen so far.
    pub total: &'a Sample,
    /// The readings at its end.
    pub readings: SecondReadings,
    /// Processor share of the busiest thread of the generator, 0 to 1.
    pub busy: f64,
}

/// Both sides at the end of an interval. Processor times are since the start of the processes.
#[derive(Clone, Debug, Default)]
pub struct SecondReadings {
    /// The server, if it is measured.
    pub server: Option<Reading>,
    /// This process.
    pub client: Reading,
    /// The kernel of this host.
    pub kernel: KernelReading,
}

/// One interval as it is kept.
#[derive(Clone, Debug)]
pub struct SecondRecord {
    /// Counters and failures; times of the main metric and of lateness alone.
    pub sample: Sample,
    /// Both sides.
    pub readings: SecondReadings,
    /// Processor share of the busiest thread.
    pub busy: f64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// The sum of all samples, those of the closing stage included. `open`: usable connections at
    /// the end of the measured part; `cpu`: of the generator's threads.
    pub total: Sample,
    /// One entry per interval of the measured part.
    pub series: Vec<SecondRecord>,
    /// The server, if it was measured.
    pub server: Option<Readings>,
    /// The generator's processes.
    pub client: Readings,
    /// Growth of the kernels of the generator's hosts, if they are others than this one.
    pub client_growth: Option<KernelGrowth>,
    /// The kernel before the first connection, at the fullest moment, at the end of the measured
    /// part and after all connections were closed.
    pub kernel: [KernelReading; 4],
    /// Resident memory of server and generator after all connections were closed, in bytes.
    pub resident_after_close: (u64, u64),
    /// Most connections usable at the end of an interval.
    pub open_max: u64,
    /// The start, in milliseconds since 1970.
    pub started_ms: u64,
    /// Length of the measured part.
    pub elapsed: Duration,
    /// Threads.
    pub shards: u32,
    /// The highest processor share of a thread in an interval.
    pub busy_max: f64,
    /// The caller ended it before its time.
    pub interrupted: bool,
    /// Why its figures may not be believed; empty: they may.
    pub invalid: Vec<String>,
}

/// A run that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan contradicts itself; the caller's to mend.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A shard could not be set up; its text says what to do.
    #[error("shard {shard}: {why}")]
    Setup {
        /// Which.
        shard: u32,
        /// Why.
        why: String,
    },
    /// The host refuses something (a thread), or the server's process is gone.
    #[error(transparent)]
    Host(#[from] io::Error),
}

/// Runs a plan, telling `progress` of each second.
///
/// # Errors
/// See [`RunError`]. What happens to connections is no error but in the record.
pub fn run<W: Workload + 'static>(
    plan: &RunPlan,
    make: impl Fn(ShardInfo) -> W + Send + Sync + 'static,
    progress: &mut dyn FnMut(&Tick<'_>),
) -> Result<RunRecord, RunError> {
    struct Progress<'a>(&'a mut dyn FnMut(&Tick<'_>));
    impl Hooks for Progress<'_> {
        fn tick(&mut self, tick: &Tick<'_>) {
            (self.0)(tick);
        }
    }
    run_with(plan, make, &mut Progress(progress))
}

/// The same with all hooks.
///
/// # Errors
/// See [`RunError`].
pub fn run_with<W: Workload + 'static>(
    plan: &RunPlan,
    make: impl Fn(ShardInfo) -> W + Send + Sync + 'static,
    hooks: &mut dyn Hooks,
) -> Result<RunRecord, RunError> {
    plan.target.check()?;
    // A lower soft limit would only make the tables smaller.
    let _ = throng_ring::host::raise_nofile();
    let before = ledger::read_sides(plan)?;
    let crew = Crew::start(plan, make)?;
    let start = Instant::now() + START_LEAD;
    Ledger::new(plan, before, start, crew).keep(hooks)
}

/// Keeps the books of a run that others work on. They are ready, and begin at `start`.
///
/// # Errors
/// A process of the server is gone.
pub fn run_over(
    plan: &RunPlan,
    workforce: impl Workforce,
    start: Instant,
    hooks: &mut dyn Hooks,
) -> Result<RunRecord, RunError> {
    let before = ledger::read_sides(plan)?;
    Ledger::new(plan, before, start, workforce).keep(hooks)
}
