//! One WebSocket connection over tungstenite that speaks `throng.v1.json`: it numbers requests,
//! finds their answers and keeps what the server pushes, in order. It judges nothing; what a whole
//! client does with it is [`crate::participant`].

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::ids;

/// How long an answer may take before the test fails.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the server's close frame; none if the connection broke without one.
    pub code: Option<u16>,
    /// The reason given with it, or what broke.
    pub reason: String,
}

/// Why a connection did not come about.
#[derive(Debug)]
pub enum Refused {
    /// No TCP connection, or it broke during the handshake.
    Broken(String),
    /// An HTTP answer other than 101.
    Status(u16),
}

/// A connection to the gateway.
#[derive(Debug)]
pub struct Client {
    socket: WebSocket<TcpStream>,
    answers: HashMap<u64, Value>,
    pushed: VecDeque<Value>,
    next_id: u64,
    closed: Option<Closed>,
}

impl Client {
    /// Connects, offering the JSON subprotocol.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn connect(url: &str) -> Result<Self, Refused> {
        Self::connect_with(url, &[("Sec-WebSocket-Protocol", "throng.v1.json")])
    }

    /// Connects with these headers.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn connect_with(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Refused> {
        let request = request(url, headers);
        let address = crate::raw::address_of(url);
        let stream = TcpStream::connect(&address).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(broken)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(broken)?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self::over(socket)),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                Err(Refused::Status(response.status().as_u16()))
            }
            Err(error) => Err(Refused::Broken(error.to_string())),
        }
    }

    fn over(socket: WebSocket<TcpStream>) -> Self {
        let (answers, pushed) = (HashMap::new(), VecDeque::new());
        Self { socket, answers, pushed, next_id: 1, closed: None }
    }

    /// Connects and says hello in development mode; panics unless welcomed. Gives the welcome too.
    #[must_use]
    pub fn join(url: &str, user: &str, device: &str) -> (Self, Value) {
        let mut client = Self::connect(url).expect("a connection");
        let welcome = client.hello(&json!({"user": user, "device": device}));
        assert!(welcome.get("welcome").is_some(), "{user}/{device} was not welcomed: {welcome}");
        let welcome = welcome["welcome"].clone();
        (client, welcome)
    }

    /// Says hello and gives the whole answering frame.
    pub fn hello(&mut self, fields: &Value) -> Value {
        self.ask("hello", fields)
    }

    /// Sends an op with a new id, which it gives back. A broken connection shows on reading.
    pub fn request(&mut self, op: &str, fields: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_text(&json!({"id": id, op: fields}).to_string());
        id
    }

    /// Sends an op without an id: only an error is answered.
    pub fn tell(&mut self, op: &str, fields: &Value) {
        self.send_text(&json!({ op: fields }).to_string());
    }

    /// Sends a text message as it is.
    pub fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text));
    }

    /// Sends any WebSocket message.
    pub fn send_message(&mut self, message: Message) {
        if let Err(error) = self.socket.send(message) {
            self.note_write_error(&error);
        }
    }

    /// The answer to a request: the whole frame, or how the connection ended before it came.
    ///
    /// # Errors
    /// When the connection ended first.
    ///
    /// # Panics
    /// When nothing came within [`ANSWER_TIMEOUT`].
    pub fn answer(&mut self, id: u64) -> Result<Value, Closed> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(answer);
            }
            if let Some(closed) = &self.closed {
                return Err(closed.clone());
            }
            assert!(Instant::now() < deadline, "request {id} was not answered in time");
            self.read_until(deadline);
        }
    }

    /// An answer that has already been read, without waiting.
    pub fn answer_at_hand(&mut self, id: u64) -> Option<Value> {
        self.answers.remove(&id)
    }

    /// Requests and waits; panics if the connection ends.
    pub fn ask(&mut self, op: &str, fields: &Value) -> Value {
        let id = self.request(op, fields);
        self.answer(id).unwrap_or_else(|closed| panic!("{op} {fields}: {closed:?}"))
    }

    /// Requests, and gives what is under `key` of the answer; panics if it is another answer.
    pub fn ask_for(&mut self, key: &str, op: &str, fields: &Value) -> Value {
        let answer = self.ask(op, fields);
        answer.get(key).unwrap_or_else(|| panic!("{op} {fields} got {answer}")).clone()
    }

    /// Requests what must fail, and gives the error's code.
    pub fn error_of(&mut self, op: &str, fields: &Value) -> String {
        let error = self.ask_for("error", op, fields);
        error["code"].as_str().unwrap_or_else(|| panic!("no code in {error}")).to_owned()
    }

    /// Sends a text to a conversation and gives its seq.
    pub fn say(&mut self, conv: &str, text: &str) -> u64 {
        let fields = json!({"conv": conv, "client_msg_id": ids::fresh(), "text": text});
        let ack = self.ask_for("ack", "send", &fields);
        ack["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {ack}"))
    }

    /// Creates a group with these further members and gives its conversation.
    pub fn create_group(&mut self, name: &str, members: &[&str]) -> String {
        let fields = json!({"name": name, "members": members, "client_msg_id": ids::fresh()});
        let ack = self.ask_for("ack", "create_group", &fields);
        ack["conv"].as_str().unwrap_or_else(|| panic!("no conv in {ack}")).to_owned()
    }

    /// The log of a conversation above `after`, as `sync` gives it: one page.
    pub fn sync(&mut self, conv: &str, after: u64) -> Value {
        let fields = json!({"convs": [{"conv": conv, "after": after}], "limit": 200});
        let page = self.ask_for("sync", "sync", &fields);
        page["convs"][0].clone()
    }

    /// The texts of a conversation's messages above `after`.
    pub fn texts(&mut self, conv: &str, after: u64) -> Vec<String> {
        let page = self.sync(conv, after);
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let texts = events.iter().filter_map(|event| event["message"]["text"].as_str());
        texts.map(str::to_owned).collect()
    }

    /// Makes sure that everything sent before has been handled: a ping is answered.
    pub fn ping(&mut self) {
        let _ = self.ask_for("pong", "ping", &json!({}));
    }

    /// The next pushed frame, if one comes within `wait`.
    pub fn pushed_within(&mut self, wait: Duration) -> Option<Value> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(frame) = self.pushed.pop_front() {
                return Some(frame);
            }
            if self.closed.is_some() || Instant::now() >= deadline {
                return None;
            }
            self.read_until(deadline);
        }
    }

    /// What is under `key` of the next pushed frame that has it; others before it are dropped.
    ///
    /// # Panics
    /// When none comes within [`ANSWER_TIMEOUT`].
    pub fn pushed_with(&mut self, key: &str) -> Value {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = self.pushed_within(left);
            let frame = frame.unwrap_or_else(|| panic!("no {key} was pushed: {:?}", self.closed));
            if let Some(found) = frame.get(key) {
                return found.clone();
            }
        }
    }

    /// Waits until the server ends the connection; panics if it does not within `wait`.
    pub fn closed_within(&mut self, wait: Duration) -> Closed {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(closed) = &self.closed {
                return closed.clone();
            }
            assert!(Instant::now() < deadline, "the server kept the connection for {wait:?}");
            self.read_until(deadline);
        }
    }

    /// How the connection ended, if it has, without waiting.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Breaks the TCP connection without a word.
    pub fn cut(&mut self) {
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
        self.closed.get_or_insert(Closed { code: None, reason: "cut by the test".into() });
    }

    /// The socket below.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// Reads whatever comes until `deadline`, at least one message if one comes.
    pub fn read_until(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let _ = self.socket.get_ref().set_read_timeout(Some(left));
        match self.socket.read() {
            Ok(Message::Text(text)) => self.keep(&text),
            Ok(Message::Close(frame)) => {
                let code = frame.as_ref().map(|frame| CloseCode::into(frame.code));
                let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                self.closed.get_or_insert(Closed { code, reason });
            }
            Ok(_) => {}
            Err(Error::Io(error)) if is_timeout(error.kind()) => {}
            Err(error) => {
                let reason = error.to_string();
                self.closed.get_or_insert(Closed { code: None, reason });
            }
        }
    }

    // What the server said before it closed is still to be read, so a failed write is no end yet.
    fn note_write_error(&mut self, error: &Error) {
        if matches!(error, Error::AlreadyClosed | Error::ConnectionClosed) {
            let reason = error.to_string();
            self.closed.get_or_insert(Closed { code: None, reason });
        }
    }

    fn keep(&mut self, text: &str) {
        let frame: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        match frame.get("id").and_then(Value::as_u64) {
            Some(id) => {
                let second = self.answers.insert(id, frame);
                assert!(second.is_none(), "request {id} was answered twice: {second:?}");
            }
            None => self.pushed.push_back(frame),
        }
    }
}

fn request(url: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header value"));
    }
    request
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn broken(error: std::io::Error) -> Refused {
    Refused::Broken(error.to_string())
}
