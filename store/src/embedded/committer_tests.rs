//! The committer over an engine that fails or waits when told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use fjall::Slice;
use tokio::sync::{Semaphore, oneshot};

use super::committer::{Channel, Committer};
use super::config::Durability;
use super::engine::{Engine, EngineError, Persist};
use super::failure::Failure;
use super::keys::{self, Table};
use super::meta::Run;
use super::queue::{Job, JobKind, Queue, QueuedAppend, Work};
use super::stats::Counters;
use crate::{
    Append, AppendOutcome, ConvId, Outcomes, Projection, Row, StoreError, Tag, UserId, limits,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the engine was asked to do. The test's answer lets it succeed or fail.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Commit(Persist, usize),
    Sync,
}

/// Table and key.
type Key = (u8, Vec<u8>);

/// Keeps what it is given in memory, and asks the test before each commit and sync.
struct Scripted {
    committed: BTreeMap<Key, Vec<u8>>,
    batch: Vec<(Key, Option<Vec<u8>>)>,
    calls: Sender<Call>,
    answers: Receiver<Result<(), EngineError>>,
}

impl Scripted {
    fn ask(&self, call: Call) -> Result<(), EngineError> {
        self.calls.send(call).expect("the test waits");
        self.answers.recv().expect("the test answers")
    }
}

impl Engine for Scripted {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, EngineError> {
        let value = self.committed.get(&(table as u8, key.to_vec()));
        Ok(value.map(|value| Slice::from(value.as_slice())))
    }

    fn keys(&self, table: Table, prefix: &[u8]) -> Result<Vec<Slice>, EngineError> {
        let keys =
            self.committed.keys().filter(|(of, key)| *of == table as u8 && key.starts_with(prefix));
        Ok(keys.map(|(_, key)| Slice::from(key.as_slice())).collect())
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.push(((table as u8, key.to_vec()), Some(value.to_vec())));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.push(((table as u8, key.to_vec()), None));
    }

