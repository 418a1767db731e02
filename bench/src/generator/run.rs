//! A whole run in this process: a thread per shard, one start for all, a sample a second of each,
//! added up by the calling thread.
//!
//! Course: every thread makes its ring, table and workload and says so; the start is given to all;
//! they step until the run's stage ends (time, workloads done, or the caller); the measured part is
//! over; connections are closed and waited for; books are balanced.
//!
//! When a run is not valid ([`RunRecord::invalid`], each reason beginning with `generator:`):
//! - more than [`OVERRUN_SHARE_MAX`] of the acts on a schedule were later than the plan's
//!   `lateness_max` (10 ms if it says nothing);
//! - in an open loop: a thread used [`BUSY_MAX`] of a core or more in over [`BUSY_SECONDS_MAX`] of
//!   the seconds (a closed loop is meant to be as fast as it can);
//! - a workload says that arrivals or messages which were due were not started ([`Counter::Intended`]
//!   above [`Counter::Sent`] by over [`OVERRUN_SHARE_MAX`]), in an open loop;
//! - the books do not balance, or a shard's ring failed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Driver, Io, Waker};

use super::address::AddressError;
use super::engine::{Deadlines, Heartbeat, Settings, ShardInfo};
use super::shard::Shard;
use super::{Cause, Counter, Metric, Sample, Target, Workload};
use crate::limits::{
    BUSY_MAX, BUSY_SECONDS_MAX, CLIENTS_PER_SHARD, INTERVAL, LARGE_BUFFER_SHARDS_MAX, LATENESS_MAX,
    OVERRUN_SHARE_MAX, SMALL_RECEIVE_BUFFERS, SPARE_SLOTS, WAIT_MAX,
};
use crate::measure::{KernelReading, Reading, Readings};

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
    /// `duration`; without heartbeats.
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
    /// Every shard is ready: the moment of the common start. May take its time (other hosts).
    fn ready(&mut self) -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

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
    /// This process.
    pub client: Readings,
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
    let before = read_sides(plan)?;
    let crew = Crew::start(plan, Arc::new(make))?;
    let start = hooks.ready();
    Ledger::new(plan, before, start, crew).keep(hooks)
}

/// What a shard's thread says.
enum News {
    Ready(u32, Result<Waker, String>),
    /// The number of the interval, and what was seen in it.
    Interval(u64, Sample),
    Stopped(Sample),
    Gone(Sample),
    Failed(io::Error, Sample),
}

/// The threads and how they are told things.
struct Crew {
    news: Receiver<News>,
    control: Arc<Control>,
    wakers: Vec<Waker>,
    starts: Vec<Sender<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Control {
    stopping: AtomicBool,
    /// Shards whose workload wants nothing more.
    done: AtomicU32,
}

impl Crew {
    fn start<W: Workload + 'static>(
        plan: &RunPlan,
        make: Arc<impl Fn(ShardInfo) -> W + Send + Sync + 'static>,
    ) -> Result<Self, RunError> {
        let here = plan.shards_here();
        let part = plan.part.unwrap_or(Part { first_shard: 0, shards: here });
        let (say, news) = channel();
        let control = Arc::new(Control::default());
        let mut crew =
            Self { news, control, wakers: Vec::new(), starts: Vec::new(), threads: Vec::new() };
        for shard in part.first_shard..part.first_shard + here {
            let (clients, seed) = (plan.clients, plan.seed);
            let info = ShardInfo { shard, shards: part.shards, clients, seed };
            let (starts, started) = channel();
            crew.starts.push(starts);
            let (make, say, control) = (Arc::clone(&make), say.clone(), Arc::clone(&crew.control));
            let settings = settings(plan);
            let config = ring_config(info.count(), here);
            let body = move || {
                let thread = ShardThread { info, settings, config, say, control };
                thread.run(&started, |info| make(info));
            };
            let named = std::thread::Builder::new().name(format!("shard-{shard}"));
            crew.threads.push(named.spawn(body)?);
        }
        crew.wait_until_ready(here)?;
        Ok(crew)
    }

