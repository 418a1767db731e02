//! What fanning an event out costs: one frame of 128 B to every connection of a shard.
//!
//! `cargo bench -p throng-bench --bench fanout [CONNECTIONS] [ROUNDS]` takes turns between three
//! senders on one core, each with as many loopback connections, whose other ends read on another:
//! - `shard`: a shard of the gateway. A router (this program) names all its sessions in hints; the
//!   shard decodes, looks the sessions up, encodes once, queues, sends, and hears of the ends.
//! - `ring`: the driver alone, one send per connection.
//! - `send(2)`: one system call per connection, from one buffer: the bare cost.
//!
//! The figure is the sender's thread's processor time per connection, from the schedule statistics
//! of the kernel; ratios are taken round by round.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::net::{SendFlags, send};
use rustix::time::{ClockId, clock_gettime};
use throng_bench::host::Host;
use throng_bench::spread::Spread;
use throng_edge::shard::{Clocks, Control, LinkSource, Mode, Shard, ShardConfig};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{
    Arm, ConnId, ConnectOptions, Driver, Event, Handler, Io, ListenOptions, SendBatch, host,
};
use throng_wire::http::{UpgradeRequest, encode_upgrade_request};
use throng_wire::link::{
    Answer, FrameReader, Hint, Register, ToEdge, ToRouter, Welcome as LinkWelcome,
};
use throng_wire::ws::{Opcode, accept::client_key, encode};
use throng_wire::{Protobuf as _, v1};

const FRAME_BYTES: usize = 128;
const TARGETS_PER_HINT: usize = 1000;
const OPENING_AT_ONCE: usize = 256;
const WAIT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
const SPARE_SLOTS: u32 = 128;

/// Sends to all its connections when asked.
trait Contender {
    fn name(&self) -> &'static str;
    /// One round: the sender's processor time for all connections.
    fn round(&mut self) -> io::Result<Duration>;
}

fn main() -> io::Result<()> {
    let argument = |n: usize, default: usize| {
        let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
        numbers.get(n).copied().unwrap_or(default)
    };
    let (connections, rounds) = (argument(0, 10_000), argument(1, 40));
    let _ = host::raise_nofile();
    let cores = host::cores();
    let [sender_core, reader_core, ..] = cores[..] else {
        return Err(io::Error::other("two processors are needed"));
    };
    let place = Place { connections, sender_core, reader_core };
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(OfShard::start(&place)?),
        Box::new(OfRing::start(&place)?),
        Box::new(OfSend::start(&place)?),
    ];
    let mut each_us = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for (contender, rounds) in contenders.iter_mut().zip(&mut each_us) {
            rounds.push(contender.round()?.as_secs_f64() * 1e6 / connections as f64);
        }
    }
    report(&place, &contenders, &each_us)
}

