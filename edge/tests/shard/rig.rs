//! What plays the world around a shard.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throng_edge::metrics::Snapshot;
use throng_edge::shard::{Clocks, Control, Handle, LinkSource, Mode, Shard, ShardConfig};
use throng_ring::sim::{Peer, Sim, SimConfig, SimDriver};
use throng_wire::limits::CHUNK_BYTES;
use throng_wire::link::{
    self, Answer, Credit, FrameReader, Hint, Register, Request, ToEdge, ToRouter, Welcome,
};
use throng_wire::ws::{Decoder, Event, Input, Opcode, Role, encode};
use throng_wire::{Json as _, Protobuf as _, v1};

pub(crate) const ADDRESS: &str = "127.0.0.1:7400";
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(25);
/// Precision of a shard's deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(16);
const WALL_MS: u64 = 1_800_000_000_000;

thread_local! {
    static WALL: Cell<u64> = const { Cell::new(WALL_MS) };
    static WORK: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Added to the stopwatch with each look at it.
    static WORK_STEP: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn wall_ms() -> u64 {
    WALL.get()
}

fn work() -> Instant {
    let now = WORK.get().unwrap_or_else(Instant::now) + WORK_STEP.get();
    WORK.set(Some(now));
    now
}

/// Lets every look at the stopwatch cost this much.
pub(crate) fn work_costs(step: Duration) {
    WORK_STEP.set(step);
}

/// Seconds of the wall clock at the start of every test.
pub(crate) const WALL_S: u64 = WALL_MS / 1000;

pub(crate) fn config(mode: Mode) -> ShardConfig {
    ShardConfig {
        shard: 0,
        shards: 1,
        mode,
        seed: 7,
        clocks: Clocks { wall_ms, work },
        keys: None,
        page: Some(b"<!doctype html>"),
        connections_max: 500,
        frame_bytes_max: 64 * 1024,
        input_shard_bytes: 1 << 27,
        output_budget_bytes: 64 * 1024,
        output_burst_bytes: 1024 * 1024,
        output_shard_bytes: 1 << 28,
        output_stall: Duration::from_secs(15),
        http_deadline: Duration::from_secs(10),
        hello_deadline: Duration::from_secs(10),
        heartbeat: HEARTBEAT,
        cold_after: Duration::from_secs(10),
        ops_per_s: 50,
        ops_burst: 200,
        accepts_per_s: 20_000,
        handshakes_max: 400,
        handshakes_per_address_max: 300,
        drain_window: Duration::from_secs(10),
    }
}

/// A shard and its world.
pub(crate) struct Rig {
    pub(crate) shard: Shard<SimDriver>,
    pub(crate) sim: Sim,
    pub(crate) handle: Handle,
    pub(crate) is_alive: bool,
    endpoints: Vec<Peer>,
    start: Instant,
}

impl Rig {
    /// A ready shard with a link that the router has welcomed.
    pub(crate) fn ready() -> (Self, Router) {
        Self::ready_with(config(Mode::Development))
    }

    pub(crate) fn ready_with(config: ShardConfig) -> (Self, Router) {
        let mut rig = Self::new(config, SimConfig::default());
        let router = rig.next_link();
        router.welcome(1 << 20, 1 << 30);
        rig.settle();
        (rig, router)
    }

    pub(crate) fn new(config: ShardConfig, sim: SimConfig) -> Self {
        WALL.set(WALL_MS);
        work_costs(Duration::ZERO);
        let (driver, sim) = SimDriver::new(sim);
        let start = sim.now();
        let is_echo = config.mode == Mode::Echo;
        let (mut sockets, endpoints): (Vec<_>, Vec<_>) =
            (0..8).map(|_| sim.endpoint().unwrap()).unzip();
        let source = LinkSource::new(move || Ok(sockets.remove(0)));
        let (mut shard, handle) = Shard::new(driver, config, (!is_echo).then_some(source));
        shard.listen(ADDRESS.parse().unwrap()).unwrap();
        handle.send(Control::Ready).unwrap();
        let mut rig = Self { shard, sim, handle, is_alive: true, endpoints, start };
        rig.settle();
        rig
    }

    /// The router's end of the link that the shard opened, or will open next.
    pub(crate) fn next_link(&mut self) -> Router {
        Router { peer: self.endpoints.remove(0), reader: FrameReader::new() }
    }

    /// Turns until nothing is to be done at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..8 {
            self.turn(Duration::ZERO);
        }
    }

    pub(crate) fn turn(&mut self, wait: Duration) {
        if self.is_alive {
            self.is_alive = self.shard.turn(wait).unwrap();
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.sim.now() + duration;
        while self.sim.now() < end && self.is_alive {
            self.turn(end - self.sim.now());
            let elapsed = self.sim.now() - self.start;
            WALL.set(WALL_MS + elapsed.as_millis() as u64);
        }
        self.settle();
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        self.handle.send(Control::Snapshot(sender)).unwrap();
        self.settle();
        receiver.try_recv().unwrap()
    }

    pub(crate) fn connect_from(&mut self, from: &str) -> Client {
        let from: SocketAddr = from.parse().unwrap();
        let peer = self.sim.connect(ADDRESS.parse().unwrap(), from).unwrap();
        self.settle();
        Client { peer, decoder: Decoder::new(Role::Client, 1 << 26), raw: Vec::new() }
    }

    pub(crate) fn connect(&mut self) -> Client {
        self.connect_from("10.0.0.1:4000")
    }

    /// A connection after its upgrade.
    pub(crate) fn upgraded(&mut self, subprotocol: &str) -> Client {
        let mut client = self.connect();
        client.upgrade(self, "/v1/ws", &[("Sec-WebSocket-Protocol", subprotocol)]);
        client
    }

    /// An established session.
    pub(crate) fn session(
        &mut self,
        router: &mut Router,
        user: &str,
    ) -> (Client, Register<'static>) {
        self.session_as(router, user, "throng.v1.json")
    }

    pub(crate) fn session_as(
        &mut self,
        router: &mut Router,
        user: &str,
        subprotocol: &str,
    ) -> (Client, Register<'static>) {
        let mut client = self.upgraded(subprotocol);
        let hello = v1::Hello { user: user.into(), device: "phone".into(), ..v1::Hello::default() };
        let frame = v1::ClientFrame { id: Some(1), op: Some(v1::Op::Hello(hello)) };
        if subprotocol.ends_with("proto") {
            client.write(Opcode::Binary, &frame.encode_to_vec());
        } else {
            client.say(&json!({"id": 1, "hello": {"user": user, "device": "phone"}}));
        }
        self.settle();
        let register = router.registers().pop().expect("the shard registers the session");
        router.confirm(&register);
        self.settle();
        assert_eq!(client.received().len(), 1, "the welcome");
        (client, register)
    }
}