    fn commit(&mut self, persist: Persist) -> Result<(), EngineError> {
        self.ask(Call::Commit(persist, self.batch.len()))?;
        for (key, value) in self.batch.drain(..) {
            match value {
                Some(value) => drop(self.committed.insert(key, value)),
                None => drop(self.committed.remove(&key)),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        self.ask(Call::Sync)
    }
}

/// A committer in a thread, and the engine's strings in the test's hands.
struct Stage {
    channel: Channel,
    calls: Receiver<Call>,
    answers: Sender<Result<(), EngineError>>,
    thread: JoinHandle<()>,
}

impl Stage {
    fn new(durability: Durability) -> Self {
        Self::over(durability, BTreeMap::new())
    }

    fn over(durability: Durability, committed: BTreeMap<Key, Vec<u8>>) -> Self {
        let (calls_in, calls) = mpsc::channel();
        let (answers, answers_out) = mpsc::channel();
        let channel = Channel {
            queue: Arc::new(Queue::new(4, 1_000_000)),
            failure: Arc::new(Failure::new(Path::new("/data"))),
            counters: Arc::new(Counters::default()),
        };
        let engine =
            Scripted { committed, batch: Vec::new(), calls: calls_in, answers: answers_out };
        let run = Run { epoch: 1, synced: true, clean: false };
        let committer = Committer::new(engine, channel.clone(), durability, run);
        let thread = thread::spawn(|| committer.run());
        Self { channel, calls, answers, thread }
    }

    fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }

    fn answer(&self, result: Result<(), &str>) {
        self.answers.send(result.map_err(|reason| EngineError::Other(reason.into()))).unwrap();
    }

    fn push(&self, tag: Tag, outcomes: &Outcomes) -> Result<(), Append> {
        let outcomes = outcomes.clone();
        self.channel.queue.push_append(QueuedAppend { append: append(tag), tag, outcomes })
    }

    fn project(&self, delivered_seq: u64) -> oneshot::Receiver<Result<(), StoreError>> {
        self.project_all(vec![mark(1, delivered_seq)], 1)
    }

    /// A job that holds room for `cells`.
    fn project_all(
        &self,
        projections: Vec<Projection>,
        cells: usize,
    ) -> oneshot::Receiver<Result<(), StoreError>> {
        let (job, waiting) = job(projections, cells);
        self.channel.queue.push_job(job);
        waiting
    }

    /// Closes, grants the last commit, and waits for the end.
    fn close(self) {
        self.channel.queue.close();
        assert_eq!(self.call(), Call::Commit(Persist::Synced, 1));
        self.answer(Ok(()));
        self.thread.join().unwrap();
    }
}

/// One cell.
fn mark(user: u8, delivered_seq: u64) -> Projection {
    let (user, conv) = (UserId([user; 16]), ConvId([1; 16]));
    Projection::Mark { user, conv, delivered_seq, read_seq: 0, read_n: 0 }
}

fn job(
    projections: Vec<Projection>,
    cells: usize,
) -> (Job, oneshot::Receiver<Result<(), StoreError>>) {
    let (done, waiting) = oneshot::channel();
    let room = Arc::new(Semaphore::new(cells)).try_acquire_many_owned(cells as u32).unwrap();
    (Job { kind: JobKind::Project(projections), done, room }, waiting)
}

fn append(seq: u64) -> Append {
    let row = Row {
        seq,
        epoch: 1,
        acked: 0,
        base: 1,
        n: 0,
        created_at_ms: 0,
        sender: UserId([1; 16]),
        client_msg_id: [0; 16],
        digest: [0; 8],
        kind: 1,
        flags: 0,
        ref_seq: 0,
        body: Bytes::from_static(b"hello"),
    };
    Append { conv: ConvId([1; 16]), epoch: 1, rows: vec![row], dirty: None }
}

type Batches = Arc<Mutex<Vec<Vec<(Tag, AppendOutcome)>>>>;

/// A queue that keeps its calls apart.
fn outcomes() -> (Outcomes, Batches) {
    let batches = Batches::default();
    let kept = Arc::clone(&batches);
    (Outcomes::new(move |batch| kept.lock().unwrap().push(batch)), batches)
}

fn taken(batches: &Batches) -> Vec<Vec<(Tag, AppendOutcome)>> {
    std::mem::take(&mut *batches.lock().unwrap())
}

#[test]
fn no_outcome_comes_before_the_sync_and_what_waits_meanwhile_is_one_commit() {
    let stage = Stage::new(Durability::Sync);
    let (first, first_batches) = outcomes();
    let (second, second_batches) = outcomes();
    stage.push(1, &first).unwrap();
    assert_eq!(stage.call(), Call::Commit(Persist::Synced, 1));
    for (tag, queue) in [(2, &first), (3, &second), (4, &first)] {
        stage.push(tag, queue).unwrap();
    }
    assert_eq!(taken(&first_batches), Vec::<Vec<_>>::new());
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Synced, 3));
    assert_eq!(taken(&first_batches), [vec![(1, AppendOutcome::Ok)]]);
    stage.answer(Ok(()));
    let counters = Arc::clone(&stage.channel.counters);
    stage.close();
    let both = vec![(2, AppendOutcome::Ok), (4, AppendOutcome::Ok)];
    assert_eq!(taken(&first_batches), [both]);
    assert_eq!(taken(&second_batches), [vec![(3, AppendOutcome::Ok)]]);
    let stats = counters.read();
    assert_eq!((stats.commit_appends.count(), stats.commit_appends.sum), (2, 4));
}