fn report(
    place: &Place,
    contenders: &[Box<dyn Contender>],
    each_us: &[Vec<f64>],
) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", Host::read().line())?;
    let rounds = each_us[0].len();
    writeln!(out, "{} connections, {FRAME_BYTES} B, {rounds} rounds", place.connections)?;
    let bare = each_us.last().map(Vec::as_slice).unwrap_or_default();
    for (contender, rounds) in contenders.iter().zip(each_us) {
        let ratios: Vec<f64> = rounds.iter().zip(bare).map(|(one, bare)| one / bare).collect();
        let (Some(us), Some(ratio)) = (Spread::of(rounds), Spread::of(&ratios)) else { continue };
        writeln!(
            out,
            "{:>8}: {:.2} us each ({:.2} - {:.2}), {:.2} x send(2) ({:.2} - {:.2})",
            contender.name(),
            us.median,
            us.low,
            us.high,
            ratio.median,
            ratio.low,
            ratio.high
        )?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Place {
    connections: usize,
    sender_core: usize,
    reader_core: usize,
}

impl Place {
    fn driver(&self) -> io::Result<UringDriver> {
        let connections_max = self.connections as u32 + SPARE_SLOTS;
        let config = UringConfig { connections_max, ..UringConfig::default() };
        UringDriver::new(config).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// The processor time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The processor time of another thread of this process, by its number.
fn cpu_of(thread: i32) -> io::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
    let nanoseconds = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| io::Error::other("schedstat"))
}

/// Waits until `done`.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > end {
            return Err(io::Error::other(format!("no {what} within {PATIENCE:?}")));
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// The clients of a contender: they connect, say their words, and count the bytes that come.
struct Crowd {
    received: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn start(
        place: Place,
        to: SocketAddr,
        words: impl Fn(usize) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let (received, stopping) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stops) = (Arc::clone(&received), Arc::clone(&stopping));
        let thread = thread::spawn(move || {
            let _ = host::pin_to_core(place.reader_core);
            let Ok(mut driver) = place.driver() else { return };
            let mut clients = Clients { words, connected: 0, received: counted };
            let mut started = 0;
            while !stops.load(Ordering::Relaxed) {
                while started < place.connections && started < clients.connected + OPENING_AT_ONCE {
                    if driver.io().connect(ConnectOptions { to, bind: None }).is_err() {
                        return;
                    }
                    started += 1;
                }
                if driver.turn(WAIT, &mut clients).is_err() {
                    return;
                }
            }
        });
        Self { received, stopping, thread: Some(thread) }
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

struct Clients<F> {
    words: F,
    connected: usize,
    received: Arc<AtomicU64>,
}

impl<I: Io, F: Fn(usize) -> Vec<u8>> Handler<I> for Clients<F> {
    fn event(&mut self, io: &mut I, event: Event<'_>) {
        match event {
            Event::Connected { conn, result: Ok(()) } => {
                let words = (self.words)(self.connected);
                self.connected += 1;
                io.arm(conn, Arm::Hot);
                if !words.is_empty() {
                    let mut batch = SendBatch::new();
                    batch.push_owned(words);
                    // Refused only for a connection that is gone: the wait for its bytes tells.
                    drop(io.send(conn, batch));
                }
            }
            Event::Received { data, .. } => {
                self.received.fetch_add(data.len() as u64, Ordering::Release);
            }
            _ => {}
        }
    }
}

/// An event whose encoding has [`FRAME_BYTES`].
fn event() -> Vec<u8> {
    let encode = |text: &str| {
        let content = Some(v1::Content::Text(text.into()));
        let message = v1::Message { content, ..v1::Message::default() };
        let event =
            v1::Event { seq: 9, what: Some(v1::What::Message(message)), ..Default::default() };
        v1::ServerFrame { id: None, body: Some(v1::Body::Event(event)) }.encode_to_vec()
    };
    let without = encode(&"x".repeat(FRAME_BYTES / 2)).len() - FRAME_BYTES / 2;
    encode(&"x".repeat(FRAME_BYTES - without))
}

fn websocket_frame() -> Vec<u8> {
    let mut out = Vec::new();
    encode::frame(&mut out, Opcode::Binary, &event(), None);
    out
}

/// The gateway's shard and its router.
struct OfShard {
    crowd: Crowd,
    link: UnixStream,
    thread: i32,
    targets: Vec<(u32, u32)>,
    hints: u64,
}

impl OfShard {
    fn start(place: &Place) -> io::Result<Self> {
        let (edge, mut link) = UnixStream::pair()?;
        let mut edge = Some(edge);
        let source = LinkSource::new(move || {
            let end = edge.take().ok_or_else(|| io::Error::other("the link was lost"));
            end.map(Into::into)
        });
        let (say, said) = channel();
        let own = *place;
        thread::spawn(move || serve_shard(own, source, &say));
        let (thread, address) = said.recv().map_err(io::Error::other)?;
        link.set_read_timeout(Some(PATIENCE))?;
        let crowd = Crowd::start(*place, address, hello);
        let targets = welcome_all(&mut link, place.connections)?;
        thread::sleep(Duration::from_millis(300));
        Ok(Self { crowd, link, thread, targets, hints: 0 })
    }
}

fn serve_shard(place: Place, source: LinkSource, say: &Sender<(i32, SocketAddr)>) {
    let _ = host::pin_to_core(place.sender_core);
    let Ok(driver) = place.driver() else { return };
    let (mut shard, handle) = Shard::new(driver, shard_config(&place), Some(source));
    let Ok(address) = shard.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) else { return };
    // Its mailbox is empty.
    drop(handle.send(Control::Ready));
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    if say.send((thread, address)).is_ok() {
        // It ends with the process.
        drop(shard.run());
    }
}

fn shard_config(place: &Place) -> ShardConfig {
    let (many, long) = (1_000_000, Duration::from_secs(3600));
    ShardConfig {
        shard: 0,
        shards: 1,
        mode: Mode::Development,
        seed: 7,
        clocks: Clocks::HOST,
        keys: None,
        page: None,
        connections_max: place.connections,
        frame_bytes_max: 64 * 1024,
        input_shard_bytes: 1 << 27,
        output_budget_bytes: 64 * 1024,
        output_burst_bytes: 1 << 20,
        output_shard_bytes: 1 << 28,
        output_stall: long,
        http_deadline: long,
        hello_deadline: long,
        heartbeat: long,
        cold_after: long,
        ops_per_s: 50,
        ops_burst: 200,
        accepts_per_s: many,
        handshakes_max: many,
        handshakes_per_address_max: many,
        drain_window: long,
    }
}

/// The upgrade and the hello behind it.
fn hello(number: usize) -> Vec<u8> {
    let key = client_key([7; 16]);
    let request = UpgradeRequest {
        host: "localhost",
        target: "/v1/ws",
        subprotocols: &["throng.v1.proto"],
        headers: &[],
        key: &key,
    };
    let mut out = Vec::new();
    encode_upgrade_request(&mut out, &request);
    let user = format!("user{number}");
    let hello = v1::Hello { user: user.into(), device: "bench".into(), ..v1::Hello::default() };
    let frame = v1::ClientFrame { id: Some(1), op: Some(v1::Op::Hello(hello)) };
    encode::frame(&mut out, Opcode::Binary, &frame.encode_to_vec(), Some([1, 2, 3, 4]));
    out
}

/// Plays the router until every session is registered. Where each is.
fn welcome_all(link: &mut UnixStream, sessions: usize) -> io::Result<Vec<(u32, u32)>> {
    let (mut reader, mut bytes) = (FrameReader::new(), vec![0; 1 << 16]);
    let (mut targets, mut out) = (Vec::new(), Vec::new());
    while targets.len() < sessions {
        let read = link.read(&mut bytes)?;
        let mut input = &bytes[..read];
        while let Some(frame) = reader.next(&mut input).map_err(io::Error::other)? {
            match ToRouter::decode(frame).map_err(io::Error::other)? {
                ToRouter::Hello(_) => {
                    let (requests, bytes) = (1 << 40, 1 << 50);
                    let welcome = LinkWelcome { version: 1, requests, bytes, ..Default::default() };
                    say(&ToEdge::Welcome(welcome), &mut out)?;
                }
                ToRouter::Register(register) => targets.extend(confirm(&register, &mut out)?),
                _ => {}
            }
        }
        link.write_all(&out)?;
        out.clear();
    }
    Ok(targets)
}

fn say(frame: &ToEdge<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    frame.encode(out).map_err(io::Error::other)
}

fn confirm(register: &Register<'_>, out: &mut Vec<u8>) -> io::Result<Option<(u32, u32)>> {
    let Some(session) = &register.session else { return Ok(None) };
    let (user, device) = (session.user.clone(), session.device.clone());
    let welcome = v1::Welcome { user, device, sync: "resync".into(), ..v1::Welcome::default() };
    let body = v1::ServerFrame { id: None, body: Some(v1::Body::Welcome(welcome)) };
    let body = body.encode_to_vec().into();
    let answer = Answer { request: register.request, body, last: true, failed: false };
    say(&ToEdge::Answer(answer), out)?;
    Ok(Some((session.slot, session.session)))
}

impl Contender for OfShard {
    fn name(&self) -> &'static str {
        "shard"
    }

    fn round(&mut self) -> io::Result<Duration> {
        let mut out = Vec::new();
        for targets in self.targets.chunks(TARGETS_PER_HINT) {
            self.hints += 1;
            let (slots, sessions) = targets.iter().copied().unzip();
            let (number, frame) = (self.hints, event().into());
            say(
                &ToEdge::Hint(Hint { number, slots, sessions, frame, ephemeral: false }),
                &mut out,
            )?;
        }
        let expected =
            self.crowd.received() + (self.targets.len() * websocket_frame().len()) as u64;
        let before = cpu_of(self.thread)?;
        self.link.write_all(&out)?;
        wait_until("hint's end", || self.crowd.received() >= expected)?;
        // The shard still hears of the last sends.
        thread::sleep(Duration::from_millis(5));
        Ok(cpu_of(self.thread)?.saturating_sub(before))
    }
}

