//! The calling thread's part of a run: adds up, reads both sides, ends the run.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::validity::invalid_reasons;
use super::workforce::{News, Stage, Workforce};
use super::{Hooks, RunError, RunPlan, RunRecord, SecondReadings, SecondRecord, Tick};
use crate::generator::{Cause, Metric, Sample};
use crate::limits::{INTERVAL, WAIT_MAX};
use crate::measure::{KernelReading, Reading, Readings};

/// Looks at both sides and the kernel.
pub(super) fn read_sides(plan: &RunPlan) -> io::Result<SecondReadings> {
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
pub(super) struct Ledger<'p, C> {
    plan: &'p RunPlan,
    crew: C,
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
    /// Shards whose workload wants nothing more.
    done: u32,
    stopped: u32,
    gone: u32,
    /// Usable connections of the shards when they stopped.
    open_at_stop: u64,
    is_stopping: bool,
    interrupted: bool,
    invalid: Vec<String>,
}

impl<'p, C: Workforce> Ledger<'p, C> {
    pub(super) fn new(plan: &'p RunPlan, before: SecondReadings, start: Instant, crew: C) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            shards: crew.shards(),
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
            done: 0,
            stopped: 0,
            gone: 0,
            open_at_stop: 0,
            is_stopping: false,
            interrupted: false,
            invalid: Vec::new(),
        }
    }

    pub(super) fn keep(mut self, hooks: &mut dyn Hooks) -> Result<RunRecord, RunError> {
        self.crew.begin(self.start);
        while self.gone < self.shards {
            match self.crew.news(WAIT_MAX / 4) {
                Ok(news) => self.note(news, hooks)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.stop_if_over(hooks);
        }
        if self.stopped < self.shards {
            // A shard failed: what is known of the measured part ends here.
            self.end_measuring()?;
        }
        let closed = read_sides(self.plan)?;
        Ok(self.conclude(&closed))
    }

    fn stop_if_over(&mut self, hooks: &mut dyn Hooks) {
        if self.is_stopping {
            return;
        }
        let is_over = self.start.elapsed() >= self.plan.duration;
        let all_done = self.done >= self.shards;
        let asked = !is_over && !all_done && hooks.stops();
        if is_over || all_done || asked {
            self.interrupted = asked;
            self.is_stopping = true;
            self.crew.stop();
        }
    }

    fn note(&mut self, news: News, hooks: &mut dyn Hooks) -> Result<(), RunError> {
        let News { stage, sample } = news;
        match stage {
            Stage::Interval(number) => self.note_interval(number, &sample, hooks)?,
            Stage::Done => self.done += 1,
            Stage::Stopped => {
                self.open_at_stop += sample.open;
                self.total.merge(&sample);
                self.stopped += 1;
                if self.stopped == self.shards {
                    self.end_measuring()?;
                }
            }
            Stage::Gone => {
                self.total.merge(&sample);
                self.gone += 1;
            }
            Stage::Failed { why, errno } => {
                self.total.merge(&sample);
                self.invalid.push(format!("generator: {why}"));
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
        let elsewhere = self.crew.join();
        let client_growth = elsewhere.as_ref().and_then(|elsewhere| elsewhere.growth);
        let client = elsewhere.map_or_else(
            || Readings {
                pids: vec![std::process::id()],
                before: self.before.client.clone(),
                full: self.full.client.clone(),
                after: self.after.client.clone(),
            },
            |elsewhere| elsewhere.readings,
        );
        let resident = |reading: Option<&Reading>| reading.map_or(0, |one| one.resident_bytes);
        RunRecord {
            server,
            client,
            client_growth,
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
        }
    }

    fn judge(&mut self) {
        let reasons = invalid_reasons(self.plan, &self.total, &self.series);
        self.invalid.extend(reasons);
    }
}
