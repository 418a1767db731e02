//! One link's task: reads requests, hands them to actors in batches, writes what they say.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use throng_store::ConvId;
use throng_wire::limits::{ANSWER_BYTES_MAX, LINK_FRAME_BYTES_MAX, OUTBOX_BYTES_MAX};
use throng_wire::link::{
    self, Beacon, Bye, CreditGranter, Evict, FrameReader, KindError, LengthError, OutboxFull,
    Overspent, ToEdge, ToRouter,
};
use throng_wire::{SessionClose, v1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::decode::{self, Target, named};
use super::merge::Merge;
use super::queue::{LinkQueue, Links, Reply};
use crate::actor::Mailboxes;
use crate::actor::home::{Call, HomeMessage, Registration};
use crate::actor::owner::OwnerMessage;
use crate::clock::Clock;
use crate::home::cursor::Cursor;
use crate::limits::{self, Limits};
use crate::owner::{Asker, Connection, Key, Named, Op, Order, Refusal, Request, event};

/// What all links of a router share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) owners: Mailboxes<OwnerMessage>,
    pub(crate) homes: Mailboxes<HomeMessage>,
    pub(crate) links: Arc<Links>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) log_id: [u8; 16],
    pub(crate) incarnation: u64,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a frame.
    #[error("{0}")]
    Length(#[from] LengthError),
    /// Not a message.
    #[error("{0}")]
    Kind(#[from] KindError),
    /// More than was granted.
    #[error("{0}")]
    Overspent(#[from] Overspent),
    /// The edge does not read.
    #[error("{0}")]
    Full(#[from] OutboxFull),
    /// Something that an edge does not say.
    #[error("{0}")]
    Protocol(&'static str),
    /// The process ends.
    #[error("the router stops")]
    Stopping,
    /// The edge said goodbye.
    #[error("the edge says: {0}")]
    Bye(String),
}

/// Hints are moved to the outbox up to this fill; behind it they wait where repair knows of them.
const OUTBOX_HINT_BYTES: usize = 512 * 1024;

/// Answers are moved to the outbox while the largest one still fits.
const OUTBOX_ANSWER_BYTES: usize = OUTBOX_BYTES_MAX - ANSWER_BYTES_MAX - LINK_FRAME_BYTES_MAX;

const _: () = assert!(OUTBOX_HINT_BYTES < OUTBOX_ANSWER_BYTES);

/// Bytes written to the socket at a time.
const WRITE_BYTES: usize = 128 * 1024;

/// Bytes read from the socket at a time.
const READ_BYTES: usize = 64 * 1024;

/// Between beacons.
const BEACON: Duration = Duration::from_secs(1);

/// A request under way.
#[derive(Debug)]
struct Pending {
    frame_bytes: usize,
    merge: Option<Merge>,
}

/// One link.
struct Link {
    number: u32,
    shared: Arc<Shared>,
    queue: Arc<LinkQueue>,
    /// The edge has introduced itself.
    open: bool,
    credit: CreditGranter,
    outbox: link::Outbox,
    /// Replies for which the outbox has no room yet.
    replies: VecDeque<Reply>,
    reply_bytes: usize,
    pending: HashMap<u64, Pending>,
    /// Requests of this turn, by worker.
    requests: Vec<Vec<(ConvId, Request)>>,
    calls: Vec<Vec<Call>>,
    hint_number: u64,
}

/// Serves a link until it ends, then forgets its connections.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    number: u32,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> Result<(), LinkError> {
    let queue = Arc::new(LinkQueue::default());
    shared.links.add(number, Arc::clone(&queue));
    let mut link = Link {
        number,
        queue,
        open: false,
        credit: CreditGranter::new(limits::LINK_REQUESTS, limits::LINK_REQUEST_BYTES),
        outbox: link::Outbox::new(),
        replies: VecDeque::new(),
        reply_bytes: 0,
        pending: HashMap::new(),
        requests: shared.owners.all().map(|_| Vec::new()).collect(),
        calls: shared.homes.all().map(|_| Vec::new()).collect(),
        hint_number: 0,
        shared: Arc::clone(&shared),
    };
    let result = link.run(stream, stop).await;
    shared.links.remove(number);
    for home in shared.homes.all() {
        // A home that has stopped has no connections.
        let _ = home.send(HomeMessage::LinkLost(number)).await;
    }
    result
}

impl Link {
    async fn run(
        &mut self,
        stream: impl AsyncRead + AsyncWrite,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), LinkError> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut frames = FrameReader::new();
        let mut input = vec![0; READ_BYTES];
        let mut output: Vec<u8> = Vec::new();
        let mut written = 0;
        let mut beacons = interval(BEACON);
        beacons.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let queue = Arc::clone(&self.queue);
        loop {
            tokio::select! {
                read = reader.read(&mut input), if self.reply_bytes <= limits::LINK_REPLY_BYTES => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let result = self.receive(&mut frames, &input[..read]);
                    self.dispatch().await;
                    if let Err(error) = result {
                        return self.goodbye(&mut writer, error).await;
                    }
                }
                wrote = writer.write(&output[written..]), if written < output.len() => {
                    written += wrote?;
                }
                () = queue.woken() => {}
                _ = beacons.tick(), if self.open => self.beacon()?,
                _ = stop.changed() => {
                    return self.goodbye(&mut writer, LinkError::Stopping).await;
                }
            }
            self.take_in()?;
            if written == output.len() {
                output.clear();
                output.shrink_to(WRITE_BYTES);
                written = 0;
                self.outbox.fill(WRITE_BYTES, &mut output);
            }
        }
    }

    /// Tells the edge why, as far as it still reads.
    async fn goodbye(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        error: LinkError,
    ) -> Result<(), LinkError> {
        self.take_in()?;
        let reason = error.to_string();
        self.outbox.push(&ToEdge::Bye(Bye { reason: reason.into() }))?;
        let mut output = Vec::new();
        while !self.outbox.is_empty() {
            output.clear();
            self.outbox.fill(WRITE_BYTES, &mut output);
            tokio::time::timeout(BEACON, writer.write_all(&output))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        Err(error)
    }

    fn beacon(&mut self) -> Result<(), LinkError> {
        Ok(self.outbox.push(&ToEdge::Beacon(Beacon { number: self.hint_number }))?)
    }

    fn receive(&mut self, frames: &mut FrameReader, mut input: &[u8]) -> Result<(), LinkError> {
        while let Some(frame) = frames.next(&mut input)? {
            let frame_bytes = link::HEADER_BYTES + frame.payload.len();
            self.frame(ToRouter::decode(frame)?, frame_bytes)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: ToRouter<'_>, frame_bytes: usize) -> Result<(), LinkError> {
        match frame {
            ToRouter::Hello(hello) if !self.open => self.hello(&hello),
            ToRouter::Bye(bye) => Err(LinkError::Bye(bye.reason.into_owned())),
            _ if !self.open => Err(LinkError::Protocol("the link begins with hello")),
            ToRouter::Hello(_) => Err(LinkError::Protocol("hello was said already")),
            ToRouter::Register(register) => self.register(register, frame_bytes),
            ToRouter::Unregister(unregister) => self.unregister(&unregister),
            ToRouter::Request(request) => self.request(&request, frame_bytes),
        }
    }

    fn hello(&mut self, hello: &link::Hello<'_>) -> Result<(), LinkError> {
        let version = link::negotiate(hello.version_min, hello.version_max)
            .ok_or(LinkError::Protocol("this router and this edge have no version in common"))?;
        let granted = self.credit.granted();
        self.outbox.push(&ToEdge::Welcome(link::Welcome {
            version,
            incarnation: self.shared.incarnation,
            requests: granted.requests,
            bytes: granted.bytes,
            log_id: Cow::Borrowed(&self.shared.log_id),
        }))?;
        self.open = true;
        Ok(())
    }

    fn begin(&mut self, request: u64, frame_bytes: usize) -> Result<(), LinkError> {
        self.credit.receive(frame_bytes)?;
        let pending = Pending { frame_bytes, merge: None };
        if self.pending.insert(request, pending).is_some() {
            return Err(LinkError::Protocol("a request number that is under way"));
        }
        Ok(())
    }

    fn connection(&self, session: &link::Session<'_>) -> Connection {
        Connection { link: self.number, slot: session.slot, session: session.session }
    }

    fn register(
        &mut self,
        register: link::Register<'_>,
        frame_bytes: usize,
    ) -> Result<(), LinkError> {
        self.begin(register.request, frame_bytes)?;
        let session = register.session.ok_or(LinkError::Protocol("no session"))?;
        let user = user(&session)?;
        let registration = Registration {
            request: register.request,
            connection: self.connection(&session),
            device: session.device.into(),
            cursor: Cursor::decode(&register.cursor),
            session_id: register.session_id,
            user,
        };
        self.call(registration.user.id, Call::Register(registration));
        Ok(())
    }

    fn unregister(&mut self, unregister: &link::Unregister<'_>) -> Result<(), LinkError> {
        let session = unregister.session.as_ref().ok_or(LinkError::Protocol("no session"))?;
        let (user, connection) = (user(session)?, self.connection(session));
        self.call(user.id, Call::Unregister { user: user.id, connection });
        Ok(())
    }

    fn call(&mut self, user: throng_store::UserId, call: Call) {
        let worker = self.shared.homes.of_user(user);
        self.calls[worker].push(call);
    }

    fn request(
        &mut self,
        request: &link::Request<'_>,
        frame_bytes: usize,
    ) -> Result<(), LinkError> {
        self.begin(request.request, frame_bytes)?;
        let session = request.session.as_ref().ok_or(LinkError::Protocol("no session"))?;
        let user = user(session)?;
        let limits = &self.shared.limits;
        let number = request.request;
        match decode::decode(&request.frame, &user.name, &session.device, limits) {
            Err(refusal) => self.answer(number, 0, refusal.frame(), Some(refusal)),
            Ok(Target::Ping) => {
                let time_ms = self.shared.clock.now().wall_ms;
                let pong = event::frame(v1::Body::Pong(v1::Pong { time_ms }));
                self.answer(number, 0, pong, None);
            }
            Ok(Target::Home(op)) => {
                let (link, user) = (self.number, user.id);
                self.call(user, Call::Ask { request: number, link, user, op });
            }
            Ok(Target::Owner(conv, op)) => self.ask(request, session, user, 0, conv, op),
            Ok(Target::Sync(parts)) => self.sync(request, session, &user, parts),
        }
        Ok(())
    }

    fn sync(
        &mut self,
        request: &link::Request<'_>,
        session: &link::Session<'_>,
        user: &Named,
        parts: Vec<(ConvId, Op)>,
    ) {
        let merge = Merge::new(parts.iter().map(|(conv, _)| *conv));
        if parts.is_empty() {
            let (body, refusal) = merge.finish();
            return self.answer(request.request, 0, body, refusal);
        }
        if let Some(pending) = self.pending.get_mut(&request.request) {
            pending.merge = Some(merge);
        }
        for (part, (conv, op)) in (0..).zip(parts) {
            self.ask(request, session, user.clone(), part, conv, op);
        }
    }

    fn ask(
        &mut self,
        request: &link::Request<'_>,
        session: &link::Session<'_>,
        user: Named,
        part: u32,
        conv: ConvId,
        op: Op,
    ) {
        let live_ms = match request.deadline_ms {
            0 => limits::REQUEST_DEADLINE_MS,
            live_ms => live_ms,
        };
        let order = Order { number: request.order, first: request.first };
        let worker = self.shared.owners.of_conv(conv);
        let request = Request {
            key: Key { link: self.number, part, request: request.request },
            asker: Asker {
                user,
                device: (&*session.device).into(),
                connection: self.connection(session),
            },
            order: (order.number != 0).then_some(order),
            deadline_ms: self.shared.clock.now().mono_ms + u64::from(live_ms),
            op,
        };
        self.requests[worker].push((conv, request));
    }

    /// Hands the turn's requests to the actors. An owner whose mailbox is full refuses at once.
    async fn dispatch(&mut self) {
        for worker in 0..self.calls.len() {
            let calls = std::mem::take(&mut self.calls[worker]);
            if !calls.is_empty() {
                // A home that has stopped answers nobody; the link will end, too.
                let _ = self.shared.homes.get(worker).send(HomeMessage::Calls(calls)).await;
            }
        }
        for worker in 0..self.requests.len() {
            let requests = std::mem::take(&mut self.requests[worker]);
            if requests.is_empty() {
                continue;
            }
            let message = OwnerMessage::Requests(requests);
            match self.shared.owners.get(worker).try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => self.refuse(message, Refusal::Overloaded),
                Err(TrySendError::Closed(message)) => self.refuse(message, Refusal::Unavailable),
            }
        }
    }

    fn refuse(&mut self, message: OwnerMessage, refusal: Refusal) {
        let OwnerMessage::Requests(requests) = message else { return };
        for (_, request) in requests {
            let Key { request, part, .. } = request.key;
            self.answer(request, part, refusal.frame(), Some(refusal));
        }
    }

    fn answer(&mut self, request: u64, part: u32, body: Bytes, refusal: Option<Refusal>) {
        self.put(Reply::Answer { request, part, body, refusal });
    }

    fn put(&mut self, reply: Reply) {
        self.reply_bytes += reply.bytes();
        self.replies.push_back(reply);
    }

    /// Moves what actors said to the outbox, as far as it has room.
    fn take_in(&mut self) -> Result<(), LinkError> {
        for reply in self.queue.take_replies() {
            self.put(reply);
        }
        while self.outbox.bytes() < OUTBOX_ANSWER_BYTES
            && let Some(reply) = self.replies.pop_front()
        {
            self.reply_bytes -= reply.bytes();
            self.reply(reply)?;
        }
        while self.replies.is_empty()
            && self.outbox.bytes() < OUTBOX_HINT_BYTES
            && let Some(hint) = self.queue.take_hint()
        {
            self.hint_number += 1;
            self.outbox.push(&ToEdge::Hint(link::Hint {
                number: self.hint_number,
                slots: hint.slots,
                sessions: hint.sessions,
                frame: Cow::Borrowed(&hint.frame),
                ephemeral: false,
            }))?;
        }
        if let Some(credit) = self.credit.grant() {
            self.outbox.push(&ToEdge::Credit(credit))?;
        }
        Ok(())
    }

    fn reply(&mut self, reply: Reply) -> Result<(), LinkError> {
        let (request, part, body, refusal) = match reply {
            Reply::Answer { request, part, body, refusal } => (request, part, body, refusal),
            Reply::Evict { connection, too_many } => return self.evict(connection, too_many),
        };
        let Some(pending) = self.pending.get_mut(&request) else { return Ok(()) };
        let (body, refusal) = match pending.merge.take() {
            None => (body, refusal),
            Some(mut merge) => {
                if !merge.put(part, body, refusal) {
                    pending.merge = Some(merge);
                    return Ok(());
                }
                merge.finish()
            }
        };
        let frame_bytes = pending.frame_bytes;
        self.pending.remove(&request);
        self.credit.finish(frame_bytes);
        Ok(self.outbox.push_answer(request, body.into(), refusal.is_some())?)
    }

    fn evict(&mut self, connection: Connection, too_many: bool) -> Result<(), LinkError> {
        let Connection { slot, session, .. } = connection;
        let close = SessionClose::Replaced;
        let reason = if too_many { "replaced: too many devices" } else { close.reason() };
        let session = link::Session { slot, session, ..link::Session::default() };
        Ok(self.outbox.push(&ToEdge::Evict(Evict {
            session: Some(session),
            code: u32::from(close.number()),
            reason: reason.into(),
        }))?)
    }
}

fn user(session: &link::Session<'_>) -> Result<Named, LinkError> {
    named(&session.user).map_err(|_| LinkError::Protocol("a session without a user"))
}
