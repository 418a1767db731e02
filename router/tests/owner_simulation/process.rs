//! One router's process: the real owner code, the store's handle, and what is under way between.
//!
//! It does what the owner's actor does, without a runtime: [`Process::turn`] polls what waits for
//! the store, gives the owner what became of it, and does what the owner says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use throng_router::Limits;
use throng_router::owner::{
    Adopt, Delivery, Key, Loaded, Now, Output, Owner, Refusal, Request, Settings, Term,
};
use throng_router::partition::partition_of;
use throng_store::sim::{Sim, SimStore};
use throng_store::{
    AppendOutcome, ConvId, DirtyWindow, Epoch, FenceOutcome, Outcomes, Ownership, OwnershipError,
    PageLimit, PartitionId, RouterId, Store, StoreError, Tag, UserId, Watermarks,
};

/// What it tells the world outside.
pub(crate) enum Said {
    Answer {
        key: Key,
        body: bytes::Bytes,
        refusal: Option<Refusal>,
    },
    Delivered(Delivery),
    /// It owns the partitions from now on, as far as it knows.
    Entered,
}

/// What a new owner begins with.
struct Entry {
    store: SimStore,
    taken: Vec<(PartitionId, Epoch)>,
    open: Vec<(DirtyWindow, ConvId)>,
}

enum Became {
    Entered(Option<Entry>),
    Member(ConvId, Term, UserId, Option<bool>),
    Loaded(ConvId, Term, Option<Loaded>),
    Rows(ConvId, Term, u64, Option<Vec<throng_store::Row>>),
    Counted(ConvId, Term, UserId, Option<usize>),
    Watermarks(ConvId, Term, Option<Vec<(UserId, Watermarks)>>),
    /// Of the entering with this number.
    Fenced(u32, FenceOutcome),
    Projected(ConvId, Term),
    Closed,
}

type Task = Pin<Box<dyn Future<Output = Became>>>;

pub(crate) struct Process {
    sim: Sim,
    router: RouterId,
    store: SimStore,
    owner: Owner,
    tasks: Vec<Task>,
    outcomes: Arc<Mutex<Vec<(Tag, AppendOutcome)>>>,
    arrived: VecDeque<(ConvId, Request)>,
    entering: bool,
    entries: u32,
    owned: BTreeSet<PartitionId>,
    recovering: BTreeMap<DirtyWindow, BTreeSet<ConvId>>,
    next_tick_ms: u64,
}

const TICK_MS: u64 = 100;

impl Process {
    pub(crate) fn new(sim: &Sim, router: u32) -> Self {
        let settings = Settings { limits: Limits::default(), adopt: Adopt::Rewrite };
        Self {
            sim: sim.clone(),
            router: RouterId(router),
            store: sim.handle(),
            owner: Owner::new(settings),
            tasks: Vec::new(),
            outcomes: Arc::default(),
            arrived: VecDeque::new(),
            entering: false,
            entries: 0,
            owned: BTreeSet::new(),
            recovering: BTreeMap::new(),
            next_tick_ms: 0,
        }
    }

    /// Nothing is owned here, as far as it knows, and nothing is being taken.
    pub(crate) fn is_free(&self) -> bool {
        self.owned.is_empty() && !self.entering
    }

    /// It is taking the partitions.
    pub(crate) fn is_entering(&self) -> bool {
        self.entering
    }

    /// Whether it owns everything, and what earlier owners left is done.
    pub(crate) fn is_settled(&self, partitions: usize) -> bool {
        self.owned.len() == partitions
            && self.recovering.is_empty()
            && self.tasks.is_empty()
            && self.owner.is_idle()
    }

    /// Takes the partitions over from whoever has them.
    pub(crate) fn enter(&mut self, partitions: Vec<PartitionId>) {
        self.entering = true;
        let (handle, router) = (self.sim.handle(), self.router);
        self.tasks.push(Box::pin(async move {
            Became::Entered(enter(handle, router, partitions).await.ok())
        }));
    }

