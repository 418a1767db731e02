//! The embedded engine: one process, one directory, no other service.
//!
//! It owns a data directory (`directory`), an LSM engine in it (fjall; `tables`, `keys`) and one
//! thread that does all writing (`committer`). Reads run on the runtime's blocking threads, at most
//! `Config::reads` at a time, each on its own snapshot (`reads`).
//!
//! Order of calls: [`Embedded::open`]; take partitions and read [`crate::Store::open_windows_all`];
//! appends, projections and reads in any order from any thread; [`Embedded::close`]. Watch
//! [`Embedded::failed`] all along: after it, every call fails and the process must stop.
//!
//! The lock of the directory is the fence: while it is held nobody else can write, so that every
//! partition is owned from open to close under one epoch, which is higher than that of every run
//! before.
//!
//! What a crash leaves: every append that was answered `Ok` (see [`Durability`]), perhaps some that
//! were not answered, each append whole or not at all; projections up to some moment, whose missing
//! rest the dirty windows tell.

mod cells;
mod codec;
mod committer;
#[cfg(test)]
mod committer_tests;
mod config;
mod directory;
mod engine;
mod failure;
mod keys;
mod meta;
mod projector;
mod queue;
mod reads;
mod row;
mod stats;
mod tables;

pub use config::{Config, Durability, OpenError};
pub use stats::{BUCKETS, Histogram, Stats};

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    PartitionId, Projection, Range, Row, Store, StoreError, Tag, UserConvRow, UserId, limits,
};
use committer::Committer;
use directory::Directory;
use engine::Fjall;
use failure::Failure;
use meta::BeginError;
use projector::Projector;
use queue::{Job, JobKind, Queue, QueuedAppend};
use stats::Counters;
use tables::Tables;

/// A handle to the store of this process. The last one to be dropped closes it and waits for that.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    log_id: [u8; 16],
    epoch: Epoch,
    queue: Arc<Queue>,
    failure: Arc<Failure>,
    counters: Arc<Counters>,
    reads: Arc<Semaphore>,
    cells: Arc<Semaphore>,
    committer: Mutex<Option<JoinHandle<()>>>,
    tables: Tables,
    // Last: the lock goes after the engine's files are closed.
    _directory: Directory,
}

impl Embedded {
    /// Opens the store, or creates it in an empty or missing directory. Blocks for as long as the
    /// engine reads its journal: call it before the runtime has work to do.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let mut directory = Directory::open(&config.dir)?;
        let path = directory.database();
        let tables = Tables::open(&path, config.cache_bytes)
            .map_err(|error| open_error(&config.dir, error))?;
        let mut engine = Fjall::new(tables.clone());
        let (log_id, run) = meta::begin(&mut engine, config.durability, config.restored)
            .map_err(|error| begin_error(&config.dir, error))?;
        directory.finish_creation()?;

        let queue = Arc::new(Queue::new(config.queue_appends, config.queue_bytes));
        let failure = Arc::new(Failure::new());
        let counters = Arc::new(Counters::default());
        let committer = Committer {
            engine,
            queue: Arc::clone(&queue),
            failure: Arc::clone(&failure),
            counters: Arc::clone(&counters),
            durability: config.durability,
            run,
            sync_at: None,
            projector: Projector::default(),
            value: Vec::new(),
        };
        let thread = thread::Builder::new().name("store-commit".into());
        let thread = thread.spawn(move || committer.run()).map_err(|source| OpenError::Io {
            action: "start the writing thread for",
            path: config.dir.clone(),
            source,
        })?;
        let shared = Shared {
            log_id,
            epoch: run.epoch,
            queue,
            failure,
            counters,
            reads: Arc::new(Semaphore::new(config.reads)),
            cells: Arc::new(Semaphore::new(limits::QUEUE_CELLS)),
            committer: Mutex::new(Some(thread)),
            tables,
            _directory: directory,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The epoch of this run.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    /// Resolves when the store can write no more ([`StoreError::Fatal`]): the process must say why
    /// and stop with the exit code of an I/O error. A restart finds everything acknowledged.
    pub async fn failed(&self) -> StoreError {
        self.shared.failure.wait().await
    }

    /// The batch sizes and times of the committer since the store was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// Bytes of all files of the engine.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the operating system does not tell.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.shared.tables.database.disk_space().map_err(|error| tables::read_error(&error))
    }

