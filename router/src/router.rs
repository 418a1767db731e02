//! The router of one process: starts the actors, takes links, stops.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use throng_store::{ConvId, DirtyWindow, Epoch, OwnershipError, PartitionId, Store, StoreError};
use throng_wire::id;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::actor::Mailboxes;
use crate::actor::home::HomeActor;
use crate::actor::owner::{OwnerActor, OwnerMessage};
use crate::clock::Clock;
use crate::limits::{self, Limits};
use crate::link::queue::Links;
use crate::link::serve::{LinkError, Shared, serve};
use crate::metrics::{Metric, Stats};
use crate::owner::{Adopt, Settings};
use crate::partition::PARTITIONS;

/// How a router works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Owner actors, and as many home actors. One for each thread of the runtime is right.
    pub workers: usize,
    /// What the operator may change.
    pub limits: Limits,
    /// Rows of earlier owners: as they are for a store without replicas.
    pub adopt: Adopt,
    /// The clock of the system. It may be wrong, and be set back.
    pub wall: fn() -> SystemTime,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            workers: (cores / 2).max(1),
            limits: Limits::default(),
            adopt: Adopt::AsIs,
            wall: SystemTime::now,
        }
    }
}

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store did not give what a router begins with.
    #[error("the router cannot start: {0}")]
    Store(#[from] StoreError),
    /// The store did not give the router its partitions.
    #[error("the router cannot start: {0}")]
    Ownership(#[from] OwnershipError),
}

/// A router at work. Dropping it leaves its tasks to the runtime; [`Router::shutdown`] ends them.
#[derive(Debug)]
pub struct Router {
    runtime: Handle,
    shared: Arc<Shared>,
    stats: Stats,
    last_link: AtomicU32,
    stop: watch::Sender<bool>,
}

impl Router {
    /// Takes all partitions of `store`, does the after-work of an earlier process that ended
    /// before it did, and begins to work on the present runtime.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn start<S: Store>(config: Config, store: S) -> Result<Self, StartError> {
        let owned = take_all(&store).await?;
        let workers = config.workers.max(1);
        let (owners, owner_mail) = mailboxes(workers);
        let (homes, home_mail) = mailboxes(workers);
        let links = Arc::new(Links::default());
        let clock = Clock::new(config.wall, store.moment().await?);
        let mut stats = Stats::default();
        for (worker, mailbox) in owner_mail.into_iter().enumerate() {
            let of_worker = |(partition, _): &&(PartitionId, Epoch)| {
                usize::from(*partition) % workers == worker
            };
            let mut limits = config.limits.clone();
            limits.cache_bytes /= workers;
            let actor = OwnerActor {
                store: store.clone(),
                clock: clock.clone(),
                settings: Settings { limits, adopt: config.adopt },
                owned: owned.iter().filter(of_worker).copied().collect(),
                mailbox,
                homes: homes.clone(),
                links: Arc::clone(&links),
                stats: Arc::default(),
            };
            stats.owners.push(Arc::clone(&actor.stats));
            tokio::spawn(actor.run());
        }
        for mailbox in home_mail {
            let actor = HomeActor {
                store: store.clone(),
                owners: owners.clone(),
                clock: clock.clone(),
                limits: config.limits.clone(),
                mailbox,
                links: Arc::clone(&links),
                stats: Arc::default(),
            };
            stats.homes.push(Arc::clone(&actor.stats));
            tokio::spawn(actor.run());
        }
        let (log_id, limits) = (store.log_id(), config.limits);
        let incarnation = incarnation();
        let stop = watch::Sender::new(false);
        tokio::spawn(record_moments(store.clone(), clock.clone(), stop.subscribe()));
        let shared = Shared { owners, homes, links, clock, limits, log_id, incarnation };
        stats.recoveries_failed = recover(&store, &shared.owners).await?;
        Ok(Self {
            runtime: Handle::current(),
            shared: Arc::new(shared),
            stats,
            last_link: AtomicU32::new(0),
            stop,
        })
    }

    /// A new link within this process. The other end speaks as an edge. May be called from any
    /// thread.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn connect(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let entered = self.runtime.enter();
        let stream = tokio::net::UnixStream::from_std(ours)?;
        self.serve_link(stream);
        drop(entered);
        Ok(theirs.into())
    }

    /// Serves a link over any stream, until it ends.
    pub fn serve_link(&self, stream: impl AsyncRead + AsyncWrite + Send + 'static) {
        // 0 stands for questions from within the router.
        let number = self.last_link.fetch_add(1, Relaxed).wrapping_add(1).max(1);
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.subscribe());
        self.runtime.spawn(async move {
            match serve(stream, number, shared, stop).await {
                Ok(()) => debug!(link = number, "link closed"),
                Err(LinkError::Io(error)) => info!(link = number, %error, "link lost"),
                Err(end @ (LinkError::Stopping | LinkError::Bye(_))) => {
                    info!(link = number, reason = %end, "link closed");
                }
                Err(error) => warn!(link = number, %error, "link ended"),
            }
        });
    }

    /// What is counted, as of the last tenth of a second.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let waiting =
            self.shared.owners.all().map(|mailbox| mailbox.max_capacity() - mailbox.capacity());
        self.stats.metrics(self.shared.links.len(), waiting.sum())
    }

    /// Answers everything that is under way, closes the dirty windows, and ends all links.
    pub async fn shutdown(&self) {
        for owner in self.shared.owners.all() {
            let (done, ended) = oneshot::channel();
            if owner.send(OwnerMessage::Stop { done }).await.is_ok() {
                // An error means that it has ended without a word, which is an end, too.
                let _ = ended.await;
            }
        }
        for home in self.shared.homes.all() {
            let (done, ended) = oneshot::channel();
            if home.send(crate::actor::home::HomeMessage::Stop { done }).await.is_ok() {
                let _ = ended.await;
            }
        }
        // Each link holds a receiver until it has written what waited and ended, and whoever
        // records moments until the last one is recorded.
        self.stop.send_replace(true);
        let links_end = tokio::time::timeout(STOP, self.stop.closed());
        if links_end.await.is_err() {
            warn!("an edge does not read what it is answered, or the store does not answer");
        }
    }
}