/// The driver alone.
struct OfRing {
    crowd: Crowd,
    ask: Sender<()>,
    answers: Receiver<Duration>,
    waker: throng_ring::Waker,
    bytes: u64,
}

struct Sends {
    connections: Vec<ConnId>,
    frame: Bytes,
    under_way: usize,
}

impl<I: Io> Handler<I> for Sends {
    fn event(&mut self, _: &mut I, event: Event<'_>) {
        match event {
            Event::Accepted { conn, .. } => self.connections.push(conn),
            Event::Sent { .. } => self.under_way -= 1,
            _ => {}
        }
    }
}

impl OfRing {
    fn start(place: &Place) -> io::Result<Self> {
        let (say, said) = channel();
        let (ask, asked) = channel();
        let (answer, answers) = channel();
        let own = *place;
        thread::spawn(move || drop(serve_ring(own, &say, &asked, &answer)));
        let (address, waker) = said.recv().map_err(io::Error::other)?;
        let crowd = Crowd::start(*place, address, |_| Vec::new());
        let bytes = (place.connections * websocket_frame().len()) as u64;
        Ok(Self { crowd, ask, answers, waker, bytes })
    }
}

fn serve_ring(
    place: Place,
    say: &Sender<(SocketAddr, throng_ring::Waker)>,
    asked: &Receiver<()>,
    answer: &Sender<Duration>,
) -> io::Result<()> {
    host::pin_to_core(place.sender_core)?;
    let mut driver = place.driver()?;
    let options = ListenOptions { backlog: 4096, reuse_port: false };
    let listener = driver.io().listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options)?;
    let address = driver.io().local_addr(listener)?;
    let waker = driver.io().waker();
    say.send((address, waker)).map_err(io::Error::other)?;
    let frame = Bytes::from(websocket_frame());
    let mut sends = Sends { connections: Vec::new(), frame, under_way: 0 };
    loop {
        driver.turn(WAIT, &mut sends)?;
        if sends.connections.len() < place.connections || asked.try_recv().is_err() {
            continue;
        }
        let before = thread_cpu();
        for &conn in &sends.connections {
            let mut batch = SendBatch::new();
            batch.push_shared(sends.frame.clone());
            let sent = driver.io().send(conn, batch);
            sends.under_way += usize::from(sent.is_ok());
        }
        while sends.under_way > 0 {
            driver.turn(WAIT, &mut sends)?;
        }
        answer.send(thread_cpu().saturating_sub(before)).map_err(io::Error::other)?;
    }
}

