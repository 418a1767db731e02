//! The one thread that writes.
//!
//! A turn takes what waits and does, in this order:
//! 1. jobs, of as many cells as one commit may have, as one commit that is readable at once and
//!    waits for no sync of its own, then their callers are told;
//! 2. one commit of appends, with their dirty windows, as durable as configured (with `sync`: one
//!    `fdatasync`, which also covers 1), then one delivery of outcomes per queue;
//! 3. with `interval`, a sync when one is due.
//!
//! Batches grow by themselves: what arrives while the disk syncs is the next commit.
//!
//! The first write that fails ends it all. What the disk then holds is unknown, and a later sync
//! that succeeds would prove nothing about it: appends in flight are answered `Unknown`, nothing
//! more is taken, and the process is told to stop.

use std::sync::Arc;
use std::time::Instant;

use super::config::Durability;
use super::engine::{Engine, EngineError, Persist};
use super::failure::Failure;
use super::keys::{self, Table};
use super::meta::{self, Run};
use super::projector::{ProjectError, Projector};
use super::queue::{Job, JobKind, Queue, QueuedAppend};
use super::row;
use super::stats::Counters;
use crate::{AppendOutcome, DirtyWindow, Outcomes, Projection, Row, StoreError, Tag};

/// What the committer and the store's handles share.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) queue: Arc<Queue>,
    pub(super) failure: Arc<Failure>,
    pub(super) counters: Arc<Counters>,
}

impl Channel {
    /// Ends the store: nothing more is taken.
    pub(super) fn fail(&self, error: &EngineError) {
        self.failure.set(error);
        self.queue.close();
    }
}

/// Everything that the thread owns.
pub(super) struct Committer<E> {
    engine: E,
    channel: Channel,
    durability: Durability,
    run: Run,
    /// When the next sync of `interval` is due; none if all is synced.
    sync_at: Option<Instant>,
    projector: Projector,
    value: Vec<u8>,
}

/// Outcomes of one commit for one queue.
type Delivery = (Outcomes, Vec<(Tag, AppendOutcome)>);

impl<E: Engine> Committer<E> {
    pub(super) fn new(engine: E, channel: Channel, durability: Durability, run: Run) -> Self {
        let projector = Projector::default();
        Self { engine, channel, durability, run, sync_at: None, projector, value: Vec::new() }
    }

    /// Works until the queue is closed and empty, or a write fails.
    pub(super) fn run(mut self) {
        let result = self.work();
        if let Err(error) = result {
            self.channel.fail(&error);
            self.refuse_all();
        }
    }

    fn work(&mut self) -> Result<(), EngineError> {
        loop {
            let work = self.channel.queue.take(self.sync_at);
            if let Err(error) = self.commit_jobs(work.jobs, !work.appends.is_empty()) {
                deliver(work.appends, |_| AppendOutcome::Unknown);
                return Err(error);
            }
            if !work.appends.is_empty() {
                self.commit_appends(work.appends)?;
            }
            self.sync_if_due()?;
            if work.closed {
                return self.mark_clean();
            }
        }
    }

