//! The edge's end of a link, for tests.
#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throng_router::{Config, Router};
use throng_store::embedded::{self, Embedded};
use throng_wire::link::{self, Answers, FrameReader, ToEdge, ToRouter};
use throng_wire::{Protobuf, id, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// What is to be waited for at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A router over the store in a directory.
pub(crate) async fn router(dir: &Path) -> (Router, Embedded) {
    router_with(dir, Config { workers: 2, ..Config::default() }).await
}

pub(crate) async fn router_with(dir: &Path, config: Config) -> (Router, Embedded) {
    let store = Embedded::open(embedded::Config::new(dir)).unwrap();
    (Router::start(config, store.clone()).await.unwrap(), store)
}

/// A UUIDv7 of now.
pub(crate) fn uuid_v7(number: u8) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    id::text(&id::make_v7(now.as_millis() as u64, [number; 10]))
}

pub(crate) fn send_to(to: &str, id: &str, text: &str) -> v1::Op<'static> {
    v1::Op::Send(v1::Send {
        to: to.to_owned().into(),
        client_msg_id: id.to_owned().into(),
        content: Some(v1::Content::Text(text.to_owned().into())),
        ..v1::Send::default()
    })
}

pub(crate) fn send(conv: &str, id: &str, text: &str) -> v1::Op<'static> {
    v1::Op::Send(v1::Send {
        conv: conv.to_owned().into(),
        client_msg_id: id.to_owned().into(),
        content: Some(v1::Content::Text(text.to_owned().into())),
        ..v1::Send::default()
    })
}

/// The conversation of a send.
fn conv_of(user: &str, op: &v1::Op<'_>) -> Option<id::Id> {
    match op {
        v1::Op::Send(send) if send.to.is_empty() => id::parse(&send.conv),
        v1::Op::Send(send) => Some(id::direct_conv(user, &send.to)),
        _ => None,
    }
}

/// What the router pushes.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// Slots, ascending.
    pub(crate) slots: Vec<u32>,
    pub(crate) frame: Vec<u8>,
    /// May be dropped where a client is slow.
    pub(crate) ephemeral: bool,
}

/// One link, whose slot n has session 100 + n.
pub(crate) struct Edge {
    stream: UnixStream,
    reader: FrameReader,
    answers: Answers,
    last_request: u64,
    pub(crate) hints: VecDeque<Pushed>,
    pub(crate) evicted: Vec<(u32, u32)>,
    done: Vec<(u64, Vec<u8>, bool)>,
}

impl Edge {
    pub(crate) async fn connect(router: &Router) -> Self {
        let stream = StdUnixStream::from(router.connect().unwrap());
        stream.set_nonblocking(true).unwrap();
        let mut edge = Self {
            stream: UnixStream::from_std(stream).unwrap(),
            reader: FrameReader::new(),
            answers: Answers::new(),
            last_request: 0,
            hints: VecDeque::new(),
            evicted: Vec::new(),
            done: Vec::new(),
        };
        let hello = link::Hello {
            version_min: link::VERSION_MIN,
            version_max: link::VERSION_MAX,
            name: "test".into(),
            ..link::Hello::default()
        };
        edge.write(&ToRouter::Hello(hello)).await;
        edge
    }

    async fn write(&mut self, frame: &ToRouter<'_>) {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    fn session<'a>(slot: u32, user: &'a str, device: &'a str) -> link::Session<'a> {
        link::Session { slot, session: 100 + slot, user: user.into(), device: device.into() }
    }

