//! The owner actor.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use throng_store::{
    AppendOutcome, ConvId, DirtyWindow, FenceOutcome, Outcomes, PartitionId, Projection, Row,
    Store, Tag, UserId, Watermarks,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::error;

use super::Mailboxes;
use super::asking::{StoreEnded, close_windows, count, load, project, told};
use super::home::HomeMessage;
use crate::clock::Clock;
use crate::limits;
use crate::link::queue::{Links, Replies, Reply};
use crate::metrics::OwnerStats;
use crate::owner::{
    Asker, Connection, Delivery, Head, Key, Loaded, Named, Now, Op, Output, Owner, Refusal,
    Request, Settings, Term,
};

/// Where the head of a conversation is told.
pub(crate) type HeadAnswer = oneshot::Sender<Result<Head, Refusal>>;

/// What an owner actor is asked.
#[derive(Debug)]
pub(crate) enum OwnerMessage {
    /// Requests that one link read at once.
    Requests(Vec<(ConvId, Request)>),
    /// The head of a conversation, for a list.
    Head { conv: ConvId, user: UserId, event: bool, answer: HeadAnswer },
    /// Do the after-work of an earlier owner again.
    Recover { conv: ConvId, done: oneshot::Sender<bool> },
    /// Finish what is under way, then stop.
    Stop { done: oneshot::Sender<()> },
}

/// What became of something that the actor began. As many as there are things under way.
enum Became {
    Member(ConvId, Term, UserId, Option<bool>),
    Loaded(ConvId, Term, Option<Loaded>),
    Rows(ConvId, Term, u64, Option<Vec<Row>>),
    Counted(ConvId, Term, UserId, Option<usize>),
    Watermarks(ConvId, Term, Option<Vec<(UserId, Watermarks)>>),
    Appended(Vec<(Tag, AppendOutcome)>),
    Fenced(FenceOutcome),
    Projected(Vec<(ConvId, Term)>),
}

/// What an owner actor is made of.
pub(crate) struct OwnerActor<S> {
    pub(crate) store: S,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) owned: Vec<(PartitionId, throng_store::Epoch)>,
    pub(crate) mailbox: mpsc::Receiver<OwnerMessage>,
    pub(crate) homes: Mailboxes<HomeMessage>,
    pub(crate) links: Arc<Links>,
    pub(crate) stats: Arc<OwnerStats>,
}

/// The actor at work.
struct Work<S> {
    store: S,
    clock: Clock,
    owner: Owner,
    homes: Mailboxes<HomeMessage>,
    links: Arc<Links>,
    stats: Arc<OwnerStats>,
    became: mpsc::UnboundedSender<Became>,
    outcomes: Outcomes,
    replies: Replies,
    deliveries: Vec<Delivery>,
    projected: Vec<(ConvId, Term)>,
    projections: Vec<Projection>,
    closed: Vec<DirtyWindow>,
    heads: HashMap<u64, HeadAnswer>,
    last_head: u64,
    recoveries: HashMap<ConvId, Vec<oneshot::Sender<bool>>>,
    stop: Option<(oneshot::Sender<()>, Instant)>,
}

impl<S: Store> OwnerActor<S> {
    /// Works until it is told to stop, or nobody can tell it anything any more.
    pub(crate) async fn run(self) {
        let Self { store, clock, settings, owned, mut mailbox, homes, links, stats } = self;
        let mut owner = Owner::new(settings);
        for (partition, epoch) in owned {
            owner.take(partition, epoch);
        }
        // Not bounded by its type, but by what is under way: an append for each conversation, a
        // bounded number of reads of each, and those are bounded by the credits of links.
        let (became, mut results) = mpsc::unbounded_channel();
        let sender = became.clone();
        let outcomes = Outcomes::new(move |outcomes| {
            // Nobody listens after the actor has stopped.
            let _ = sender.send(Became::Appended(outcomes));
        });
        let mut work = Work {
            store,
            clock,
            owner,
            homes,
            links,
            stats,
            became,
            outcomes,
            replies: Replies::default(),
            deliveries: Vec::new(),
            projected: Vec::new(),
            projections: Vec::new(),
            closed: Vec::new(),
            heads: HashMap::new(),
            last_head: 0,
            recoveries: HashMap::new(),
            stop: None,
        };
        work.run(&mut mailbox, &mut results).await;
    }
}

