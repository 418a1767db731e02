//! A worker's part of a run: its shards at work, what they say passed on, what they cost.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use super::{Assignment, CoordinateError, Finish, Reporter};
use crate::generator::run::{Crew, News, RunError, RunPlan, Stage, Workforce};
use crate::generator::{Sample, ShardInfo, Workload};
use crate::limits::{INTERVAL, WAIT_MAX};
use crate::measure::{KernelGrowth, KernelReading, Reading, Readings};

/// Why a worker did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The coordinator.
    #[error(transparent)]
    Coordinate(#[from] CoordinateError),
    /// This host; the coordinator was told.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<io::Error> for WorkError {
    fn from(error: io::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Does an assignment: sets up the plan's shards here, starts with all others, and passes on what
/// the shards say until all their connections are closed.
///
/// # Errors
/// See [`WorkError`].
pub fn work<W: Workload + 'static>(
    assignment: Assignment,
    mut plan: RunPlan,
    make: impl Fn(ShardInfo) -> W + Send + Sync + 'static,
) -> Result<(), WorkError> {
    if let Err(error) = plan.target.check() {
        assignment.refuse(error.to_string())?;
        return Err(RunError::from(error).into());
    }
    // A lower soft limit would only make the tables smaller.
    let _ = throng_ring::host::raise_nofile();
    plan.server_pids.clear();
    let chosen = assignment.able(plan.shards_here())?;
    plan.part = Some(chosen.part);
    let costs = Costs::begin()?;
    let mut crew = match Crew::start(&plan, make) {
        Ok(crew) => crew,
        Err(error) => {
            chosen.refuse(error.to_string())?;
            return Err(error.into());
        }
    };
    let (at, reporter) = chosen.ready()?;
    crew.begin(at);
    pass_on(crew, reporter, costs)
}

fn pass_on(mut crew: Crew, mut reporter: Reporter, mut costs: Costs) -> Result<(), WorkError> {
    let stop = reporter.stop_flag();
    let (mut is_stopping, mut gone, mut heard) = (false, 0, Instant::now());
    while gone < crew.shards() {
        match crew.news(WAIT_MAX) {
            Ok(news) => {
                gone += u32::from(matches!(news.stage, Stage::Gone | Stage::Failed { .. }));
                costs.note(&news)?;
                reporter.news(news)?;
                heard = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if heard.elapsed() > INTERVAL {
            reporter.alive()?;
            heard = Instant::now();
        }
        if !is_stopping && stop.load(Ordering::Relaxed) {
            is_stopping = true;
            crew.stop();
        }
    }
    reporter.done(costs.finish())?;
    crew.join();
    Ok(())
}

/// What this process and its host's kernel take.
struct Costs {
    readings: Readings,
    kernel: [KernelReading; 2],
    /// Usable connections in the present interval, and at the fullest.
    interval: (u64, u64),
    open_max: u64,
}

impl Costs {
    fn begin() -> io::Result<Self> {
        let before = Reading::of(&[std::process::id()])?;
        let readings = Readings {
            pids: vec![std::process::id()],
            full: before.clone(),
            after: before.clone(),
            before,
        };
        let kernel = KernelReading::read();
        Ok(Self { readings, kernel: [kernel, kernel], interval: (0, 0), open_max: 0 })
    }

    /// Reads when an interval is over: the connections of its last shard have been counted.
    fn note(&mut self, news: &News) -> io::Result<()> {
        match news.stage {
            Stage::Interval(number) => self.note_interval(number, &news.sample),
            Stage::Stopped => {
                self.readings.after = Reading::of(&[std::process::id()])?;
                Ok(())
            }
            Stage::Done | Stage::Gone | Stage::Failed { .. } => Ok(()),
        }
    }

    fn note_interval(&mut self, number: u64, sample: &Sample) -> io::Result<()> {
        if number == self.interval.0 {
            self.interval.1 += sample.open;
        } else {
            self.interval = (number, sample.open);
        }
        if self.interval.1 >= self.open_max {
            self.open_max = self.interval.1;
            self.readings.full = Reading::of(&[std::process::id()])?;
            self.kernel[1] = KernelReading::read();
        }
        Ok(())
    }

    fn finish(self) -> Finish {
        let [before, full] = self.kernel;
        let growth = KernelGrowth::between(before, full, self.open_max);
        Finish { readings: self.readings, growth }
    }
}