    fn wait_until_ready(&mut self, shards: u32) -> Result<(), RunError> {
        for _ in 0..shards {
            let Ok(News::Ready(shard, ready)) = self.news.recv() else {
                return Err(io::Error::other("a shard's thread ended before it was ready").into());
            };
            self.wakers.push(ready.map_err(|why| RunError::Setup { shard, why })?);
        }
        Ok(())
    }

    fn stop(&self) {
        self.control.stopping.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
    }

    fn join(self) {
        drop(self.starts);
        for thread in self.threads {
            // A panic of a shard has ended the process already (release) or is told by the test.
            let _ = thread.join();
        }
    }
}

fn settings(plan: &RunPlan) -> Settings {
    Settings {
        target: plan.target.clone(),
        deadlines: plan.deadlines,
        heartbeat: plan.heartbeat.clone(),
        cold: plan.cold,
        lateness_max: plan.lateness_max,
        message_bytes_max: plan.message_bytes_max,
        seed: plan.seed,
    }
}

fn ring_config(clients: u32, shards: u32) -> UringConfig {
    let mut config = UringConfig { connections_max: clients + SPARE_SLOTS, ..Default::default() };
    if shards as usize > LARGE_BUFFER_SHARDS_MAX {
        (config.receive_buffers, config.receive_buffer_bytes) = SMALL_RECEIVE_BUFFERS;
    }
    config
}

/// One shard's thread.
struct ShardThread {
    info: ShardInfo,
    settings: Settings,
    config: UringConfig,
    say: Sender<News>,
    control: Arc<Control>,
}

impl ShardThread {
    fn run<W: Workload>(self, started: &Receiver<Instant>, make: impl Fn(ShardInfo) -> W) {
        let workload = make(self.info);
        let mut driver = match UringDriver::new(self.config.clone()) {
            Ok(driver) => driver,
            Err(error) => {
                let _ = self.say.send(News::Ready(self.info.shard, Err(error.to_string())));
                return;
            }
        };
        let waker = driver.io().waker();
        if self.say.send(News::Ready(self.info.shard, Ok(waker))).is_err() {
            return;
        }
        // Nobody gives a start if another shard could not be set up.
        let Ok(start) = started.recv() else { return };
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let table_max = driver.connections_max() as usize;
        let settings = self.settings.clone();
        let mut shard = Shard::new(settings, self.info, table_max, start, workload);
        if let Err(error) = self.drive(&mut driver, &mut shard, start) {
            let _ = self.say.send(News::Failed(error, shard.take_sample(INTERVAL, Duration::ZERO)));
        }
    }

    fn drive<W: Workload>(
        &self,
        driver: &mut UringDriver,
        shard: &mut Shard<W>,
        start: Instant,
    ) -> io::Result<()> {
        let mut meter = Meter { start, intervals: 0, cpu: thread_cpu() };
        let mut was_done = false;
        // A receiver that is gone means that the caller is: nothing is left to be told.
        let tell = |news| drop(self.say.send(news));
        while !self.control.stopping.load(Ordering::Acquire) {
            shard.step(driver, meter.next().min(driver_wait()))?;
            while let Some((interval, at)) = meter.elapsed() {
                tell(News::Interval(interval, shard.take_sample(at, meter.cpu())));
            }
            if !was_done && shard.is_done() {
                was_done = true;
                self.control.done.fetch_add(1, Ordering::Release);
            }
        }
        shard.stop(driver.io());
        tell(News::Stopped(shard.take_sample(start.elapsed(), meter.cpu())));
        while !shard.is_gone() {
            shard.step(driver, driver_wait())?;
        }
        tell(News::Gone(shard.take_sample(start.elapsed(), meter.cpu())));
        Ok(())
    }
}

fn driver_wait() -> Instant {
    Instant::now() + WAIT_MAX
}

/// Intervals and processor time of a shard's thread.
struct Meter {
    start: Instant,
    intervals: u64,
    cpu: Duration,
}

impl Meter {
    fn next(&self) -> Instant {
        self.start + INTERVAL * (self.intervals as u32 + 1)
    }

    /// Number and end of the interval that is over, if one is.
    fn elapsed(&mut self) -> Option<(u64, Duration)> {
        let next = self.next();
        (Instant::now() >= next).then(|| {
            self.intervals += 1;
            (self.intervals, next - self.start)
        })
    }

