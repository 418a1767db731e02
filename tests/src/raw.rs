//! A connection that speaks bytes: WebSocket frames made by hand (RFC 6455 section 5.2), requests
//! no client would write, and an eye for how the server ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Text, a data frame's opcode.
pub const TEXT: u8 = 0x1;
/// Binary, a data frame's opcode.
pub const BINARY: u8 = 0x2;
/// Close, a control frame's opcode.
pub const CLOSE: u8 = 0x8;
/// Ping, a control frame's opcode.
pub const PING: u8 = 0x9;
/// Pong, a control frame's opcode.
pub const PONG: u8 = 0xa;

const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// `host:port` of a ws:// URL.
#[must_use]
pub fn address_of(url: &str) -> String {
    let rest = url.strip_prefix("ws://").expect("a ws:// URL");
    rest.split('/').next().expect("split gives one").to_owned()
}

/// A raw TCP connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A frame the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The opcode.
    pub opcode: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Raw {
    /// Connects to the server of a ws:// URL.
    #[must_use]
    pub fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(address_of(url)).expect("a connection");
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(READ_TIMEOUT)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, unread: Vec::new() }
    }

    /// Connects and upgrades at the URL's path, with further header lines (each ending in CR LF).
    #[must_use]
    pub fn upgraded(url: &str, headers: &str) -> Self {
        let mut raw = Self::connect(url);
        raw.write(upgrade_request(url, headers).as_bytes());
        let head = raw.read_head();
        assert!(head.starts_with("HTTP/1.1 101"), "not upgraded: {head}");
        raw
    }

    /// Writes bytes; a server that has closed already is no failure here.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Writes bytes and says whether the server still took them.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Writes one masked, final frame.
    pub fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&masked(true, opcode, payload));
    }

    /// Writes one masked text frame.
    pub fn text(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    /// Ends our direction of the connection.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads an HTTP response's head.
    pub fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8_lossy(&head).into_owned();
            }
            if !self.fill() {
                return String::from_utf8_lossy(&self.unread).into_owned();
            }
        }
    }

    /// The next frame; none when the server ended the connection first.
    pub fn read_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.unread) {
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads on to the server's close frame and gives its code; none if it ended without one.
    pub fn close_code(&mut self) -> Option<u16> {
        while let Some(frame) = self.read_frame() {
            if frame.opcode == CLOSE {
                let code = frame.payload.get(..2)?;
                return Some(u16::from_be_bytes([code[0], code[1]]));
            }
        }
        None
    }

    /// Reads to the end; true if the server ended the connection within `wait`.
    pub fn ends_within(&mut self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if is_timeout(error.kind()) => {}
                Err(_) => return true,
            }
        }
        false
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                self.unread.extend_from_slice(&bytes[..length]);
                true
            }
            Err(error) => {
                assert!(!is_timeout(error.kind()), "the server said nothing for {READ_TIMEOUT:?}");
                false
            }
        }
    }
}

/// An upgrade request for the URL's path, with further header lines (each ending in CR LF).
#[must_use]
pub fn upgrade_request(url: &str, headers: &str) -> String {
    let address = address_of(url);
    let path = url.split_once(&address).map_or("/", |(_, path)| path);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A client frame with a mask.
#[must_use]
pub fn masked(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = header(last, opcode, payload.len(), true);
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame without a mask: from a client it is a protocol error.
#[must_use]
pub fn unmasked(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(last, opcode, payload.len(), false);
    bytes.extend_from_slice(payload);
    bytes
}

fn header(last: bool, opcode: u8, length: usize, mask: bool) -> Vec<u8> {
    let mask = if mask { 0x80 } else { 0 };
    let mut bytes = vec![if last { 0x80 } else { 0 } | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => bytes.push(mask | short),
        (_, Ok(medium)) => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

fn take_frame(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    assert_eq!(second & 0x80, 0, "a server's frames carry no mask (RFC 6455 section 5.1)");
    let payload = bytes.get(start..start + length)?.to_vec();
    bytes.drain(..start + length);
    Some(Frame { opcode: first & 0x0f, payload })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
