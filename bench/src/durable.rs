//! Durable messages a second through the owner and the embedded store, over a real link.
//!
//! A router is started on a new data directory, and this program speaks to it as an edge does:
//! sends of many users in many conversations, a fixed number of them under way. Every one is
//! authorised, deduplicated, given its seq, written, synced and acknowledged. Nobody is connected,
//! so nothing is delivered. The processor time is that of the whole process, this end included.
//!
//! What the router refuses for now is sent again with the same id, and those behind it in their
//! order, as a client does; its time to the acknowledgement counts from the first attempt.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;
use throng_router::Router;
use throng_store::embedded::{self, Durability, Embedded};
use throng_wire::link::{self, Answers, CreditSpender, FrameReader, ToEdge, ToRouter};
use throng_wire::{ErrorCode, Protobuf, id, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::host::Host;
use crate::measure::process;

/// Bytes read from the link at a time.
const READ_BYTES: usize = 256 * 1024;

/// How often what is to be sent again is looked at while nothing is read.
const LOOK: Duration = Duration::from_millis(10);

/// What to run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DurablePlan {
    /// Direct conversations, each with a sender of its own.
    pub conversations: usize,
    /// Sends under way at one time.
    pub in_flight: usize,
    /// Bytes of text in a message.
    pub text_bytes: usize,
    /// Seconds measured.
    pub seconds: f64,
    /// Whether each commit waits for the disk.
    pub sync: bool,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct DurableResult {
    /// What it ran on.
    pub host: Host,
    /// What was run.
    pub plan: DurablePlan,
    /// Acknowledged messages per second.
    pub rate: f64,
    /// Sends that were refused for now, and sent again.
    pub refused: u64,
    /// Processor microseconds of the process per message.
    pub cpu_us: f64,
    /// Send to acknowledgement, in microseconds: median, 99 %, 99.9 %, highest.
    pub latency_us: [u64; 4],
    /// Rows per commit: (at most, commits), empty buckets left out.
    pub rows_per_commit: Vec<(Option<u64>, u64)>,
    /// Microseconds per commit, its sync included: (at most, commits).
    pub commit_us: Vec<(Option<u64>, u64)>,
}

/// Runs the measurement on a data directory below `parent`.
///
/// # Errors
/// The store or the router does not start, the link breaks, or a send is refused for good.
pub fn run(plan: &DurablePlan, parent: &Path) -> io::Result<DurableResult> {
    let directory = tempfile::Builder::new().prefix("throng-bench-").tempdir_in(parent)?;
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(plan, directory.path()))
}

async fn measure(plan: &DurablePlan, directory: &Path) -> io::Result<DurableResult> {
    let durability = if plan.sync { Durability::Sync } else { Durability::Os };
    let config = embedded::Config { durability, ..embedded::Config::new(directory) };
    let store = Embedded::open(config).map_err(io::Error::other)?;
    let router = Router::start(throng_router::Config::default(), store.clone())
        .await
        .map_err(io::Error::other)?;
    let mut sender = Sender::connect(&router, plan).await?;
    sender.run(Duration::from_secs(1)).await?; // conversations are created, caches filled
    sender.forget();
    let (cpu_before, before) = (process::cpu_seconds(std::process::id())?, store.stats());
    let began = Instant::now();
    sender.run(Duration::from_secs_f64(plan.seconds)).await?;
    let elapsed = began.elapsed().as_secs_f64();
    let (cpu_after, after) = (process::cpu_seconds(std::process::id())?, store.stats());
    router.shutdown().await;
    let acked = sender.latency_us.len();
    let quantile = |q: f64| sender.latency_us.value_at_quantile(q);
    Ok(DurableResult {
        host: Host::read(),
        plan: *plan,
        rate: acked as f64 / elapsed,
        refused: sender.refused,
        cpu_us: (cpu_after - cpu_before) * 1e6 / acked.max(1) as f64,
        latency_us: [quantile(0.5), quantile(0.99), quantile(0.999), sender.latency_us.max()],
        rows_per_commit: grown(&before.commit_rows, &after.commit_rows),
        commit_us: grown(&before.commit_us, &after.commit_us),
    })
}