impl Contender for OfRing {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn round(&mut self) -> io::Result<Duration> {
        let expected = self.crowd.received() + self.bytes;
        self.ask.send(()).map_err(io::Error::other)?;
        self.waker.wake();
        let took = self.answers.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        wait_until("sends' end", || self.crowd.received() >= expected)?;
        Ok(took)
    }
}

/// System calls alone.
struct OfSend {
    crowd: Crowd,
    ask: Sender<()>,
    answers: Receiver<io::Result<Duration>>,
    bytes: u64,
}

impl OfSend {
    fn start(place: &Place) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let crowd = Crowd::start(*place, listener.local_addr()?, |_| Vec::new());
        let mut sockets = Vec::new();
        for _ in 0..place.connections {
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        let (ask, asked) = channel::<()>();
        let (answer, answers) = channel();
        let core = place.sender_core;
        thread::spawn(move || {
            let _ = host::pin_to_core(core);
            let frame = websocket_frame();
            while asked.recv().is_ok() {
                let before = thread_cpu();
                let sent = sockets.iter().try_for_each(|socket| {
                    send(socket, &frame, SendFlags::NOSIGNAL).map(drop).map_err(io::Error::from)
                });
                let took = sent.map(|()| thread_cpu().saturating_sub(before));
                if answer.send(took).is_err() {
                    return;
                }
            }
        });
        let bytes = (place.connections * websocket_frame().len()) as u64;
        Ok(Self { crowd, ask, answers, bytes })
    }
}

impl Contender for OfSend {
    fn name(&self) -> &'static str {
        "send(2)"
    }

    fn round(&mut self) -> io::Result<Duration> {
        let expected = self.crowd.received() + self.bytes;
        self.ask.send(()).map_err(io::Error::other)?;
        let took = self.answers.recv_timeout(PATIENCE).map_err(io::Error::other)??;
        wait_until("sends' end", || self.crowd.received() >= expected)?;
        Ok(took)
    }
}