/// What a client got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Text(Value),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
}

pub(crate) struct Client {
    pub(crate) peer: Peer,
    decoder: Decoder,
    raw: Vec<u8>,
}

impl Client {
    pub(crate) fn request(path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request
    }

    pub(crate) fn upgrade_request(path: &str, headers: &[(&str, &str)]) -> String {
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.extend(headers);
        Self::request(path, &all)
    }

    pub(crate) fn upgrade(&mut self, rig: &mut Rig, path: &str, headers: &[(&str, &str)]) {
        self.peer.write(Self::upgrade_request(path, headers).as_bytes());
        rig.settle();
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    /// The HTTP head that came; what follows it stays.
    pub(crate) fn head(&mut self) -> String {
        self.raw.extend(self.peer.read());
        let end = self.raw.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", self.raw)) + 4;
        String::from_utf8(self.raw.drain(..end).collect()).unwrap()
    }

    pub(crate) fn body(&mut self) -> String {
        self.raw.extend(self.peer.read());
        String::from_utf8(std::mem::take(&mut self.raw)).unwrap()
    }

    pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode::frame(&mut out, opcode, payload, Some([1, 2, 3, 4]));
        out
    }

    pub(crate) fn write(&self, opcode: Opcode, payload: &[u8]) {
        let frame = Self::frame(opcode, payload);
        assert_eq!(self.peer.write(&frame), frame.len(), "the window holds a frame");
    }

    pub(crate) fn say(&self, frame: &Value) {
        self.write(Opcode::Text, frame.to_string().as_bytes());
    }