    /// A request comes, and is looked at in the next turn.
    pub(crate) fn ask(&mut self, conv: ConvId, request: Request) {
        self.arrived.push_back((conv, request));
    }

    /// Does everything that can be done now.
    pub(crate) fn turn(&mut self, now: Now, said: &mut Vec<Said>) {
        let mut out = Vec::new();
        if now.mono_ms >= self.next_tick_ms {
            self.next_tick_ms = now.mono_ms + TICK_MS;
            self.owner.tick(now, &mut out);
            for conv in self.recovering.values().flatten().copied().collect::<BTreeSet<_>>() {
                self.owner.recover(now, conv, &mut out);
            }
        }
        for (conv, request) in std::mem::take(&mut self.arrived) {
            self.owner.request(now, conv, request, &mut out);
        }
        loop {
            let told = std::mem::take(&mut *self.outcomes.lock().unwrap());
            let results = self.poll();
            for (tag, outcome) in told {
                self.owner.appended(now, tag, outcome, &mut out);
            }
            for became in results {
                self.became(now, became, &mut out, said);
            }
            if self.owner.wants_fence() {
                self.owner.fence_begins();
                let (store, entry) = (self.store.clone(), self.entries);
                let fence = async move { Became::Fenced(entry, store.fence().await) };
                self.tasks.push(Box::pin(fence));
                // A fence read begins when it is asked, and not in a later turn.
                continue;
            }
            self.owner.flush(now, &mut out);
            if out.is_empty() {
                return;
            }
            for output in std::mem::take(&mut out) {
                self.output(now, output, &mut out, said);
            }
        }
    }

    fn poll(&mut self) -> Vec<Became> {
        let mut results = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        self.tasks.retain_mut(|task| match task.as_mut().poll(&mut context) {
            Poll::Ready(became) => {
                results.push(became);
                false
            }
            Poll::Pending => true,
        });
        results
    }

    fn became(&mut self, now: Now, became: Became, out: &mut Vec<Output>, said: &mut Vec<Said>) {
        match became {
            Became::Entered(entry) => self.entered(now, entry, out, said),
            Became::Member(conv, term, user, member) => {
                self.owner.member(now, conv, term, user, member, out);
            }
            Became::Loaded(conv, term, loaded) => self.owner.loaded(now, conv, term, loaded, out),
            Became::Rows(conv, term, read, rows) => {
                self.owner.rows(now, conv, term, read, rows, out);
            }
            Became::Counted(conv, term, user, count) => {
                self.owner.counted(now, conv, term, user, count, out);
            }
            Became::Watermarks(conv, term, found) => {
                self.owner.watermarks(now, conv, term, found, out);
            }
            // What an earlier incarnation's row says is nothing about this one.
            Became::Fenced(entry, _) if entry != self.entries => {
                self.owner.fenced(now, FenceOutcome::Unknown, out);
            }
            Became::Fenced(_, outcome) => self.owner.fenced(now, outcome, out),
            Became::Projected(conv, term) => self.owner.projected(now, conv, term, out),
            Became::Closed => {}
        }
    }

    fn entered(
        &mut self,
        now: Now,
        entry: Option<Entry>,
        out: &mut Vec<Output>,
        said: &mut Vec<Said>,
    ) {
        self.entering = false;
        let Some(Entry { store, taken, open }) = entry else { return };
        self.store = store;
        self.entries += 1;
        for (partition, epoch) in taken {
            self.owner.take(partition, epoch);
            self.owned.insert(partition);
        }
        for (window, conv) in open {
            self.recovering.entry(window).or_default().insert(conv);
        }
        for conv in self.recovering.values().flatten().copied().collect::<BTreeSet<_>>() {
            self.owner.recover(now, conv, out);
        }
        said.push(Said::Entered);
    }