    /// Processor time since the last call.
    fn cpu(&mut self) -> Duration {
        let now = thread_cpu();
        now.saturating_sub(std::mem::replace(&mut self.cpu, now))
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn read_sides(plan: &RunPlan) -> io::Result<SecondReadings> {
    let server = match plan.server_pids.as_slice() {
        [] => None,
        pids => Some(Reading::of(pids)?),
    };
    let client = Reading::of(&[std::process::id()])?;
    Ok(SecondReadings { server, client, kernel: KernelReading::read() })
}

/// An interval of which not every shard has told.
#[derive(Default)]
struct Pending {
    shards: u32,
    sample: Sample,
    busy: f64,
}

/// The calling thread's part: adds up, reads both sides, ends the run.
struct Ledger<'p> {
    plan: &'p RunPlan,
    crew: Crew,
    shards: u32,
    start: Instant,
    started_ms: u64,
    pending: BTreeMap<u64, Pending>,
    total: Sample,
    series: Vec<SecondRecord>,
    before: SecondReadings,
    full: SecondReadings,
    after: SecondReadings,
    open_max: u64,
    elapsed: Duration,
    stopped: u32,
    gone: u32,
    /// Usable connections of the shards when they stopped.
    open_at_stop: u64,
    is_stopping: bool,
    interrupted: bool,
    invalid: Vec<String>,
}

impl<'p> Ledger<'p> {
    fn new(plan: &'p RunPlan, before: SecondReadings, start: Instant, crew: Crew) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            shards: plan.shards_here(),
            plan,
            crew,
            start,
            started_ms: u64::try_from(since_1970.as_millis()).unwrap_or_default(),
            pending: BTreeMap::new(),
            total: Sample::default(),
            series: Vec::new(),
            full: before.clone(),
            after: before.clone(),
            before,
            open_max: 0,
            elapsed: Duration::ZERO,
            stopped: 0,
            gone: 0,
            open_at_stop: 0,
            is_stopping: false,
            interrupted: false,
            invalid: Vec::new(),
        }
    }