/// The buckets that grew, with their upper bounds.
fn grown(before: &embedded::Histogram, after: &embedded::Histogram) -> Vec<(Option<u64>, u64)> {
    let pairs = before.buckets.iter().zip(&after.buckets).enumerate();
    let growth =
        pairs.map(|(bucket, (before, after))| (embedded::Histogram::bound(bucket), after - before));
    growth.filter(|(_, commits)| *commits > 0).collect()
}

/// One message, from its first attempt to its acknowledgement.
struct Message {
    conversation: usize,
    /// Place among those of its conversation.
    number: u64,
    client_msg_id: String,
    began: Instant,
}

/// What one sender does in its conversation.
struct Conversation {
    /// Messages made.
    made: u64,
    /// Sends numbered: every attempt has a number of its own.
    order: u64,
    under_way: usize,
    /// To be sent again in their order, once nothing is under way.
    again: BTreeMap<u64, Message>,
    not_before: Instant,
}

impl Conversation {
    /// Whether it may send now: not while what was behind a refused send is still under way.
    fn is_ready(&self, now: Instant) -> bool {
        self.again.is_empty() || self.under_way == 0 && self.not_before <= now
    }
}

/// The edge's end of the link.
struct Sender {
    stream: UnixStream,
    reader: FrameReader,
    answers: Answers,
    in_flight: usize,
    text: String,
    credit: CreditSpender,
    conversations: Vec<Conversation>,
    /// Whose turn it is to send.
    turn: usize,
    under_way: HashMap<u64, Message>,
    last_request: u64,
    last_id: u64,
    out: Vec<u8>,
    refused: u64,
    latency_us: Histogram<u64>,
}