    /// Takes no more writes, writes and syncs what is queued, and marks a clean stop. Outcomes of
    /// all appends are delivered before it returns. Reads work until the last handle is dropped,
    /// which also frees the directory.
    ///
    /// # Errors
    /// [`StoreError::Fatal`] if not everything could be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let stopped = tokio::task::spawn_blocking(move || shared.stop()).await;
        stopped.map_err(|error| StoreError::Fatal(error.to_string()))?;
        self.shared.failure.check()
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.failure.check()?;
        let permit = Arc::clone(&self.shared.reads).acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let shared = Arc::clone(&self.shared);
        // The permit goes along: a caller that gives up does not make room while the read runs.
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&shared.tables)
        });
        read.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Queues a job that counts as `cells` and waits until it is done.
    async fn job(&self, kind: JobKind, cells: usize) -> Result<(), StoreError> {
        self.shared.failure.check()?;
        let room = cells.clamp(1, limits::QUEUE_CELLS) as u32;
        let room = Arc::clone(&self.shared.cells).acquire_many_owned(room).await;
        let (done, waiting) = oneshot::channel();
        self.shared.queue.push_job(Job { kind, done, room: room.map_err(|_| closed())? });
        let dropped =
            |_: oneshot::error::RecvError| Err(self.shared.failure.get().unwrap_or_else(closed));
        waiting.await.unwrap_or_else(dropped)
    }
}

impl Shared {
    /// Ends the committer and waits for it. The committer itself may get here when it drops the
    /// last handle, which an outcome's receiver held: it ends by itself then.
    fn stop(&self) {
        self.queue.close();
        let thread = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread.filter(|it| it.thread().id() != thread::current().id()) else {
            return;
        };
        if thread.join().is_err() {
            self.failure.set("the writing thread panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("epoch", &self.shared.epoch).finish_non_exhaustive()
    }
}

impl Store for Embedded {
    fn log_id(&self) -> [u8; 16] {
        self.shared.log_id
    }

    async fn take(&self, _partition: PartitionId) -> Result<Epoch, StoreError> {
        self.shared.failure.check()?;
        Ok(self.shared.epoch)
    }

    async fn fence(&self) -> FenceOutcome {
        match self.shared.failure.get() {
            None => FenceOutcome::Held,
            Some(_) => FenceOutcome::Fenced,
        }
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        let queued = QueuedAppend { append, tag, outcomes: outcomes.clone() };
        self.shared.queue.push_append(queued).map_err(|append| {
            self.shared.counters.record_busy();
            Busy(append)
        })
    }

    async fn tail(&self, conv: ConvId, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::tail(tables, conv, limit)).await
    }

    async fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::range(tables, conv, range, limit)).await
    }

    async fn project(&self, projections: Vec<Projection>) -> Result<(), StoreError> {
        let cells = projections.iter().map(cells::count).sum();
        self.job(JobKind::Project(projections), cells).await
    }

    async fn conv(&self, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
        self.read(move |tables| reads::conv(tables, conv)).await
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.read(move |tables| reads::members(tables, conv, after, limit)).await
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Result<Vec<UserConvRow>, StoreError> {
        self.read(move |tables| reads::user_convs(tables, user, after, limit)).await
    }

    async fn user_conv(
        &self,
        user: UserId,
        conv: ConvId,
    ) -> Result<Option<UserConvRow>, StoreError> {
        self.read(move |tables| reads::user_conv(tables, user, conv)).await
    }

    async fn open_windows(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let epoch = self.shared.epoch;
        self.read(move |tables| reads::open_windows(tables, partition, epoch)).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let epoch = self.shared.epoch;
        self.read(move |tables| reads::open_windows_all(tables, epoch, after, limit)).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Result<(), StoreError> {
        self.job(JobKind::CloseWindow(window), 1).await
    }
}

fn closed() -> StoreError {
    StoreError::Fatal("the store is closed".into())
}

fn open_error(dir: &Path, error: fjall::Error) -> OpenError {
    use fjall::{Error, LsmError};
    match error {
        Error::Io(source) | Error::Storage(LsmError::Io(source)) => {
            OpenError::Io { action: "open the database in", path: dir.to_owned(), source }
        }
        Error::Locked => OpenError::Locked { dir: dir.to_owned(), pid: None },
        other => OpenError::Corrupt { dir: dir.to_owned(), detail: other.to_string() },
    }
}

fn begin_error(dir: &Path, error: BeginError) -> OpenError {
    let corrupt = |detail| OpenError::Corrupt { dir: dir.to_owned(), detail };
    match error {
        BeginError::Engine(error) => OpenError::Io {
            action: "begin a run in",
            path: dir.to_owned(),
            source: io::Error::other(error),
        },
        BeginError::Malformed(malformed) => corrupt(malformed.to_string()),
        BeginError::EpochsUsedUp => corrupt("its epochs are used up".into()),
        BeginError::Random(source) => {
            OpenError::Io { action: "draw random bytes for", path: dir.to_owned(), source }
        }
    }
}