const STOP: Duration = Duration::from_millis(limits::STOP_MS);

type Mail<M> = (Mailboxes<M>, Vec<mpsc::Receiver<M>>);

fn mailboxes<M>(workers: usize) -> Mail<M> {
    let (senders, receivers) = (0..workers).map(|_| mpsc::channel(limits::MAILBOX_BATCHES)).unzip();
    (Mailboxes::new(senders), receivers)
}

/// Lets the store know now and then, and at the end, how far moments have come. Until then a
/// restart may begin with one that is so much lower; who resumes looks further back than that.
async fn record_moments<S: Store>(store: S, clock: Clock, mut stop: watch::Receiver<bool>) {
    let mut stopped = false;
    while !stopped {
        let pause = tokio::time::sleep(Duration::from_millis(limits::MOMENT_RECORD_MS));
        tokio::select! {
            () = pause => {}
            // The router is gone, or stops.
            _ = stop.changed() => stopped = true,
        }
        if let Err(error) = store.record_moment(clock.now().moment_ms).await {
            warn!(%error, "how far time has come is not recorded");
        }
    }
}

/// Random, of this process.
fn incarnation() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

async fn take_all<S: Store>(store: &S) -> Result<Vec<(PartitionId, Epoch)>, OwnershipError> {
    let mut owned = Vec::with_capacity(PARTITIONS.into());
    for partition in 0..PARTITIONS {
        owned.push((partition, store.take(partition).await?));
    }
    Ok(owned)
}

/// Does the after-work again that an earlier process may not have done. Says for how many
/// conversations it could not be done: their windows stay open, and the next start tries again.
async fn recover<S: Store>(
    store: &S,
    owners: &Mailboxes<OwnerMessage>,
) -> Result<usize, StoreError> {
    let mut after = None;
    let mut windows = BTreeSet::new();
    let mut failed = Vec::new();
    let mut count = 0;
    let mut under_way = JoinSet::new();
    loop {
        let open = store.open_windows_all(after, limits::SCAN_PAGE_ROWS).await?;
        let last = open.len() < limits::SCAN_PAGE_ROWS;
        if after.is_none() && !open.is_empty() {
            info!("bringing lists up to date after an unclean stop");
        }
        after = open.last().copied();
        count += open.len();
        for (window, conv) in open {
            windows.insert(window);
            if under_way.len() >= limits::RECOVERIES {
                failed.extend(under_way.join_next().await.and_then(failed_recovery));
            }
            under_way.spawn(recover_one(owners.clone(), window, conv));
        }
        if last {
            break;
        }
    }
    while let Some(recovered) = under_way.join_next().await {
        failed.extend(failed_recovery(recovered));
    }
    for (window, _) in &failed {
        windows.remove(window);
    }
    for window in windows {
        store.close_window(window).await?;
    }
    tell_recovery(count, &failed);
    Ok(failed.len())
}

fn tell_recovery(count: usize, failed: &[(DirtyWindow, ConvId)]) {
    if let Some((_, conv)) = failed.first() {
        let (failed, first) = (failed.len(), id::text(&conv.0));
        error!(
            conversations = failed,
            first,
            "lists are not up to date for some conversations, and are tried again at every start: \
             see above why they cannot be read, check the disk, restore a backup if data is lost"
        );
    }
    if count > 0 {
        info!(conversations = count - failed.len(), "lists are up to date");
    }
}

type Recovered = (DirtyWindow, ConvId, bool);

fn failed_recovery(recovered: Result<Recovered, JoinError>) -> Option<(DirtyWindow, ConvId)> {
    let (window, conv, done) = recovered.ok()?;
    (!done).then_some((window, conv))
}

async fn recover_one(
    owners: Mailboxes<OwnerMessage>,
    window: DirtyWindow,
    conv: ConvId,
) -> Recovered {
    let (done, answer) = oneshot::channel();
    let owner = owners.get(owners.of_conv(conv));
    let sent = owner.send(OwnerMessage::Recover { conv, done }).await.is_ok();
    (window, conv, sent && answer.await.unwrap_or(false))
}