    /// Reads what the router says once.
    async fn read(&mut self) {
        let mut input = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut input));
        let read = read.await.expect("the router says something in time").unwrap();
        assert!(read > 0, "the router closed the link");
        let mut rest = &input[..read];
        while let Some(frame) = self.reader.next(&mut rest).unwrap() {
            match ToEdge::decode(frame).unwrap() {
                ToEdge::Answer(answer) => {
                    if let Some(whole) = self.answers.push(answer).unwrap() {
                        self.done.push((whole.request, whole.body.into_owned(), whole.failed));
                    }
                }
                ToEdge::Hint(hint) => {
                    let mut slots = hint.slots;
                    slots.sort_unstable();
                    let (frame, ephemeral) = (hint.frame.into_owned(), hint.ephemeral);
                    self.hints.push_back(Pushed { slots, frame, ephemeral });
                }
                ToEdge::Evict(evict) => {
                    self.evicted.push((evict.session.unwrap().slot, evict.code));
                }
                ToEdge::Bye(bye) => panic!("the router says goodbye: {}", bye.reason),
                ToEdge::Welcome(_) | ToEdge::Credit(_) | ToEdge::Beacon(_) => {}
            }
        }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&mut self, request: u64) -> (Vec<u8>, bool) {
        loop {
            if let Some(at) = self.done.iter().position(|(done, _, _)| *done == request) {
                let (_, body, failed) = self.done.remove(at);
                return (body, failed);
            }
            self.read().await;
        }
    }

    pub(crate) async fn register(
        &mut self,
        slot: u32,
        user: &str,
        device: &str,
        cursor: &str,
    ) -> v1::Welcome<'static> {
        let request = self.begin_session(slot, user, device, cursor).await;
        let (body, failed) = self.answer(request).await;
        assert!(!failed);
        match v1::ServerFrame::decode(&body).unwrap().into_owned().body {
            Some(v1::Body::Welcome(welcome)) => welcome,
            other => panic!("not a welcome: {other:?}"),
        }
    }

    /// The answer to the registration of a session that had its welcome on a lost link.
    pub(crate) async fn resume(
        &mut self,
        slot: u32,
        user: &str,
        device: &str,
        since_ms: u64,
    ) -> (Vec<u8>, bool) {
        let session = Some(Self::session(slot, user, device));
        let session_id = u64::from(slot);
        let resumed = link::Register { resumed: true, since_ms, ..link::Register::default() };
        self.registered(link::Register { session, session_id, ..resumed }).await
    }

    async fn registered(&mut self, register: link::Register<'_>) -> (Vec<u8>, bool) {
        let request = self.registers(register).await;
        self.answer(request).await
    }

    async fn registers(&mut self, mut register: link::Register<'_>) -> u64 {
        self.last_request += 1;
        register.request = self.last_request;
        self.write(&ToRouter::Register(register)).await;
        self.last_request
    }

    /// Begins a session; gives the request's number.
    pub(crate) async fn begin_session(
        &mut self,
        slot: u32,
        user: &str,
        device: &str,
        cursor: &str,
    ) -> u64 {
        let session = Some(Self::session(slot, user, device));
        let session_id = u64::from(slot);
        let cursor = cursor.into();
        let register = link::Register { session, cursor, session_id, ..link::Register::default() };
        self.registers(register).await
    }

    pub(crate) async fn unregister(&mut self, slot: u32, user: &str, device: &str) {
        let session = Some(Self::session(slot, user, device));
        self.write(&ToRouter::Unregister(link::Unregister { session })).await;
    }

    /// Sends an operation; gives its number.
    pub(crate) async fn begin(&mut self, slot: u32, user: &str, op: v1::Op<'_>) -> u64 {
        self.begin_ordered(slot, user, op, (0, false)).await
    }

    pub(crate) async fn begin_ordered(
        &mut self,
        slot: u32,
        user: &str,
        op: v1::Op<'_>,
        order: (u64, bool),
    ) -> u64 {
        self.begin_within(slot, user, op, order, 10_000).await
    }

    /// Sends an operation for whose answer nobody waits longer.
    pub(crate) async fn begin_within(
        &mut self,
        slot: u32,
        user: &str,
        op: v1::Op<'_>,
        (order, first): (u64, bool),
        deadline_ms: u32,
    ) -> u64 {
        self.last_request += 1;
        let frame = v1::ClientFrame { id: None, op: Some(op.clone()) }.encode_to_vec();
        let request = link::Request {
            request: self.last_request,
            session: Some(Self::session(slot, user, "phone")),
            frame: frame.into(),
            deadline_ms,
            order,
            first,
            conv_id: conv_of(user, &op).map_or_else(Vec::new, Vec::from).into(),
        };
        self.write(&ToRouter::Request(request)).await;
        self.last_request
    }

    /// The body of the answer to an operation.
    pub(crate) async fn ask(&mut self, slot: u32, user: &str, op: v1::Op<'_>) -> v1::Body<'static> {
        let request = self.begin(slot, user, op).await;
        let (body, _) = self.answer(request).await;
        v1::ServerFrame::decode(&body).unwrap().into_owned().body.expect("a body")
    }

    pub(crate) async fn ack(&mut self, slot: u32, user: &str, op: v1::Op<'_>) -> v1::Ack<'static> {
        match self.ask(slot, user, op).await {
            v1::Body::Ack(ack) => ack,
            other => panic!("not an ack: {other:?}"),
        }
    }

    pub(crate) async fn error(&mut self, slot: u32, user: &str, op: v1::Op<'_>) -> String {
        match self.ask(slot, user, op).await {
            v1::Body::Error(error) => error.code.into_owned(),
            other => panic!("not an error: {other:?}"),
        }
    }

    /// The next thing pushed, as it came.
    pub(crate) async fn hint(&mut self) -> Pushed {
        while self.hints.is_empty() {
            self.read().await;
        }
        self.hints.pop_front().unwrap()
    }

    /// The next thing pushed: to which slots, and what.
    pub(crate) async fn pushed(&mut self) -> (Vec<u32>, v1::Body<'static>) {
        let pushed = self.hint().await;
        let frame = v1::ServerFrame::decode(&pushed.frame).unwrap().into_owned();
        (pushed.slots, frame.body.expect("a body"))
    }

    pub(crate) async fn event(&mut self) -> (Vec<u32>, v1::Event<'static>) {
        match self.pushed().await {
            (slots, v1::Body::Event(event)) => (slots, event),
            other => panic!("not an event: {other:?}"),
        }
    }

    /// Waits until an event is pushed: then the lists of all members have it, which an ack alone
    /// does not say.
    pub(crate) async fn told(&mut self, conv: &str, seq: u64) {
        loop {
            let (_, event) = self.event().await;
            if event.conv == conv && event.seq == seq {
                return;
            }
        }
    }

    /// To which `count` slots the event `seq` is pushed, in one hint or in several.
    pub(crate) async fn heard(&mut self, seq: u64, count: usize) -> Vec<u32> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let (slots, event) = self.event().await;
            assert_eq!(event.seq, seq);
            heard.extend(slots);
        }
        heard.sort_unstable();
        heard
    }

    /// Waits until a connection is closed by the router.
    pub(crate) async fn evicted(&mut self) -> (u32, u32) {
        while self.evicted.is_empty() {
            self.read().await;
        }
        self.evicted.remove(0)
    }
}
