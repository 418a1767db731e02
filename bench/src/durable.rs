//! Durable messages a second through the owner and the embedded store, over a real link.
//!
//! A router is started on a new data directory, and this program speaks to it as an edge does:
//! sends of many users in many conversations, a fixed number of them under way. Every one is
//! authorised, deduplicated, given its seq, written, synced and acknowledged. Nobody is connected,
//! so nothing is delivered. The processor time is that of the whole process, this end included.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;
use throng_router::Router;
use throng_store::embedded::{self, Durability, Embedded};
use throng_wire::link::{self, Answers, CreditSpender, FrameReader, ToEdge, ToRouter};
use throng_wire::{Protobuf, id, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::host::Host;
use crate::memory;

/// Bytes read from the link at a time.
const READ_BYTES: usize = 256 * 1024;

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
/// The store or the router does not start, the link breaks, or a send is refused.
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
    let (cpu_before, before) = (memory::cpu_seconds(std::process::id())?, store.stats());
    let began = Instant::now();
    sender.run(Duration::from_secs_f64(plan.seconds)).await?;
    let elapsed = began.elapsed().as_secs_f64();
    let (cpu_after, after) = (memory::cpu_seconds(std::process::id())?, store.stats());
    router.shutdown().await;
    let acked = sender.latency_us.len();
    let quantile = |q: f64| sender.latency_us.value_at_quantile(q);
    Ok(DurableResult {
        host: Host::read(),
        plan: *plan,
        rate: acked as f64 / elapsed,
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

/// The edge's end of the link.
struct Sender {
    stream: UnixStream,
    reader: FrameReader,
    answers: Answers,
    plan: DurablePlan,
    text: String,
    credit: CreditSpender,
    under_way: HashMap<u64, Instant>,
    last_request: u64,
    out: Vec<u8>,
    latency_us: Histogram<u64>,
}

impl Sender {
    async fn connect(router: &Router, plan: &DurablePlan) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(router.connect()?);
        stream.set_nonblocking(true)?;
        let mut sender = Self {
            stream: UnixStream::from_std(stream)?,
            reader: FrameReader::new(),
            answers: Answers::new(),
            plan: *plan,
            text: "m".repeat(plan.text_bytes),
            credit: CreditSpender::default(),
            under_way: HashMap::new(),
            last_request: 0,
            out: Vec::new(),
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
    }

    /// Keeps sends under way for a while, then waits for those that are.
    async fn run(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut input = vec![0; READ_BYTES];
        loop {
            let over = Instant::now() >= end;
            if over && self.under_way.is_empty() {
                return Ok(());
            }
            if !over {
                self.fill()?;
            }
            self.stream.write_all(&self.out).await?;
            self.out.clear();
            let read = self.stream.read(&mut input).await?;
            if read == 0 {
                return Err(io::Error::other("the router closed the link"));
            }
            self.take(&input[..read])?;
        }
    }

    /// Begins as many sends as the plan and the credit allow.
    fn fill(&mut self) -> io::Result<()> {
        while self.under_way.len() < self.plan.in_flight {
            let before = self.out.len();
            let request = self.request(self.last_request + 1)?;
            ToRouter::Request(request).encode(&mut self.out).map_err(io::Error::other)?;
            if self.credit.spend(self.out.len() - before).is_err() {
                self.out.truncate(before);
                break;
            }
            self.last_request += 1;
            self.under_way.insert(self.last_request, Instant::now());
        }
        Ok(())
    }

    fn request(&self, number: u64) -> io::Result<link::Request<'static>> {
        let conversation = number % self.plan.conversations as u64;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let client_msg_id = id::text(&id::make_v7(now.as_millis() as u64, random));
        let op = v1::Op::Send(v1::Send {
            to: format!("to-{conversation}").into(),
            client_msg_id: client_msg_id.into(),
            content: Some(v1::Content::Text(self.text.clone().into())),
            ..v1::Send::default()
        });
        Ok(link::Request {
            request: number,
            session: Some(link::Session {
                slot: conversation as u32,
                session: 1,
                user: format!("from-{conversation}").into(),
                device: "bench".into(),
            }),
            frame: v1::ClientFrame { id: None, op: Some(op) }.encode_to_vec().into(),
            deadline_ms: 10_000,
            order: number / self.plan.conversations as u64 + 1,
            first: number <= self.plan.conversations as u64,
            conv_id: Vec::new().into(),
        })
    }

    fn take(&mut self, mut input: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.reader.next(&mut input).map_err(io::Error::other)? {
            match ToEdge::decode(frame).map_err(io::Error::other)? {
                ToEdge::Welcome(welcome) => self.credit = CreditSpender::new(&welcome),
                ToEdge::Credit(credit) => self.credit.grant(&credit).map_err(io::Error::other)?,
                ToEdge::Answer(answer) => {
                    let whole = self.answers.push(answer).map_err(io::Error::other)?;
                    let Some(whole) = whole else { continue };
                    if whole.failed {
                        let frame = v1::ServerFrame::decode(&whole.body);
                        return Err(io::Error::other(format!("a send was refused: {frame:?}")));
                    }
                    if let Some(began) = self.under_way.remove(&whole.request) {
                        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                        self.latency_us.saturating_record(took);
                    }
                }
                ToEdge::Bye(bye) => return Err(io::Error::other(bye.reason.into_owned())),
                ToEdge::Hint(_) | ToEdge::Evict(_) | ToEdge::Beacon(_) => {}
            }
        }
        Ok(())
    }
}
