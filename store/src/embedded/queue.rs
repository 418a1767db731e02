//! What waits for the committer: appends, and jobs on the projections.
//!
//! Any thread pushes and never waits; the committer alone takes. Appends are bounded here, by
//! count and by bytes; jobs by the permits that their callers hold. Each lane is in order.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Append, DirtyWindow, Outcomes, Projection, Row, StoreError, Tag, limits};

/// An append on its way.
pub(super) struct QueuedAppend {
    pub(super) append: Append,
    pub(super) tag: Tag,
    pub(super) outcomes: Outcomes,
}

impl QueuedAppend {
    /// Bytes of memory, which the bounds count.
    fn bytes(&self) -> usize {
        self.append.rows.iter().map(|row| size_of::<Row>() + row.body.len()).sum()
    }
}

/// What a job does. Moments are Unix milliseconds.
pub(super) enum JobKind {
    Project(Vec<Projection>),
    CloseWindow(DirtyWindow),
    RecordMoment(u64),
}

/// A job on its way, and who waits for it.
pub(super) struct Job {
    pub(super) kind: JobKind,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
    /// Gives the room in the queue back when the job is dropped.
    pub(super) room: OwnedSemaphorePermit,
}

/// What the committer does next.
#[derive(Default)]
pub(super) struct Work {
    pub(super) appends: Vec<QueuedAppend>,
    pub(super) jobs: Vec<Job>,
    /// Nothing is left and nothing will come.
    pub(super) closed: bool,
}

#[derive(Default)]
struct State {
    appends: VecDeque<QueuedAppend>,
    bytes: usize,
    jobs: VecDeque<Job>,
    closed: bool,
}

/// The queue of one store.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    appends_max: usize,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(appends_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), appends_max, bytes_max }
    }

    /// A panic elsewhere does not leave the state half changed: every change is one statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append, or gives it back when there is no room or the queue is closed.
    pub(super) fn push_append(&self, queued: QueuedAppend) -> Result<(), Append> {
        let bytes = queued.bytes();
        let mut state = self.state();
        let room = state.appends.is_empty() || state.bytes + bytes <= self.bytes_max;
        if state.closed || state.appends.len() >= self.appends_max || !room {
            return Err(queued.append);
        }
        state.bytes += bytes;
        state.appends.push_back(queued);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a job; a closed queue drops it, which its caller notices.
    pub(super) fn push_job(&self, job: Job) {
        let mut state = self.state();
        if !state.closed {
            state.jobs.push_back(job);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Waits for work until `deadline`, and takes at most one commit's jobs and appends.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Work {
        let mut state = self.state();
        while state.appends.is_empty() && state.jobs.is_empty() && !state.closed {
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Work::default(),
                Some(left) => {
                    self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let appends = state.take_commit();
        let jobs = state.take_jobs();
        let closed = state.closed && state.appends.is_empty() && state.jobs.is_empty();
        Work { appends, jobs, closed }
    }
}

impl State {
    fn take_commit(&mut self) -> Vec<QueuedAppend> {
        let mut appends = Vec::with_capacity(self.appends.len().min(limits::COMMIT_APPENDS));
        let mut bytes = 0;
        while appends.len() < limits::COMMIT_APPENDS && bytes < limits::COMMIT_BYTES {
            let Some(queued) = self.appends.pop_front() else { break };
            bytes += queued.bytes();
            appends.push(queued);
        }
        self.bytes -= bytes;
        appends
    }

    /// Appends wait for these: the rest is the next commit's. Their permits count their cells.
    fn take_jobs(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut cells = 0;
        while cells < limits::COMMIT_CELLS {
            let Some(job) = self.jobs.pop_front() else { break };
            cells += job.room.num_permits();
            jobs.push(job);
        }
        jobs
    }
}
