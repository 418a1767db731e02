//! The threads of a run, and how they and the calling thread talk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use throng_ring::epoll::{EpollConfig, EpollDriver};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Backend, Driver, Io, SetupError, Waker};

use super::workforce::{Elsewhere, News, Stage, Workforce};
use super::{Part, RunError, RunPlan};
use crate::generator::settings::{Settings, ShardInfo};
use crate::generator::shard::Shard;
use crate::generator::{Sample, Workload};
use crate::limits::{
    INTERVAL, LARGE_BUFFER_SHARDS_MAX, SMALL_RECEIVE_BUFFERS, SPARE_SLOTS, WAIT_MAX,
};

/// Whether a shard is ready, and how it is woken.
type Ready = (u32, Result<Waker, String>);

/// The threads and how they are told things.
#[derive(Debug)]
pub struct Crew {
    news: Receiver<News>,
    stopping: Arc<AtomicBool>,
    wakers: Vec<Waker>,
    starts: Vec<Sender<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts a thread for each of the plan's shards here; all are ready when this returns, and
    /// wait for their start.
    ///
    /// # Errors
    /// A shard cannot be set up, a thread cannot be had.
    pub fn start<W: Workload + 'static>(
        plan: &RunPlan,
        make: impl Fn(ShardInfo) -> W + Send + Sync + 'static,
    ) -> Result<Self, RunError> {
        let make = Arc::new(make);
        let here = plan.shards_here();
        let part = plan.part.unwrap_or(Part { first_shard: 0, shards: here });
        let (say, news) = channel();
        let (tell, ready) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let mut crew =
            Self { news, stopping, wakers: Vec::new(), starts: Vec::new(), threads: Vec::new() };
        for shard in part.first_shard..part.first_shard + here {
            let (clients, seed) = (plan.clients, plan.seed);
            let info = ShardInfo { shard, shards: part.shards, clients, seed };
            let (starts, started) = channel();
            crew.starts.push(starts);
            let (make, stopping) = (Arc::clone(&make), Arc::clone(&crew.stopping));
            let (say, tell) = (say.clone(), tell.clone());
            let settings = settings(plan);
            let (driver, config) = (plan.driver, ring_config(plan, info.count(), here));
            let body = move || {
                let thread = ShardThread { info, settings, say, stopping };
                let workload = make(info);
                match driver {
                    Backend::IoUring => thread.run(&tell, &started, uring(config), workload),
                    Backend::Epoll => thread.run(&tell, &started, epoll(&config), workload),
                }
            };
            let named = std::thread::Builder::new().name(format!("shard-{shard}"));
            crew.threads.push(named.spawn(body)?);
        }
        crew.wait_until_ready(here, &ready)?;
        Ok(crew)
    }

    fn wait_until_ready(&mut self, shards: u32, ready: &Receiver<Ready>) -> Result<(), RunError> {
        for _ in 0..shards {
            let Ok((shard, ready)) = ready.recv() else {
                return Err(io::Error::other("a shard's thread ended before it was ready").into());
            };
            self.wakers.push(ready.map_err(|why| RunError::Setup { shard, why })?);
        }
        Ok(())
    }
}

impl Workforce for Crew {
    fn shards(&self) -> u32 {
        u32::try_from(self.threads.len()).unwrap_or(u32::MAX)
    }

    fn news(&mut self, patience: Duration) -> Result<News, RecvTimeoutError> {
        self.news.recv_timeout(patience)
    }

    fn begin(&mut self, start: Instant) {
        for starts in &self.starts {
            // A thread that is gone has said why, or will.
            let _ = starts.send(start);
        }
    }

    fn stop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
    }

    fn join(self) -> Option<Elsewhere> {
        drop(self.starts);
        for thread in self.threads {
            // A panic of a shard has ended the process already (release) or is told by the test.
            let _ = thread.join();
        }
        None
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

fn ring_config(plan: &RunPlan, clients: u32, shards: u32) -> UringConfig {
    let mut config = UringConfig {
        connections_max: clients + SPARE_SLOTS,
        connect_reset_on_close: plan.reset_on_close,
        gather: plan.gather,
        ..Default::default()
    };
    if shards as usize > LARGE_BUFFER_SHARDS_MAX {
        (config.receive_buffers, config.receive_buffer_bytes) = SMALL_RECEIVE_BUFFERS;
    }
    config
}

/// A driver and the slots of its table.
type Made<D> = Result<(D, u32), SetupError>;

fn uring(config: UringConfig) -> Made<UringDriver> {
    UringDriver::new(config).map(|driver| {
        let slots = driver.connections_max();
        (driver, slots)
    })
}

/// What a ring would be, as far as epoll has it too.
fn epoll(config: &UringConfig) -> Made<EpollDriver> {
    let config = EpollConfig {
        connections_max: config.connections_max,
        connect_reset_on_close: config.connect_reset_on_close,
        ..Default::default()
    };
    EpollDriver::new(config).map(|driver| {
        let slots = driver.connections_max();
        (driver, slots)
    })
}

/// One shard's thread.
struct ShardThread {
    info: ShardInfo,
    settings: Settings,
    say: Sender<News>,
    stopping: Arc<AtomicBool>,
}

impl ShardThread {
    fn run<W: Workload, D: Driver>(
        self,
        tell: &Sender<Ready>,
        started: &Receiver<Instant>,
        driver: Made<D>,
        workload: W,
    ) {
        let (mut driver, table_max) = match driver {
            Ok(made) => made,
            Err(error) => {
                let _ = tell.send((self.info.shard, Err(error.to_string())));
                return;
            }
        };
        let waker = driver.io().waker();
        if tell.send((self.info.shard, Ok(waker))).is_err() {
            return;
        }
        // Nobody gives a start if another shard could not be set up.
        let Ok(start) = started.recv() else { return };
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let settings = self.settings.clone();
        let mut shard = Shard::new(settings, self.info, table_max as usize, start, workload);
        if let Err(error) = self.drive(&mut driver, &mut shard, start) {
            let errno = error.raw_os_error().unwrap_or_default().unsigned_abs();
            let why = format!("a shard's driver failed: {error}");
            self.tell(Stage::Failed { why, errno }, shard.take_sample(INTERVAL, Duration::ZERO));
        }
    }

    fn drive<W: Workload, D: Driver>(
        &self,
        driver: &mut D,
        shard: &mut Shard<W>,
        start: Instant,
    ) -> io::Result<()> {
        let mut meter = Meter { start, intervals: 0, cpu: thread_cpu() };
        let mut was_done = false;
        while !self.stopping.load(Ordering::Acquire) {
            shard.step(driver, meter.next().min(driver_wait()))?;
            while let Some((interval, at)) = meter.elapsed() {
                self.tell(Stage::Interval(interval), shard.take_sample(at, meter.cpu()));
            }
            if !was_done && shard.is_done() {
                was_done = true;
                self.tell(Stage::Done, Sample::default());
            }
        }
        shard.stop(driver.io());
        self.tell(Stage::Stopped, shard.take_sample(start.elapsed(), meter.cpu()));
        while !shard.is_gone() {
            shard.step(driver, driver_wait())?;
        }
        self.tell(Stage::Gone, shard.take_sample(start.elapsed(), meter.cpu()));
        Ok(())
    }

    /// A receiver that is gone means that the caller is: nothing is left to be told.
    fn tell(&self, stage: Stage, sample: Sample) {
        let _ = self.say.send(News { stage, sample });
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