#[test]
fn a_failed_commit_answers_unknown_and_ends_everything() {
    let stage = Stage::new(Durability::Sync);
    let (queue, batches) = outcomes();
    stage.push(1, &queue).unwrap();
    stage.call();
    stage.push(2, &queue).unwrap();
    let mut projected = stage.project(1);
    stage.answer(Err("the disk is on fire"));
    stage.thread.join().unwrap();
    let unknown = |tag| vec![(tag, AppendOutcome::Unknown)];
    assert_eq!(taken(&batches), [unknown(1), unknown(2)]);
    assert!(matches!(projected.try_recv(), Ok(Err(StoreError::Fatal(_)))));
    assert!(matches!(stage.channel.failure.get(), Some(StoreError::Fatal(reason))
        if reason.contains("the disk is on fire")));
    let refused = stage.channel.queue.push_append(QueuedAppend {
        append: append(3),
        tag: 3,
        outcomes: queue,
    });
    assert_eq!(refused.unwrap_err().rows[0].seq, 3);
}

#[test]
fn appends_behind_a_failed_projection_are_unknown_too() {
    let stage = Stage::new(Durability::Sync);
    let (queue, batches) = outcomes();
    stage.push(1, &queue).unwrap();
    stage.call();
    let mut projected = stage.project(1);
    stage.push(2, &queue).unwrap();
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Readable, 1));
    stage.answer(Err("no"));
    stage.thread.join().unwrap();
    assert_eq!(taken(&batches), [[(1, AppendOutcome::Ok)], [(2, AppendOutcome::Unknown)]]);
    assert!(projected.try_recv().is_err());
}

#[test]
fn projections_are_readable_before_the_sync_of_appends_behind_them() {
    let stage = Stage::new(Durability::Sync);
    let (queue, batches) = outcomes();
    stage.push(1, &queue).unwrap();
    stage.call();
    let mut projected = stage.project(1);
    stage.push(2, &queue).unwrap();
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Readable, 1));
    assert!(projected.try_recv().is_err());
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Synced, 1));
    assert!(matches!(projected.try_recv(), Ok(Ok(()))));
    stage.answer(Ok(()));
    stage.close();
    assert_eq!(taken(&batches).concat().len(), 2);
}

#[test]
fn projections_alone_are_written_and_old_ones_write_nothing() {
    let stage = Stage::new(Durability::Sync);
    for (seq, cells) in [(5, 1), (5, 0), (4, 0), (6, 1)] {
        let projected = stage.project(seq);
        assert_eq!(stage.call(), Call::Commit(Persist::Written, cells));
        stage.answer(Ok(()));
        assert!(matches!(projected.blocking_recv(), Ok(Ok(()))));
    }
    stage.close();
}

#[test]
fn a_corrupt_cell_fails_its_job_and_nothing_else() {
    let corrupt = keys::user_conv(UserId([1; 16]), ConvId([1; 16]), keys::MARK);
    let committed = [((Table::UserConvs as u8, corrupt.to_vec()), b"no cell".to_vec())];
    let stage = Stage::over(Durability::Sync, committed.into());
    let (queue, batches) = outcomes();
    stage.push(1, &queue).unwrap();
    stage.call();
    let failed = stage.project_all(vec![mark(2, 5), mark(1, 5), mark(3, 5)], 3);
    let done = stage.project_all(vec![mark(4, 5)], 1);
    stage.push(2, &queue).unwrap();
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Readable, 3));
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Synced, 1));
    stage.answer(Ok(()));
    assert!(matches!(failed.blocking_recv(), Ok(Err(StoreError::Corrupt(_)))));
    assert!(matches!(done.blocking_recv(), Ok(Ok(()))));
    assert!(stage.channel.failure.get().is_none());
    stage.close();
    assert_eq!(taken(&batches).concat(), [(1, AppendOutcome::Ok), (2, AppendOutcome::Ok)]);
}

#[test]
fn an_interval_answers_at_once_and_syncs_later_and_once() {
    let stage = Stage::new(Durability::Interval(Duration::from_millis(20)));
    let (queue, batches) = outcomes();
    stage.push(1, &queue).unwrap();
    assert_eq!(stage.call(), Call::Commit(Persist::Written, 1));
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Sync);
    assert_eq!(taken(&batches), [[(1, AppendOutcome::Ok)]]);
    stage.answer(Ok(()));
    let nothing = stage.calls.recv_timeout(Duration::from_millis(60));
    assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
    stage.close();
}

