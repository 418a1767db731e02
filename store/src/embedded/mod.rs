//! The embedded engine: one process, one directory, no other service.
//!
//! It owns a data directory (`directory`), an LSM engine in it (fjall; `tables`, `keys`), one
//! thread that does all writing (`committer`) and one that notices when the engine fails by itself
//! (`watch`). Reads run on the runtime's blocking threads, at most `Config::reads` at a time, each
//! on its own snapshot (`reads`).
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

pub(crate) mod cells;
mod codec;
mod committer;
#[cfg(test)]
mod committer_tests;
mod config;
mod directory;
mod engine;
mod failure;
pub(crate) mod keys;
mod meta;
mod projector;
mod queue;
mod reads;
mod row;
mod stats;
mod store;
mod tables;
mod watch;

pub use config::{Config, Durability, OpenError};
pub use stats::{BUCKETS, Histogram, Stats};

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use crate::{Epoch, StoreError, limits};
use committer::{Channel, Committer};
use directory::Directory;
use engine::{EngineError, Fjall};
use failure::Failure;
use queue::{Job, JobKind, Queue};
use stats::Counters;
use tables::Tables;
use watch::Watch;

/// A handle to the store of this process. The last one to be dropped closes it and waits for that.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    log_id: [u8; 16],
    epoch: Epoch,
    channel: Channel,
    reads: Arc<Semaphore>,
    cells: Arc<Semaphore>,
    committer: Mutex<Option<JoinHandle<()>>>,
    // Before the tables, which it uses.
    _watch: Watch,
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
            .map_err(|error| OpenError::engine(&config.dir, error))?;
        let mut engine = Fjall::new(tables.clone());
        let (log_id, run) = meta::begin(&mut engine, config.durability, config.restored)
            .map_err(|error| OpenError::begin(&config.dir, error))?;
        directory.finish_creation()?;

        let channel = Channel {
            queue: Arc::new(Queue::new(config.queue_appends.max(1), config.queue_bytes)),
            failure: Arc::new(Failure::new(&config.dir)),
            counters: Arc::new(Counters::default()),
        };
        let committer = Committer::new(engine, channel.clone(), config.durability, run);
        let no_thread = |source| OpenError::Io {
            action: "start the writing threads for",
            path: config.dir.clone(),
            source,
        };
        let watch = Watch::start(tables.clone(), channel.clone()).map_err(no_thread)?;
        let thread = thread::Builder::new().name("store-commit".into());
        let thread = thread.spawn(move || committer.run()).map_err(no_thread)?;
        let shared = Shared {
            log_id,
            epoch: run.epoch,
            channel,
            reads: Arc::new(Semaphore::new(config.reads.max(1))),
            cells: Arc::new(Semaphore::new(limits::QUEUE_CELLS)),
            committer: Mutex::new(Some(thread)),
            _watch: watch,
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
        self.shared.channel.failure.wait().await
    }

    /// The batch sizes and times of the committer since the store was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.channel.counters.read()
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
        self.shared.channel.failure.check()
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.channel.failure.check()?;
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
        self.shared.channel.failure.check()?;
        let room = cells.clamp(1, limits::QUEUE_CELLS) as u32;
        let room = Arc::clone(&self.shared.cells).acquire_many_owned(room).await;
        let (done, waiting) = oneshot::channel();
        self.shared.channel.queue.push_job(Job { kind, done, room: room.map_err(|_| closed())? });
        let dropped = |_: oneshot::error::RecvError| {
            Err(self.shared.channel.failure.get().unwrap_or_else(closed))
        };
        waiting.await.unwrap_or_else(dropped)
    }
}

impl Shared {
    /// Ends the committer and waits for it, as does whoever calls this meanwhile; after a failure
    /// not for ever, as the engine may not let it go. The committer
    /// itself may get here when it drops the last handle, which an outcome's receiver held: nobody
    /// else is here then, and it ends by itself.
    fn stop(&self) {
        self.channel.queue.close();
        let mut committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = committer.take();
        let Some(thread) = thread.filter(|it| it.thread().id() != thread::current().id()) else {
            return;
        };
        if self.channel.failure.get().is_some() && !ends_within(limits::FAILED_STOP, &thread) {
            return;
        }
        if thread.join().is_err() {
            self.channel.failure.set(&EngineError::Other("the writing thread panicked".into()));
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

fn ends_within(patience: Duration, thread: &JoinHandle<()>) -> bool {
    let until = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished()
}

fn closed() -> StoreError {
    StoreError::Fatal("the store is closed".into())
}
