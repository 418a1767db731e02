//! The home actor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use throng_store::{Store, UserId};
use throng_wire::limits::{HINT_RECIPIENTS_MAX, PAGE_ITEMS_MAX};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Mailboxes;
use super::frames::{changes, welcome};
use super::owner::OwnerMessage;
use crate::clock::Clock;
use crate::home::cursor::Cursor;
use crate::home::lists::{Heads, ListError, Lists};
use crate::home::turns::Turns;
use crate::home::{Arrival, Home, Repair};
use crate::limits::{self, Limits};
use crate::link::decode::HomeOp;
use crate::link::queue::{Links, OutgoingHint, Replies, Reply};
use crate::metrics::HomeStats;
use crate::owner::{Connection, Delivery, Head, Named, Now, Refusal};
use throng_store::ConvId;

/// What a home actor is told.
#[derive(Debug)]
pub(crate) enum HomeMessage {
    /// What one link read at once.
    Calls(Vec<Call>),
    /// Frames for users, of this home or another.
    Deliver(Arc<[Delivery]>),
    /// A link is gone, with all its connections.
    LinkLost(u32),
    /// Finish the lists under way, then stop.
    Stop { done: oneshot::Sender<()> },
}

/// A call of an edge.
#[derive(Debug)]
pub(crate) enum Call {
    /// A connection begins.
    Register(Registration),
    /// A connection is gone.
    Unregister { user: UserId, connection: Connection },
    /// A user asks for a list.
    Ask(Ask),
}

/// A user asks for a list.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: u64,
    pub(crate) connection: Connection,
    pub(crate) user: UserId,
    /// Monotonic milliseconds after which nobody waits for the answer.
    pub(crate) deadline_ms: u64,
    pub(crate) op: HomeOp,
}

/// A list that waits for its turn.
enum Waiting {
    Welcome { registration: Box<Registration>, at: Now, deadline_ms: u64 },
    Ask(Ask),
    Repair(Repair),
}

/// A connection that begins.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) request: u64,
    pub(crate) connection: Connection,
    pub(crate) user: Named,
    pub(crate) device: Box<str>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) session_id: u64,
    /// Its client had a welcome before its link was lost.
    pub(crate) resumed: bool,
}

/// What became of a list. As many as there are lists under way.
enum Became {
    Welcome { registration: Box<Registration>, at: Now, body: Result<Bytes, Refusal> },
    List { user: UserId, link: u32, request: u64, body: Result<Bytes, Refusal> },
    Repaired { repair: Repair, frame: Option<Bytes> },
}

/// The heads of big conversations, from their owners.
#[derive(Clone, Debug)]
pub(crate) struct OwnerHeads(pub(crate) Mailboxes<OwnerMessage>);

impl Heads for OwnerHeads {
    async fn head(&self, conv: ConvId, user: UserId, event: bool) -> Result<Head, Refusal> {
        let (answer, head) = oneshot::channel();
        let message = OwnerMessage::Head { conv, user, event, answer };
        let sent = self.0.get(self.0.of_conv(conv)).send(message).await;
        sent.map_err(|_| Refusal::Unavailable)?;
        head.await.unwrap_or(Err(Refusal::Unavailable))
    }
}

/// What a home actor is made of.
pub(crate) struct HomeActor<S> {
    pub(crate) store: S,
    pub(crate) owners: Mailboxes<OwnerMessage>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) mailbox: mpsc::Receiver<HomeMessage>,
    pub(crate) links: Arc<Links>,
    pub(crate) stats: Arc<HomeStats>,
}

struct Work<S> {
    lists: Lists<S, OwnerHeads>,
    log_id: [u8; 16],
    clock: Clock,
    limits: Limits,
    home: Home,
    links: Arc<Links>,
    stats: Arc<HomeStats>,
    became: mpsc::UnboundedSender<Became>,
    /// Turns of connections that begin.
    welcomes: Turns<Waiting>,
    /// Turns of all other lists.
    others: Turns<Waiting>,
    replies: Replies,
    hints: HashMap<u32, Vec<OutgoingHint>>,
    stop: Option<(oneshot::Sender<()>, Instant)>,
}