impl<S: Store> Work<S> {
    async fn run(
        &mut self,
        mailbox: &mut mpsc::Receiver<OwnerMessage>,
        results: &mut mpsc::UnboundedReceiver<Became>,
    ) {
        let mut next_tick = Instant::now();
        let mut messages = Vec::new();
        let mut out = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(became) = results.recv() => self.became(became, &mut out),
                count = mailbox.recv_many(&mut messages, limits::TURN_MESSAGES) => {
                    if count == 0 {
                        return;
                    }
                }
                () = sleep_until(next_tick) => {}
            }
            // Not in the branch: under load that would never be its turn.
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + Duration::from_millis(limits::TICK_MS);
                self.tick(&mut out);
            }
            while messages.len() < limits::TURN_MESSAGES
                && let Ok(message) = mailbox.try_recv()
            {
                messages.push(message);
            }
            for message in messages.drain(..) {
                self.message(message, &mut out);
            }
            for _ in 0..limits::TURN_MESSAGES {
                let Ok(became) = results.try_recv() else { break };
                self.became(became, &mut out);
            }
            self.end_turn(&mut out).await;
            if self.stopped() {
                return;
            }
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn message(&mut self, message: OwnerMessage, out: &mut Vec<Output>) {
        let now = self.now();
        match message {
            OwnerMessage::Requests(requests) => {
                for (conv, request) in requests {
                    self.request(now, conv, request, out);
                }
            }
            OwnerMessage::Head { conv, user, event, answer } => {
                self.last_head += 1;
                self.heads.insert(self.last_head, answer);
                let request = head_request(now, user, event, self.last_head);
                self.owner.request(now, conv, request, out);
            }
            OwnerMessage::Recover { conv, done } => {
                self.recoveries.entry(conv).or_default().push(done);
                self.owner.recover(now, conv, out);
            }
            OwnerMessage::Stop { done } => {
                self.stop = Some((done, Instant::now() + Duration::from_millis(limits::STOP_MS)));
            }
        }
    }

    fn request(&mut self, now: Now, conv: ConvId, request: Request, out: &mut Vec<Output>) {
        if self.stop.is_some() {
            request.refuse(Refusal::Unavailable, out);
        } else {
            self.owner.request(now, conv, request, out);
        }
    }

    fn became(&mut self, became: Became, out: &mut Vec<Output>) {
        let now = self.now();
        match became {
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
            Became::Appended(outcomes) => {
                for (tag, outcome) in outcomes {
                    self.owner.appended(now, tag, outcome, out);
                }
            }
            Became::Fenced(outcome) => self.owner.fenced(now, outcome, out),
            Became::Projected(convs) => {
                for (conv, term) in convs {
                    self.owner.projected(now, conv, term, out);
                }
            }
        }
    }

    fn tick(&mut self, out: &mut Vec<Output>) {
        let now = self.now();
        self.owner.tick(now, out);
        self.stats.put(self.owner.counters(), self.owner.gauges());
    }

    fn stopped(&mut self) -> bool {
        let Some((_, deadline)) = &self.stop else { return false };
        if !self.owner.is_idle() && Instant::now() < *deadline {
            return false;
        }
        let Some((done, _)) = self.stop.take() else { return false };
        let mut out = Vec::new();
        self.owner.close_windows(self.now(), true, &mut out);
        self.stats.put(self.owner.counters(), self.owner.gauges());
        let store = self.store.clone();
        let windows = closed_windows(out);
        tokio::spawn(async move {
            close_windows(&store, windows).await;
            // Whoever waited for it may be gone.
            let _ = done.send(());
        });
        true
    }

    /// Does what came of the turn, until nothing more comes of it.
    async fn end_turn(&mut self, out: &mut Vec<Output>) {
        loop {
            self.begin_fence(out);
            self.owner.flush(self.now(), out);
            if out.is_empty() {
                break;
            }
            for output in std::mem::take(out) {
                self.output(output, out);
            }
        }
        self.project();
        self.replies.send(&self.links);
        if !self.closed.is_empty() {
            let (store, windows) = (self.store.clone(), std::mem::take(&mut self.closed));
            tokio::spawn(async move { close_windows(&store, windows).await });
        }
        self.deliver().await;
    }

    async fn deliver(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let deliveries: Arc<[Delivery]> = std::mem::take(&mut self.deliveries).into();
        for home in self.homes.all() {
            // A home that has stopped has no connections.
            let _ = home.send(HomeMessage::Deliver(Arc::clone(&deliveries))).await;
        }
    }

    fn output(&mut self, output: Output, more: &mut Vec<Output>) {
        match output {
            Output::Member { conv, term, user } => self.member(conv, term, user),
            Output::Load { conv, term } => self.load(conv, term),
            Output::Read { conv, term, read, range, limit } => {
                let store = self.store.clone();
                self.begin(async move {
                    let rows = told(store.range(conv, range, limit).await);
                    Became::Rows(conv, term, read, rows)
                });
            }
            Output::Count { conv, term, user } => self.count(conv, term, user),
            Output::Watermarks { conv, term, users } => self.watermarks(conv, term, users),
            Output::Append { append, tag } => {
                if self.store.append(append, tag, &self.outcomes).is_err() {
                    self.owner.append_busy(self.now(), tag, more);
                }
            }
            Output::Project { conv, term, projections } => {
                self.projected.push((conv, term));
                self.projections.extend(projections);
            }
            Output::Answer { key, body, refusal } => {
                let Key { link, part, request } = key;
                self.replies.push(link, Reply::Answer { request, part, body, refusal });
            }
            Output::Head { key, head } => {
                if let Some(answer) = self.heads.remove(&key.request) {
                    // Who asked may have stopped waiting.
                    let _ = answer.send(head);
                }
            }
            Output::Deliver(delivery) => self.deliveries.push(delivery),
            Output::CloseWindow(window) => self.closed.push(window),
            Output::Recovered { conv, done } => {
                for waiting in self.recoveries.remove(&conv).into_iter().flatten() {
                    // Who asked may have stopped waiting.
                    let _ = waiting.send(done);
                }
            }
            Output::Lost(partition) => error!(partition, "partition lost: not served any more"),
        }
    }

    /// Begins something whose result comes back.
    fn begin(&self, work: impl Future<Output = Became> + Send + 'static) {
        let became = self.became.clone();
        tokio::spawn(async move {
            // Nobody listens after the actor has stopped.
            let _ = became.send(work.await);
        });
    }

    fn member(&self, conv: ConvId, term: Term, user: UserId) {
        let store = self.store.clone();
        self.begin(async move {
            let member = told(store.member(conv, user).await);
            Became::Member(conv, term, user, member.map(|row| row.is_some()))
        });
    }

    fn load(&self, conv: ConvId, term: Term) {
        let store = self.store.clone();
        self.begin(async move {
            let loaded = load(&store, conv).await;
            Became::Loaded(conv, term, told(loaded))
        });
    }

    fn count(&self, conv: ConvId, term: Term, user: UserId) {
        let store = self.store.clone();
        self.begin(async move {
            let count = told(count(&store, user).await);
            Became::Counted(conv, term, user, count)
        });
    }

    fn watermarks(&self, conv: ConvId, term: Term, users: Vec<UserId>) {
        let store = self.store.clone();
        self.begin(async move {
            let found = told(store.watermarks(conv, users.clone()).await);
            let found = found.map(|found| users.into_iter().zip(found).collect());
            Became::Watermarks(conv, term, found)
        });
    }

    /// Begins a fence read if one is wanted. Where its result is there at once, no task is made.
    fn begin_fence(&mut self, out: &mut Vec<Output>) {
        while self.owner.wants_fence() {
            self.owner.fence_begins();
            let store = self.store.clone();
            let mut fence: Pin<Box<dyn Future<Output = FenceOutcome> + Send>> =
                Box::pin(async move { store.fence().await });
            match fence.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(FenceOutcome::Unknown) => return self.fence_later(fence_again()),
                Poll::Ready(outcome) => self.owner.fenced(self.now(), outcome, out),
                Poll::Pending => return self.fence_later(fence),
            }
        }
    }

    fn fence_later(&self, fence: Pin<Box<dyn Future<Output = FenceOutcome> + Send>>) {
        self.begin(async move { Became::Fenced(fence.await) });
    }

    /// Writes the projections of all conversations of this turn at once.
    fn project(&mut self) {
        if self.projected.is_empty() {
            return;
        }
        let convs = std::mem::take(&mut self.projected);
        let projections = std::mem::take(&mut self.projections);
        let store = self.store.clone();
        self.begin(async move {
            match project(&store, projections).await {
                Ok(()) => Became::Projected(convs),
                Err(StoreEnded) => Became::Fenced(FenceOutcome::Fenced),
            }
        });
    }
}

/// A fence read that failed is asked again after a while.
fn fence_again() -> Pin<Box<dyn Future<Output = FenceOutcome> + Send>> {
    Box::pin(async {
        sleep(Duration::from_millis(limits::RETRY_MS_MIN)).await;
        FenceOutcome::Unknown
    })
}

fn head_request(now: Now, user: UserId, event: bool, request: u64) -> Request {
    let connection = Connection { link: 0, slot: 0, session: 0 };
    let user = Named { id: user, name: Box::default() };
    Request {
        key: Key { link: 0, part: 0, request },
        asker: Asker { user, device: Box::default(), connection },
        order: None,
        deadline_ms: now.mono_ms + u64::from(limits::REQUEST_DEADLINE_MS),
        op: Op::Head { event },
    }
}

fn closed_windows(outputs: Vec<Output>) -> Vec<DirtyWindow> {
    let window = |output| match output {
        Output::CloseWindow(window) => Some(window),
        _ => None,
    };
    outputs.into_iter().filter_map(window).collect()
}