    fn commit_jobs(&mut self, jobs: Vec<Job>, appends_follow: bool) -> Result<(), EngineError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            let result = match job.kind {
                JobKind::Project(projections) => self.project(projections)?,
                JobKind::CloseWindow(window) => {
                    self.delete_window(window)?;
                    Ok(())
                }
                JobKind::RecordMoment(moment_ms) => self.record_moment(moment_ms)?,
            };
            waiting.push((job.done, job.room, result));
        }
        let cells = self.projector.flush(&mut self.engine);
        self.channel.counters.project_cells.record(cells as u64);
        self.commit(if appends_follow { Persist::Readable } else { Persist::Written })?;
        for (done, room, result) in waiting {
            drop(room);
            let _ = done.send(result);
        }
        Ok(())
    }

    /// The inner result is what the job's caller is told.
    fn project(
        &mut self,
        projections: Vec<Projection>,
    ) -> Result<Result<(), StoreError>, EngineError> {
        let mut told = Ok(());
        for projection in projections {
            match self.projector.add(&self.engine, projection) {
                Ok(()) => {}
                Err(ProjectError::Engine(error)) => return Err(error),
                Err(ProjectError::Corrupt(malformed)) => told = Err(malformed.into()),
            }
        }
        Ok(told)
    }

    fn delete_window(&mut self, window: DirtyWindow) -> Result<(), EngineError> {
        for key in self.engine.keys(Table::Dirty, &keys::dirty_window(window))? {
            self.engine.delete(Table::Dirty, &key);
        }
        Ok(())
    }

    /// The inner result is what the job's caller is told.
    fn record_moment(&mut self, moment_ms: u64) -> Result<Result<(), StoreError>, EngineError> {
        let before = self.engine.get(Table::Meta, keys::META_MOMENT)?;
        let before = before.map(|value| meta::decode_moment(&value)).transpose();
        Ok(before.map_err(StoreError::from).map(|before| {
            if moment_ms > before.unwrap_or(0) {
                self.engine.put(Table::Meta, keys::META_MOMENT, &meta::encode_moment(moment_ms));
            }
        }))
    }

    fn commit_appends(&mut self, appends: Vec<QueuedAppend>) -> Result<(), EngineError> {
        let started = Instant::now();
        let mut rows = 0;
        let epoch = self.run.epoch;
        for queued in appends.iter().filter(|queued| queued.append.epoch == epoch) {
            rows += queued.append.rows.len();
            self.put_append(queued);
        }
        let persist = match self.durability {
            Durability::Sync => Persist::Synced,
            Durability::Interval(_) | Durability::Os => Persist::Written,
        };
        let result = if rows > 0 { self.commit(persist) } else { Ok(()) };
        self.channel.counters.record_commit(appends.len(), rows, started.elapsed());
        deliver(appends, |queued| match result {
            _ if queued.append.epoch != epoch => AppendOutcome::Fenced,
            Ok(()) => AppendOutcome::Ok,
            Err(_) => AppendOutcome::Unknown,
        });
        result
    }

    fn put_append(&mut self, queued: &QueuedAppend) {
        let conv = queued.append.conv;
        for row in &queued.append.rows {
            let Row { seq, epoch, .. } = *row;
            self.value.clear();
            row::encode(row, &mut self.value);
            self.engine.put(Table::Log, &keys::log(conv, seq, epoch), &self.value);
        }
        if let Some(window) = queued.append.dirty {
            self.engine.put(Table::Dirty, &keys::dirty(window, conv), &[]);
        }
    }

    fn commit(&mut self, persist: Persist) -> Result<(), EngineError> {
        self.engine.commit(persist)?;
        match self.durability {
            Durability::Interval(interval) => {
                self.sync_at.get_or_insert_with(|| Instant::now() + interval);
            }
            Durability::Sync | Durability::Os => {}
        }
        Ok(())
    }

    fn sync_if_due(&mut self) -> Result<(), EngineError> {
        if self.sync_at.is_some_and(|at| at <= Instant::now()) {
            self.engine.sync()?;
            self.sync_at = None;
        }
        Ok(())
    }

    fn mark_clean(&mut self) -> Result<(), EngineError> {
        let run = Run { clean: true, ..self.run };
        self.engine.put(Table::Meta, keys::META_RUN, &run.encode());
        self.engine.commit(Persist::Synced)
    }

    /// Answers everything that still waits. Nothing of it was written, but who sent it must not
    /// rest on that: an append in the failed commit looks the same.
    fn refuse_all(&mut self) {
        loop {
            let work = self.channel.queue.take(None);
            deliver(work.appends, |_| AppendOutcome::Unknown);
            for job in work.jobs {
                let _ = job.done.send(Err(self.fatal()));
            }
            if work.closed {
                return;
            }
        }
    }

    fn fatal(&self) -> StoreError {
        self.channel
            .failure
            .get()
            .unwrap_or_else(|| StoreError::Fatal("the store is closed".into()))
    }
}

/// Tells every queue the outcomes of its appends, in their order, in one call each.
fn deliver(appends: Vec<QueuedAppend>, outcome: impl Fn(&QueuedAppend) -> AppendOutcome) {
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut last = 0;
    for queued in appends {
        let entry = (queued.tag, outcome(&queued));
        let same = |delivery: &Delivery| delivery.0.same_queue(&queued.outcomes);
        if !deliveries.get(last).is_some_and(same) {
            last = deliveries.iter().position(same).unwrap_or(deliveries.len());
        }
        match deliveries.get_mut(last) {
            Some(delivery) => delivery.1.push(entry),
            None => deliveries.push((queued.outcomes, vec![entry])),
        }
    }
    for (outcomes, batch) in deliveries {
        outcomes.deliver(batch);
    }
}