    fn output(&mut self, now: Now, output: Output, out: &mut Vec<Output>, said: &mut Vec<Said>) {
        let store = self.store.clone();
        match output {
            Output::Member { conv, term, user } => self.begin(async move {
                let row = store.member(conv, user).await.ok();
                Became::Member(conv, term, user, row.map(|row| row.is_some()))
            }),
            Output::Load { conv, term } => {
                self.begin(
                    async move { Became::Loaded(conv, term, load(&store, conv).await.ok()) },
                );
            }
            Output::Read { conv, term, read, range, limit } => self.begin(async move {
                Became::Rows(conv, term, read, store.range(conv, range, limit).await.ok())
            }),
            Output::Count { conv, term, user } => {
                self.begin(async move { Became::Counted(conv, term, user, Some(0)) });
            }
            Output::Watermarks { conv, term, users } => self.begin(async move {
                let found = store.watermarks(conv, users.clone()).await.ok();
                let found = found.map(|found| users.into_iter().zip(found).collect());
                Became::Watermarks(conv, term, found)
            }),
            Output::Append { append, tag } => {
                let told = Arc::clone(&self.outcomes);
                let outcomes = Outcomes::new(move |outcomes| told.lock().unwrap().extend(outcomes));
                if store.append(append, tag, &outcomes).is_err() {
                    self.owner.append_busy(now, tag, out);
                }
            }
            Output::Project { conv, term, projections } => self.begin(async move {
                while store.project(projections.clone()).await.is_err() {}
                Became::Projected(conv, term)
            }),
            Output::CloseWindow(window) => self.close(window),
            Output::Recovered { conv, done: true } => self.recovered(conv),
            // It is tried again at the next tick.
            Output::Recovered { done: false, .. } | Output::Head { .. } => {}
            Output::Lost(partition) => {
                self.owned.remove(&partition);
                self.recovering.retain(|window, _| window.partition != partition);
            }
            Output::Answer { key, body, refusal } => said.push(Said::Answer { key, body, refusal }),
            Output::Deliver(delivery) => said.push(Said::Delivered(delivery)),
        }
    }

    fn begin(&mut self, work: impl Future<Output = Became> + 'static) {
        self.tasks.push(Box::pin(work));
    }

    fn close(&mut self, window: DirtyWindow) {
        let store = self.store.clone();
        self.begin(async move {
            // A window that stays open costs the next owner some work, and nothing else.
            let _ = store.close_window(window).await;
            Became::Closed
        });
    }

    fn recovered(&mut self, conv: ConvId) {
        for convs in self.recovering.values_mut() {
            convs.remove(&conv);
        }
        let done = self.recovering.extract_if(.., |_, convs| convs.is_empty());
        let done: Vec<_> = done.map(|(window, _)| window).collect();
        for window in done {
            self.close(window);
        }
    }
}

/// Registers anew, fences whoever has the partitions, takes them, and reads what is to be done.
async fn enter(
    handle: SimStore,
    router: RouterId,
    partitions: Vec<PartitionId>,
) -> Result<Entry, OwnershipError> {
    let store = handle.register(router, "").await?;
    let mut taken = Vec::new();
    let mut open = Vec::new();
    for partition in partitions {
        let epoch = match store.take(partition).await {
            Err(OwnershipError::Held(owner)) => {
                store.fence_off(owner).await?;
                store.take(partition).await?
            }
            taken => taken?,
        };
        taken.push((partition, epoch));
        open.extend(store.open_windows(partition).await?);
    }
    Ok(Entry { store, taken, open })
}

async fn load(store: &SimStore, conv: ConvId) -> Result<Loaded, StoreError> {
    let row = store.conv(conv).await?;
    let mut members = store.members(conv, None, 100).await?;
    members.retain(|member| member.left_seq == 0);
    let tail = store.tail(conv, throng_router::limits::TAIL).await?;
    Ok(Loaded { conv: row, members, tail })
}

/// Partitions of these conversations.
pub(crate) fn partitions_of(convs: &[ConvId]) -> Vec<PartitionId> {
    convs.iter().map(|conv| partition_of(&conv.0)).collect()
}

/// The newest rows of a conversation, by whoever may read.
pub(crate) async fn tail(store: SimStore, conv: ConvId) -> Vec<throng_store::Row> {
    loop {
        if let Ok(rows) = store.tail(conv, PageLimit::from(1_000)).await {
            return rows;
        }
    }
}