#[test]
fn a_failed_interval_sync_is_the_end() {
    let stage = Stage::new(Durability::Interval(Duration::from_millis(1)));
    let (queue, _batches) = outcomes();
    stage.push(1, &queue).unwrap();
    stage.call();
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Sync);
    stage.answer(Err("no"));
    stage.thread.join().unwrap();
    assert!(stage.channel.failure.get().is_some());
}

#[test]
fn os_durability_never_syncs_before_the_close() {
    let stage = Stage::new(Durability::Os);
    let (queue, _batches) = outcomes();
    stage.push(1, &queue).unwrap();
    assert_eq!(stage.call(), Call::Commit(Persist::Written, 1));
    stage.answer(Ok(()));
    stage.close();
}

#[test]
fn the_queue_takes_its_limit_and_not_one_more() {
    let stage = Stage::new(Durability::Sync);
    let (queue, batches) = outcomes();
    stage.push(0, &queue).unwrap();
    stage.call();
    for tag in 1..=4 {
        stage.push(tag, &queue).unwrap();
    }
    assert_eq!(stage.push(5, &queue).unwrap_err().rows[0].seq, 5);
    stage.answer(Ok(()));
    assert_eq!(stage.call(), Call::Commit(Persist::Synced, 4));
    stage.answer(Ok(()));
    stage.close();
    assert_eq!(taken(&batches).concat().len(), 5);
}

#[test]
fn the_byte_bound_takes_what_fits_and_not_one_more() {
    let row_bytes = size_of::<Row>() + b"hello".len();
    let (outcomes, _batches) = outcomes();
    let push = |queue: &Queue| {
        let outcomes = outcomes.clone();
        queue.push_append(QueuedAppend { append: append(1), tag: 1, outcomes }).is_ok()
    };
    let exact = Queue::new(9, 2 * row_bytes);
    assert_eq!([push(&exact), push(&exact), push(&exact)], [true, true, false]);
    let short = Queue::new(9, 2 * row_bytes - 1);
    assert_eq!([push(&short), push(&short)], [true, false]);
    let Work { appends, .. } = short.take(None);
    assert_eq!(appends.len(), 1);
    assert!(push(&short));
}

#[test]
fn one_commit_takes_its_limit_of_appends_and_leaves_the_rest() {
    let queue = Queue::new(usize::MAX, usize::MAX);
    let (outcomes, _batches) = outcomes();
    for tag in 0..=limits::COMMIT_APPENDS as u64 {
        let outcomes = outcomes.clone();
        queue.push_append(QueuedAppend { append: append(tag), tag, outcomes }).unwrap();
    }
    assert_eq!(queue.take(None).appends.len(), limits::COMMIT_APPENDS);
    assert_eq!(queue.take(None).appends.len(), 1);
}

#[test]
fn one_commit_takes_jobs_up_to_its_limit_of_cells_and_leaves_the_rest() {
    let queue = Queue::new(usize::MAX, usize::MAX);
    let push = |cells| queue.push_job(job(Vec::new(), cells).0);
    [limits::COMMIT_CELLS - 1, 1, 1].into_iter().for_each(push);
    assert_eq!(queue.take(None).jobs.len(), 2);
    assert_eq!(queue.take(None).jobs.len(), 1);
    [limits::COMMIT_CELLS - 2, 1, 1, 1].into_iter().for_each(push);
    assert_eq!([queue.take(None).jobs.len(), queue.take(None).jobs.len()], [3, 1]);
}

#[test]
fn a_closed_queue_ends_after_the_last_job() {
    let queue = Queue::new(usize::MAX, usize::MAX);
    for _ in 0..2 {
        queue.push_job(job(Vec::new(), limits::COMMIT_CELLS).0);
    }
    queue.close();
    let Work { jobs, closed, .. } = queue.take(None);
    assert_eq!((jobs.len(), closed), (1, false));
    let Work { jobs, closed, .. } = queue.take(None);
    assert_eq!((jobs.len(), closed), (1, true));
}