impl Sender {
    async fn connect(router: &Router, plan: &DurablePlan) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(router.connect()?);
        stream.set_nonblocking(true)?;
        let conversation = || Conversation {
            made: 0,
            order: 0,
            under_way: 0,
            again: BTreeMap::new(),
            not_before: Instant::now(),
        };
        let mut sender = Self {
            stream: UnixStream::from_std(stream)?,
            reader: FrameReader::new(),
            answers: Answers::new(),
            in_flight: plan.in_flight,
            text: "m".repeat(plan.text_bytes),
            credit: CreditSpender::default(),
            conversations: (0..plan.conversations.max(1)).map(|_| conversation()).collect(),
            turn: 0,
            under_way: HashMap::new(),
            last_request: 0,
            last_id: 0,
            out: Vec::new(),
            refused: 0,
            latency_us: Histogram::new_with_bounds(1, 60_000_000, 3).map_err(io::Error::other)?,
        };
        let hello = link::Hello {
            version_min: link::VERSION_MIN,
            version_max: link::VERSION_MAX,
            name: "bench".into(),
            ..link::Hello::default()
        };
        ToRouter::Hello(hello).encode(&mut sender.out).map_err(io::Error::other)?;
        Ok(sender)
    }

    fn forget(&mut self) {
        self.latency_us.reset();
        self.refused = 0;
    }

    /// Keeps sends under way for a while, then waits for those that are.
    async fn run(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut input = vec![0; READ_BYTES];
        loop {
            let over = Instant::now() >= end;
            let waits = self.conversations.iter().any(|conv| !conv.again.is_empty());
            if over && self.under_way.is_empty() && !waits {
                return Ok(());
            }
            self.fill(over)?;
            self.stream.write_all(&self.out).await?;
            self.out.clear();
            let read = if waits {
                let Ok(read) = timeout(LOOK, self.stream.read(&mut input)).await else { continue };
                read?
            } else {
                self.stream.read(&mut input).await?
            };
            if read == 0 {
                return Err(io::Error::other("the router closed the link"));
            }
            self.take(&input[..read])?;
        }
    }

    /// Begins as many sends as the plan and the credit allow; when it is `over` only those that
    /// were begun before.
    fn fill(&mut self, over: bool) -> io::Result<()> {
        let now = Instant::now();
        let mut idle = 0;
        while self.under_way.len() < self.in_flight && idle < self.conversations.len() {
            let conversation = self.turn;
            self.turn = (self.turn + 1) % self.conversations.len();
            let state = &mut self.conversations[conversation];
            let again = if state.is_ready(now) { state.again.pop_first() } else { None };
            let message = match again {
                Some((_, message)) => message,
                None if over || !state.again.is_empty() => {
                    idle += 1;
                    continue;
                }
                None => self.message(conversation)?,
            };
            if !self.send(message)? {
                break;
            }
            idle = 0;
        }
        Ok(())
    }

    fn message(&mut self, conversation: usize) -> io::Result<Message> {
        self.last_id += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.last_id.to_be_bytes());
        let client_msg_id = id::text(&id::make_v7(now.as_millis() as u64, random));
        let state = &mut self.conversations[conversation];
        state.made += 1;
        Ok(Message { conversation, number: state.made, client_msg_id, began: Instant::now() })
    }

    /// Sends a message. Without credit it stays for the next time, and this is `false`.
    fn send(&mut self, message: Message) -> io::Result<bool> {
        let before = self.out.len();
        let request = self.request(&message);
        ToRouter::Request(request).encode(&mut self.out).map_err(io::Error::other)?;
        let state = &mut self.conversations[message.conversation];
        if self.credit.spend(self.out.len() - before).is_err() {
            self.out.truncate(before);
            state.again.insert(message.number, message);
            return Ok(false);
        }
        state.order += 1;
        state.under_way += 1;
        self.last_request += 1;
        self.under_way.insert(self.last_request, message);
        Ok(true)
    }

    fn request(&self, message: &Message) -> link::Request<'static> {
        let Message { conversation, client_msg_id, .. } = message;
        let op = v1::Op::Send(v1::Send {
            to: format!("to-{conversation}").into(),
            client_msg_id: client_msg_id.clone().into(),
            content: Some(v1::Content::Text(self.text.clone().into())),
            ..v1::Send::default()
        });
        let state = &self.conversations[*conversation];
        link::Request {
            request: self.last_request + 1,
            session: Some(link::Session {
                slot: *conversation as u32,
                session: 1,
                user: format!("from-{conversation}").into(),
                device: "bench".into(),
            }),
            frame: v1::ClientFrame { id: None, op: Some(op) }.encode_to_vec().into(),
            deadline_ms: 10_000,
            order: state.order + 1,
            first: state.under_way == 0,
            conv_id: Vec::new().into(),
        }
    }

    fn take(&mut self, mut input: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.reader.next(&mut input).map_err(io::Error::other)? {
            match ToEdge::decode(frame).map_err(io::Error::other)? {
                ToEdge::Welcome(welcome) => self.credit = CreditSpender::new(&welcome),
                ToEdge::Credit(credit) => self.credit.grant(&credit).map_err(io::Error::other)?,
                ToEdge::Answer(answer) => {
                    let whole = self.answers.push(answer).map_err(io::Error::other)?;
                    let Some(whole) = whole else { continue };
                    let (request, failed) = (whole.request, whole.failed);
                    let again = failed.then(|| retry_after(&whole.body)).transpose()?;
                    self.answered(request, again);
                }
                ToEdge::Bye(bye) => return Err(io::Error::other(bye.reason.into_owned())),
                ToEdge::Hint(_) | ToEdge::Evict(_) | ToEdge::Beacon(_) => {}
            }
        }
        Ok(())
    }

    /// Acknowledged, or to be sent `again` after a while.
    fn answered(&mut self, request: u64, again: Option<Duration>) {
        let Some(message) = self.under_way.remove(&request) else { return };
        let state = &mut self.conversations[message.conversation];
        state.under_way -= 1;
        if let Some(wait) = again {
            self.refused += 1;
            state.not_before = state.not_before.max(Instant::now() + wait);
            state.again.insert(message.number, message);
        } else {
            let took = u64::try_from(message.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latency_us.saturating_record(took);
        }
    }
}

/// When a refused send may go again.
fn retry_after(refusal: &[u8]) -> io::Result<Duration> {
    let frame = v1::ServerFrame::decode(refusal).map_err(io::Error::other)?;
    match frame.body {
        Some(v1::Body::Error(error)) if is_retryable(&error.code) => {
            Ok(Duration::from_millis(error.retry_after_ms))
        }
        other => Err(io::Error::other(format!("a send was refused for good: {other:?}"))),
    }
}

fn is_retryable(code: &str) -> bool {
    ErrorCode::parse(code).is_some_and(ErrorCode::is_retryable)
}
