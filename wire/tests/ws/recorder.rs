//! What a decoder makes of a stream that arrives in parts, kept for comparison.

use throng_wire::ws::{CloseCode, Decoder, Event, Input, MaskKey, ProtocolError, Role};

/// An event that outlives its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Fault(ProtocolError),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close(close) => {
                Self::Close(close.code.map(CloseCode::get), close.reason.to_owned())
            }
        }
    }
}

/// Feeds one part.
pub(crate) fn feed(decoder: &mut Decoder, part: &[u8], seen: &mut Vec<Seen>) {
    let mut part = part.to_owned();
    let mut input = Input::new(&mut part);
    loop {
        match decoder.next(&mut input) {
            Ok(Some(event)) => seen.push(event.into()),
            Ok(None) => break,
            Err(fault) => seen.push(Seen::Fault(fault)),
        }
    }
    assert_eq!(input.remaining(), 0);
}

/// The message limit of tests that are not about it.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 1 << 20;

/// All that a fresh decoder makes of `parts`.
pub(crate) fn decode<'p>(
    role: Role,
    message_bytes_max: u32,
    parts: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Seen> {
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut seen = Vec::new();
    parts.into_iter().for_each(|part| feed(&mut decoder, part, &mut seen));
    seen
}

/// What the server's side makes of a stream in one part.
pub(crate) fn server(stream: &[u8]) -> Vec<Seen> {
    decode(Role::Server, MESSAGE_BYTES_MAX, [stream])
}

/// The same, byte by byte.
pub(crate) fn server_bytewise(stream: &[u8]) -> Vec<Seen> {
    decode(Role::Server, MESSAGE_BYTES_MAX, stream.chunks(1))
}

/// A key whose four bytes differ.
pub(crate) const KEY: MaskKey = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame put together by hand, so that it may break any rule.
pub(crate) fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= 125);
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend(KEY);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]));
    frame
}