impl<S: Store> HomeActor<S> {
    /// Works until it is told to stop, or nobody can tell it anything any more.
    pub(crate) async fn run(self) {
        let Self { store, owners, clock, limits, mut mailbox, links, stats } = self;
        // Not bounded by its type, but by the lists under way.
        let (became, mut results) = mpsc::unbounded_channel();
        let mut work = Work {
            log_id: store.log_id(),
            lists: Lists::new(store, OwnerHeads(owners)),
            clock,
            limits,
            home: Home::default(),
            links,
            stats,
            became,
            welcomes: Turns::new(limits::WELCOMES_MAX),
            others: Turns::new(limits::LISTS_MAX),
            replies: Replies::default(),
            hints: HashMap::new(),
            stop: None,
        };
        work.run(&mut mailbox, &mut results).await;
    }
}

impl<S: Store> Work<S> {
    async fn run(
        &mut self,
        mailbox: &mut mpsc::Receiver<HomeMessage>,
        results: &mut mpsc::UnboundedReceiver<Became>,
    ) {
        let mut next_tick = Instant::now();
        let mut messages = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(became) = results.recv() => self.became(became),
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
                self.tick();
            }
            while messages.len() < limits::TURN_MESSAGES
                && let Ok(message) = mailbox.try_recv()
            {
                messages.push(message);
            }
            for message in messages.drain(..) {
                self.message(message);
            }
            for _ in 0..limits::TURN_MESSAGES {
                let Ok(became) = results.try_recv() else { break };
                self.became(became);
            }
            self.begin_lists();
            self.end_turn();
            if self.stopped(results) {
                return;
            }
        }
    }

    /// Whether it was told to stop, and everybody who waits for a list has it.
    fn stopped(&mut self, results: &mpsc::UnboundedReceiver<Became>) -> bool {
        let Some((_, deadline)) = &self.stop else { return false };
        let idle = self.welcomes.len() + self.others.len() == 0 && results.is_empty();
        if !idle && Instant::now() < *deadline {
            return false;
        }
        if let Some((done, _)) = self.stop.take() {
            // Whoever waited for it may be gone.
            let _ = done.send(());
        }
        true
    }

    fn message(&mut self, message: HomeMessage) {
        match message {
            HomeMessage::Calls(calls) => {
                for call in calls {
                    self.call(call);
                }
            }
            HomeMessage::Deliver(deliveries) => {
                for delivery in deliveries.iter() {
                    self.deliver(delivery);
                }
            }
            HomeMessage::LinkLost(link) => self.home.link_lost(link),
            HomeMessage::Stop { done } => {
                self.stop = Some((done, Instant::now() + Duration::from_millis(limits::STOP_MS)));
            }
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Register(registration) => self.register(registration),
            Call::Unregister { user, connection } => self.home.unregister(user, connection),
            Call::Ask(ask) => self.ask(ask),
        }
    }

    /// Registers, then reads: what is committed later finds the connection.
    fn register(&mut self, registration: Registration) {
        let Registration { connection, session_id, resumed, .. } = registration;
        let (user, request) = (registration.user.id, registration.request);
        let arrival = Arrival { device: &registration.device, connection, session_id, resumed };
        let evicted = self.home.register(user, arrival, self.limits.devices_max);
        for gone in evicted {
            let reply = Reply::Evict { connection: gone.connection, too_many: gone.too_many };
            self.replies.push(gone.connection.link, reply);
        }
        if !self.home.has(user, connection) {
            // Behind its eviction nobody reads it; it gives the request's credit back.
            self.refuse(connection.link, request, Refusal::Unavailable);
            return;
        }
        self.stats.registered();
        let now = self.clock.now();
        let waiting = Waiting::Welcome {
            registration: Box::new(registration),
            at: now,
            deadline_ms: now.mono_ms + u64::from(limits::REQUEST_DEADLINE_MS),
        };
        if self.stop.is_some() || self.welcomes.wait(user, waiting).is_err() {
            self.home.unregister(user, connection);
            self.refuse(connection.link, request, Refusal::Overloaded);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let (link, request) = (ask.connection.link, ask.request);
        if self.stop.is_some() || self.others.wait(ask.user, Waiting::Ask(ask)).is_err() {
            self.refuse(link, request, Refusal::Overloaded);
        }
    }

    /// Begins the lists whose turn it is, but those for which nobody waits any more.
    fn begin_lists(&mut self) {
        while let Some(waiting) = self.welcomes.next().or_else(|| self.others.next()) {
            match waiting {
                Waiting::Welcome { registration, at, deadline_ms } => {
                    let (user, connection) = (registration.user.id, registration.connection);
                    if self.is_awaited(user, connection, deadline_ms) {
                        self.begin_welcome(registration, at);
                    } else {
                        self.welcomes.done(user);
                        self.home.unregister(user, connection);
                        self.refuse(connection.link, registration.request, Refusal::Unavailable);
                    }
                }
                Waiting::Ask(ask) if self.is_awaited(ask.user, ask.connection, ask.deadline_ms) => {
                    self.begin_list(ask);
                }
                Waiting::Ask(ask) => {
                    self.others.done(ask.user);
                    self.refuse(ask.connection.link, ask.request, Refusal::Unavailable);
                }
                Waiting::Repair(repair) if self.home.has(repair.user, repair.connection) => {
                    self.begin_repair(repair);
                }
                Waiting::Repair(repair) => self.others.done(repair.user),
            }
        }
    }

    fn is_awaited(&self, user: UserId, connection: Connection, deadline_ms: u64) -> bool {
        self.clock.now().mono_ms < deadline_ms && self.home.has(user, connection)
    }

    fn begin_welcome(&self, registration: Box<Registration>, at: Now) {
        let (user, cursor) = (registration.user.id, registration.cursor);
        let (lists, log_id, limits) = (self.lists.clone(), self.log_id, self.limits.clone());
        self.begin(async move {
            let page = lists.changes(user, cursor, PAGE_ITEMS_MAX as usize, at.moment_ms).await;
            let body = page.map(|page| welcome(&registration, &page, log_id, at.wall_ms, &limits));
            Became::Welcome { registration, at, body: body.map_err(refusal) }
        });
    }

    fn begin_list(&self, ask: Ask) {
        let Ask { request, connection: Connection { link, .. }, user, op, .. } = ask;
        let lists = self.lists.clone();
        let now_ms = self.clock.now().moment_ms;
        self.begin(async move {
            let body = match op {
                HomeOp::Conversations { after, limit } => {
                    lists.conversations(user, after, limit).await
                }
                HomeOp::Changes { cursor, limit } => {
                    lists.changes(user, cursor, limit, now_ms).await.map(|page| changes(&page))
                }
            };
            Became::List { user, link, request, body: body.map_err(refusal) }
        });
    }

    fn begin_repair(&self, repair: Repair) {
        let lists = self.lists.clone();
        let now_ms = self.clock.now().moment_ms;
        let cursor = Cursor { log_id: self.log_id, moment_ms: repair.since_ms, rest: None };
        self.begin(async move {
            let limit = PAGE_ITEMS_MAX as usize;
            let page = lists.changes(repair.user, Some(cursor), limit, now_ms).await;
            let page = page.inspect_err(|error| warn!(%error, "a repair has to wait"));
            Became::Repaired { repair, frame: page.ok().map(|page| changes(&page)) }
        });
    }

    /// Begins a list whose result comes back.
    fn begin(&self, list: impl Future<Output = Became> + Send + 'static) {
        let became = self.became.clone();
        tokio::spawn(async move {
            // Nobody listens after the actor has stopped.
            let _ = became.send(list.await);
        });
    }

    fn became(&mut self, became: Became) {
        match became {
            Became::Welcome { registration, at, body } => {
                let Registration { request, connection, user, .. } = *registration;
                self.welcomes.done(user.id);
                let welcomed = body.is_ok();
                self.answer(connection.link, request, body);
                if welcomed {
                    self.home.welcomed(user.id, connection, at.moment_ms);
                } else {
                    self.home.unregister(user.id, connection);
                }
            }
            Became::List { user, link, request, body } => {
                self.others.done(user);
                self.answer(link, request, body);
            }
            Became::Repaired { repair, frame } => {
                self.others.done(repair.user);
                match frame {
                    Some(frame) => self.repaired(repair, frame),
                    None => self.home.repair_failed(repair),
                }
            }
        }
    }

    fn answer(&mut self, link: u32, request: u64, body: Result<Bytes, Refusal>) {
        match body {
            Ok(body) => {
                let reply = Reply::Answer { request, part: 0, body, refusal: None };
                self.replies.push(link, reply);
            }
            Err(refusal) => self.refuse(link, request, refusal),
        }
    }

    fn refuse(&mut self, link: u32, request: u64, refusal: Refusal) {
        let body = refusal.frame();
        self.replies.push(link, Reply::Answer { request, part: 0, body, refusal: Some(refusal) });
    }

    /// One hint for all connections of a link, or as many as their number needs.
    fn deliver(&mut self, delivery: &Delivery) {
        let hints = &mut self.hints;
        let mut count = 0;
        let mut begun: HashMap<u32, usize> = HashMap::new();
        self.home.deliver(delivery, |user, connection| {
            count += 1;
            let of_link = hints.entry(connection.link).or_default();
            let index = *begun.entry(connection.link).or_insert(usize::MAX);
            let full =
                of_link.get(index).is_none_or(|hint| hint.slots.len() >= HINT_RECIPIENTS_MAX);
            if full {
                begun.insert(connection.link, of_link.len());
                of_link.push(OutgoingHint::new(delivery.frame.clone(), delivery.ephemeral));
            }
            if let Some(hint) = of_link.last_mut() {
                hint.add(user, connection);
            }
        });
        self.stats.hinted(count);
    }

    fn repaired(&mut self, repair: Repair, frame: Bytes) {
        if !self.home.has(repair.user, repair.connection) {
            return;
        }
        let mut hint = OutgoingHint::new(frame, false);
        hint.add(repair.user, repair.connection);
        let Some(queue) = self.links.get(repair.connection.link) else { return };
        if queue.hint(vec![hint]).is_empty() {
            self.stats.repaired();
        } else {
            self.home.repair_failed(repair);
        }
    }

    fn end_turn(&mut self) {
        // Before the hints, so that a welcome comes before what follows it.
        self.replies.send(&self.links);
        let now_ms = self.clock.now().moment_ms;
        for (link, hints) in std::mem::take(&mut self.hints) {
            let Some(queue) = self.links.get(link) else { continue };
            for refused in queue.hint(hints) {
                self.stats.dropped(refused.slots.len());
                for (user, connection) in refused.targets(link) {
                    self.home.not_sent(user, connection, now_ms);
                }
            }
        }
    }

    fn tick(&mut self) {
        let lists = self.welcomes.len() + self.others.len();
        self.stats.put(self.home.sessions(), self.home.stale(), lists);
        let links = Arc::clone(&self.links);
        let has_room = |link| links.get(link).is_some_and(|queue| queue.has_room());
        for repair in self.home.repairs(limits::LISTS_MAX, has_room) {
            let waiting = Waiting::Repair(repair);
            if self.stop.is_some() || self.others.wait(repair.user, waiting).is_err() {
                self.home.repair_failed(repair);
            }
        }
    }
}

fn refusal(error: ListError) -> Refusal {
    warn!(%error, "a list cannot be read");
    Refusal::Unavailable
}
