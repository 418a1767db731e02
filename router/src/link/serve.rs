//! One link's task: reads requests, hands them to actors in batches, writes what they say.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use throng_store::ConvId;
use throng_wire::SessionClose;
use throng_wire::limits::{ANSWER_BYTES_MAX, LINK_FRAME_BYTES_MAX, OUTBOX_BYTES_MAX};
use throng_wire::link::{
    self, Beacon, Bye, CreditGranter, Evict, FrameReader, KindError, LengthError, OutboxFull,
    Overspent, ToEdge,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::queue::{LinkQueue, Links, Reply};
use super::receive::Asked;
use super::under_way::UnderWay;
use crate::actor::Mailboxes;
use crate::actor::home::{Call, HomeMessage};
use crate::actor::owner::OwnerMessage;
use crate::clock::Clock;
use crate::limits::{self, Limits};
use crate::owner::{Connection, Refusal, Request};

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

/// For an edge to read what waited when its link ends.
const GOODBYE: Duration = Duration::from_secs(5);

// A router that stops waits for its links.
const _: () = assert!(GOODBYE.as_millis() < limits::STOP_MS as u128);

/// One link.
pub(super) struct Link {
    pub(super) number: u32,
    pub(super) shared: Arc<Shared>,
    queue: Arc<LinkQueue>,
    /// The edge has introduced itself.
    pub(super) open: bool,
    pub(super) credit: CreditGranter,
    pub(super) outbox: link::Outbox,
    /// Replies for which the outbox has no room yet.
    replies: VecDeque<Reply>,
    pub(super) under_way: UnderWay<Asked>,
    /// Requests of this turn, by worker.
    pub(super) requests: Vec<Vec<(ConvId, Request)>>,
    pub(super) calls: Vec<Vec<Call>>,
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
        under_way: UnderWay::default(),
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
                read = reader.read(&mut input) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let result = self.receive(&mut frames, &input[..read]);
                    self.dispatch().await;
                    if let Err(error) = result {
                        return self.goodbye(&mut writer, &output[written..], error).await;
                    }
                }
                wrote = writer.write(&output[written..]), if written < output.len() => {
                    written += wrote?;
                }
                () = queue.woken() => {}
                _ = beacons.tick(), if self.open => self.beacon()?,
                _ = stop.changed() => {
                    let rest = &output[written..];
                    return self.goodbye(&mut writer, rest, LinkError::Stopping).await;
                }
            }
            self.take_in()?;
            while self.ask_held() {
                self.dispatch().await;
                self.take_in()?;
            }
            if written == output.len() {
                output.clear();
                output.shrink_to(WRITE_BYTES);
                written = 0;
                self.outbox.fill(WRITE_BYTES, &mut output);
            }
        }
    }

    /// Tells the edge what waits for it, of which `rest` may begin within a frame, and then why the
    /// link ends: as far as it still reads. Hints are left out; the log has what they say.
    async fn goodbye(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        rest: &[u8],
        error: LinkError,
    ) -> Result<(), LinkError> {
        let told = tokio::time::timeout(GOODBYE, self.tell_rest(writer, rest, error.to_string()));
        told.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Err(error)
    }

    async fn tell_rest(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        rest: &[u8],
        reason: String,
    ) -> Result<(), LinkError> {
        let mut output = rest.to_vec();
        loop {
            writer.write_all(&output).await?;
            output.clear();
            self.take_replies()?;
            if self.outbox.is_empty() {
                break;
            }
            self.outbox.fill(WRITE_BYTES, &mut output);
        }
        ToEdge::Bye(Bye { reason: reason.into() }).encode(&mut output).map_err(OutboxFull::from)?;
        Ok(writer.write_all(&output).await?)
    }

    fn beacon(&mut self) -> Result<(), LinkError> {
        Ok(self.outbox.push(&ToEdge::Beacon(Beacon { number: self.hint_number }))?)
    }

    /// Answers in an actor's place, or as one.
    pub(super) fn answer(
        &mut self,
        request: u64,
        part: u32,
        body: Bytes,
        refusal: Option<Refusal>,
    ) {
        let whole = self.under_way.answered(request, part, body, refusal);
        if let Some((body, refusal)) = whole {
            self.replies.push_back(Reply::Answer { request, part: 0, body, refusal });
        }
    }

    /// Moves answers of actors to the outbox, as far as it has room.
    fn take_replies(&mut self) -> Result<(), LinkError> {
        for reply in self.queue.take_replies() {
            match reply {
                Reply::Answer { request, part, body, refusal } => {
                    self.answer(request, part, body, refusal);
                }
                evict @ Reply::Evict { .. } => self.replies.push_back(evict),
            }
        }
        while self.outbox.bytes() < OUTBOX_ANSWER_BYTES
            && let Some(reply) = self.replies.pop_front()
        {
            self.reply(reply)?;
        }
        Ok(())
    }

    /// Moves what actors said to the outbox, as far as it has room.
    fn take_in(&mut self) -> Result<(), LinkError> {
        self.take_replies()?;
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
                ephemeral: hint.ephemeral,
            }))?;
        }
        if let Some(credit) = self.credit.grant() {
            self.outbox.push(&ToEdge::Credit(credit))?;
        }
        Ok(())
    }

    fn reply(&mut self, reply: Reply) -> Result<(), LinkError> {
        let (request, body, refusal) = match reply {
            Reply::Answer { request, body, refusal, .. } => (request, body, refusal),
            Reply::Evict { connection, too_many } => return self.evict(connection, too_many),
        };
        let Some(frame_bytes) = self.under_way.finish(request) else { return Ok(()) };
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
