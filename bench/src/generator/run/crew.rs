//! The threads of a run, and how they and the calling thread talk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Driver, Io, Waker};

use super::{Part, RunError, RunPlan};
use crate::generator::settings::{Settings, ShardInfo};
use crate::generator::shard::Shard;
use crate::generator::{Sample, Workload};
use crate::limits::{
    INTERVAL, LARGE_BUFFER_SHARDS_MAX, SMALL_RECEIVE_BUFFERS, SPARE_SLOTS, WAIT_MAX,
};

/// What a shard's thread says.
pub(super) enum News {
    Ready(u32, Result<Waker, String>),
    /// The number of the interval, and what was seen in it.
    Interval(u64, Sample),
    Stopped(Sample),
    Gone(Sample),
    Failed(io::Error, Sample),
}

/// The threads and how they are told things.
pub(super) struct Crew {
    pub(super) news: Receiver<News>,
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
    pub(super) fn start<W: Workload + 'static>(
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
            let mut config = ring_config(info.count(), here);
            config.connect_reset_on_close = plan.reset_on_close;
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

    /// Gives the start to all.
    pub(super) fn begin(&self, start: Instant) {
        for starts in &self.starts {
            // A thread that is gone has said why, or will.
            let _ = starts.send(start);
        }
    }

    /// Whether so many shards' workloads want nothing more.
    pub(super) fn is_done(&self, shards: u32) -> bool {
        self.control.done.load(Ordering::Acquire) >= shards
    }

    /// Ends the measured part.
    pub(super) fn stop(&self) {
        self.control.stopping.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
    }

    pub(super) fn join(self) {
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