    pub(crate) fn received(&mut self) -> Vec<Got> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.extend(self.peer.read());
        let mut input = Input::new(&mut raw);
        let mut got = Vec::new();
        while let Some(event) = self.decoder.next(&mut input).unwrap() {
            got.push(match event {
                Event::Text(text) => Got::Text(serde_json::from_str(text).unwrap_or_default()),
                Event::Binary(bytes) => Got::Binary(bytes.to_vec()),
                Event::Ping(_) => Got::Ping,
                Event::Pong(payload) => Got::Pong(payload.to_vec()),
                Event::Close(close) => Got::Close(close.code.map(throng_wire::ws::CloseCode::get)),
            });
        }
        got
    }

    /// The only JSON frame that came.
    pub(crate) fn json(&mut self) -> Value {
        match &self.received()[..] {
            [Got::Text(value)] => value.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn jsons(&mut self) -> Vec<Value> {
        let text = |got| if let Got::Text(value) = got { value } else { panic!("{got:?}") };
        self.received().into_iter().map(text).collect()
    }

    /// The code of the close frame that came last, if one came.
    pub(crate) fn closed(&mut self) -> Option<u16> {
        match self.received().last() {
            Some(Got::Close(code)) => *code,
            _ => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.peer.end().is_none()
    }
}

/// The router's end of a link.
pub(crate) struct Router {
    pub(crate) peer: Peer,
    reader: FrameReader,
}

/// What the edge said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Hello(link::Hello<'static>),
    Register(Register<'static>),
    Unregister(link::Unregister<'static>),
    Request(Request<'static>),
    Bye,
}

impl Router {
    pub(crate) fn said(&mut self) -> Vec<Said> {
        let bytes = self.peer.read();
        let mut input = &bytes[..];
        let mut said = Vec::new();
        while let Some(frame) = self.reader.next(&mut input).unwrap() {
            said.push(match ToRouter::decode(frame).unwrap() {
                ToRouter::Hello(hello) => Said::Hello(hello.into_owned()),
                ToRouter::Register(register) => Said::Register(register.into_owned()),
                ToRouter::Unregister(unregister) => Said::Unregister(unregister.into_owned()),
                ToRouter::Request(request) => Said::Request(request.into_owned()),
                ToRouter::Bye(_) => Said::Bye,
            });
        }
        said
    }

    pub(crate) fn registers(&mut self) -> Vec<Register<'static>> {
        let register =
            |said| if let Said::Register(register) = said { Some(register) } else { None };
        self.said().into_iter().filter_map(register).collect()
    }

    pub(crate) fn requests(&mut self) -> Vec<Request<'static>> {
        let request = |said| if let Said::Request(request) = said { Some(request) } else { None };
        self.said().into_iter().filter_map(request).collect()
    }

    pub(crate) fn say(&self, frame: &ToEdge<'_>) {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        assert_eq!(self.peer.write(&out), out.len(), "the window holds a frame");
    }

    pub(crate) fn welcome(&self, requests: u64, bytes: u64) {
        let welcome = Welcome { version: 1, requests, bytes, ..Welcome::default() };
        self.say(&ToEdge::Welcome(welcome));
    }

    pub(crate) fn grant(&self, requests: u64, bytes: u64) {
        self.say(&ToEdge::Credit(Credit { requests, bytes }));
    }

    pub(crate) fn answer(&self, request: u64, body: v1::Body<'_>) {
        let failed = matches!(body, v1::Body::Error(_));
        let frame = v1::ServerFrame { id: None, body: Some(body) };
        let body = frame.encode_to_vec().into();
        self.say(&ToEdge::Answer(Answer { request, body, last: true, failed }));
    }

    pub(crate) fn answer_in_chunks(&self, request: u64, body: v1::Body<'_>) {
        let whole = v1::ServerFrame { id: None, body: Some(body) }.encode_to_vec();
        let count = whole.len().div_ceil(CHUNK_BYTES);
        for (number, chunk) in (1..).zip(whole.chunks(CHUNK_BYTES)) {
            let (body, last) = (chunk.into(), number == count);
            self.say(&ToEdge::Answer(Answer { request, body, last, failed: false }));
        }
    }

    pub(crate) fn confirm(&self, register: &Register<'_>) {
        let session = register.session.as_ref().unwrap();
        let welcome = v1::Welcome {
            user: session.user.clone(),
            device: session.device.clone(),
            sync: "resync".into(),
            cursor: "cursor-1".into(),
            ..v1::Welcome::default()
        };
        self.answer(register.request, v1::Body::Welcome(welcome));
    }

    pub(crate) fn ack(&self, request: &Request<'_>, seq: u64) {
        self.answer(request.request, v1::Body::Ack(v1::Ack { seq, ..v1::Ack::default() }));
    }

    pub(crate) fn fail(&self, request: &Request<'_>, code: throng_wire::ErrorCode) {
        self.answer(request.request, v1::Body::Error(code.error()));
    }

    pub(crate) fn hint(&self, number: u64, targets: &[(u32, u32)], text: &str, ephemeral: bool) {
        let frame = event(text).encode_to_vec().into();
        let (slots, sessions) = targets.iter().copied().unzip();
        self.say(&ToEdge::Hint(Hint { number, slots, sessions, frame, ephemeral }));
    }
}

/// A pushed message.
pub(crate) fn event(text: &str) -> v1::ServerFrame<'_> {
    let content = Some(v1::Content::Text(text.into()));
    let message = v1::Message { content, ..v1::Message::default() };
    let what = Some(v1::What::Message(message));
    let event = v1::Event { seq: 9, what, ..v1::Event::default() };
    v1::ServerFrame { id: None, body: Some(v1::Body::Event(event)) }
}

/// What a JSON client gets of it.
pub(crate) fn event_json(text: &str) -> Value {
    let mut out = Vec::new();
    event(text).write_json(&mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Slot and session of a registration.
pub(crate) fn target(register: &Register<'_>) -> (u32, u32) {
    let session = register.session.as_ref().unwrap();
    (session.slot, session.session)
}

/// A send with its own id.
pub(crate) fn send(id: u64, to: &str, message: u8) -> Value {
    json!({"id": id, "send": {"to": to, "client_msg_id": message_id(message), "text": "hi"}})
}

pub(crate) fn message_id(message: u8) -> String {
    format!("019a0b1c-2d3e-7abc-8def-0000000000{message:02x}")
}

pub(crate) fn error_code(frame: &Value) -> &str {
    frame["error"]["code"].as_str().unwrap_or("none")
}