    fn keep(mut self, hooks: &mut dyn Hooks) -> Result<RunRecord, RunError> {
        for starts in &self.crew.starts {
            // A thread that is gone has said why, or will.
            let _ = starts.send(self.start);
        }
        while self.gone < self.shards {
            match self.crew.news.recv_timeout(WAIT_MAX / 4) {
                Ok(news) => self.note(news, hooks)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.stop_if_over(hooks);
        }
        let closed = read_sides(self.plan)?;
        Ok(self.conclude(&closed))
    }

    fn stop_if_over(&mut self, hooks: &mut dyn Hooks) {
        if self.is_stopping {
            return;
        }
        let is_over = self.start.elapsed() >= self.plan.duration;
        let all_done = self.crew.control.done.load(Ordering::Acquire) >= self.shards;
        let asked = !is_over && !all_done && hooks.stops();
        if is_over || all_done || asked {
            self.interrupted = asked;
            self.is_stopping = true;
            self.crew.stop();
        }
    }

    fn note(&mut self, news: News, hooks: &mut dyn Hooks) -> Result<(), RunError> {
        match news {
            News::Ready(..) => {}
            News::Interval(number, sample) => self.note_interval(number, &sample, hooks)?,
            News::Stopped(sample) => {
                self.open_at_stop += sample.open;
                self.total.merge(&sample);
                self.stopped += 1;
                if self.stopped == self.shards {
                    self.end_measuring()?;
                }
            }
            News::Gone(sample) => {
                self.total.merge(&sample);
                self.gone += 1;
            }
            News::Failed(error, sample) => {
                self.total.merge(&sample);
                self.invalid.push(format!("generator: a shard's ring failed: {error}"));
                let errno = error.raw_os_error().unwrap_or_default().unsigned_abs();
                (0..sample.open).for_each(|_| self.total.fail(Cause::Generator, errno));
                self.gone += 1;
            }
        }
        Ok(())
    }

    fn end_measuring(&mut self) -> io::Result<()> {
        self.elapsed = self.start.elapsed();
        self.after = read_sides(self.plan)?;
        if self.open_at_stop >= self.open_max {
            self.open_max = self.open_at_stop;
            self.full = self.after.clone();
        }
        Ok(())
    }

    fn note_interval(
        &mut self,
        number: u64,
        sample: &Sample,
        hooks: &mut dyn Hooks,
    ) -> io::Result<()> {
        let pending = self.pending.entry(number).or_default();
        pending.sample.merge(sample);
        pending.sample.open += sample.open;
        pending.shards += 1;
        pending.busy = pending.busy.max(sample.cpu.as_secs_f64() / INTERVAL.as_secs_f64());
        if pending.shards < self.shards {
            return Ok(());
        }
        let Some(Pending { mut sample, busy, .. }) = self.pending.remove(&number) else {
            return Ok(());
        };
        self.total.merge(&sample);
        let readings = read_sides(self.plan)?;
        if sample.open >= self.open_max {
            self.open_max = sample.open;
            self.full = readings.clone();
        }
        let (at, total) = (sample.at, &self.total);
        hooks.tick(&Tick { at, sample: &sample, total, readings: readings.clone(), busy });
        sample.keep_times(&[self.plan.main_metric, Metric::Lateness]);
        self.series.push(SecondRecord { sample, readings, busy });
        Ok(())
    }

    fn conclude(mut self, closed: &SecondReadings) -> RunRecord {
        for (_, pending) in std::mem::take(&mut self.pending) {
            self.total.merge(&pending.sample);
        }
        self.total.open = self.open_at_stop;
        self.judge();
        let server = self.before.server.clone().map(|before| Readings {
            pids: self.plan.server_pids.clone(),
            before,
            full: self.full.server.clone().unwrap_or_default(),
            after: self.after.server.clone().unwrap_or_default(),
        });
        let client = Readings {
            pids: vec![std::process::id()],
            before: self.before.client.clone(),
            full: self.full.client.clone(),
            after: self.after.client.clone(),
        };
        let resident = |reading: Option<&Reading>| reading.map_or(0, |one| one.resident_bytes);
        let record = RunRecord {
            server,
            client,
            kernel: [self.before.kernel, self.full.kernel, self.after.kernel, closed.kernel],
            resident_after_close: (resident(closed.server.as_ref()), closed.client.resident_bytes),
            open_max: self.open_max,
            started_ms: self.started_ms,
            elapsed: self.elapsed,
            shards: self.shards,
            busy_max: self.series.iter().map(|second| second.busy).fold(0.0, f64::max),
            interrupted: self.interrupted,
            total: self.total,
            series: self.series,
            invalid: self.invalid,
        };
        self.crew.join();
        record
    }

    fn judge(&mut self) {
        let reasons = invalid_reasons(self.plan, &self.total, &self.series);
        self.invalid.extend(reasons);
    }
}

/// Why a run may not be believed. See the module header.
fn invalid_reasons(plan: &RunPlan, total: &Sample, series: &[SecondRecord]) -> Vec<String> {
    let mut reasons = Vec::new();
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let acts = total.times(Metric::Lateness).map_or(0, hdrhistogram::Histogram::len);
    let overruns = total.count(Counter::Overruns);
    if share(overruns, acts) > OVERRUN_SHARE_MAX {
        reasons.push(format!(
            "generator: {overruns} of {acts} acts on schedule were more than {:?} late",
            plan.lateness_max
        ));
    }
    let busy = series.iter().filter(|second| second.busy >= BUSY_MAX).count() as u64;
    let seconds = series.len() as u64;
    if plan.open_loop && busy > 1 && share(busy, seconds) > BUSY_SECONDS_MAX {
        reasons.push(format!(
            "generator: a thread was saturated in {busy} of {seconds} seconds; more shards, cores \
             or workers are needed"
        ));
    }
    let (intended, sent) = (total.count(Counter::Intended), total.count(Counter::Sent));
    if plan.open_loop && share(intended.saturating_sub(sent), intended) > OVERRUN_SHARE_MAX {
        reasons
            .push(format!("generator: {} of {intended} messages were not sent", intended - sent));
    }
    let [started, asked, failed] =
        [Counter::Started, Counter::ClosedAsAsked, Counter::Failed].map(|name| total.count(name));
    if started != asked + failed {
        reasons.push(format!(
            "generator: the books do not balance: {started} started, {asked} closed as asked, \
             {failed} failed"
        ));
    }
    reasons
}
