//! Any bytes decode to the same events, however they are cut; and what was decoded without a
//! fault, encoded again, decodes to itself.
//!
//! Input: one byte of options, one byte of part length, then the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_wire::ws::{CloseCode, Decoder, Event, Input, Opcode, ProtocolError, Role, encode};

const CLIENT: u8 = 1;
const SMALL_LIMIT: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Frame(Opcode, Vec<u8>),
    Close(Option<CloseCode>, String),
    Fault(ProtocolError),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Frame(Opcode::Text, text.as_bytes().to_owned()),
            Event::Binary(bytes) => Self::Frame(Opcode::Binary, bytes.to_owned()),
            Event::Ping(bytes) => Self::Frame(Opcode::Ping, bytes.to_owned()),
            Event::Pong(bytes) => Self::Frame(Opcode::Pong, bytes.to_owned()),
            Event::Close(close) => Self::Close(close.code, close.reason.to_owned()),
        }
    }
}

fn decode<'p>(
    role: Role,
    message_bytes_max: u32,
    parts: impl Iterator<Item = &'p [u8]>,
) -> Vec<Seen> {
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut seen = Vec::new();
    for part in parts {
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
    seen
}

fn encode_all(role: Role, seen: &[Seen]) -> Vec<u8> {
    let mask = (role == Role::Server).then_some([1, 2, 3, 4]);
    let mut out = Vec::new();
    for seen in seen {
        match seen {
            Seen::Frame(opcode, payload) => encode::frame(&mut out, *opcode, payload, mask),
            Seen::Close(Some(code), reason) => encode::close(&mut out, *code, reason, mask),
            Seen::Close(None, _) => encode::frame(&mut out, Opcode::Close, &[], mask),
            Seen::Fault(_) => {}
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let [options, part_bytes, stream @ ..] = data else { return };
    let role = if options & CLIENT == 0 { Role::Server } else { Role::Client };
    let message_bytes_max = if options & SMALL_LIMIT == 0 { 1 << 20 } else { 200 };
    let mut whole = decode(role, message_bytes_max, [stream].into_iter());
    let part_bytes = usize::from(*part_bytes) + 1;
    assert_eq!(decode(role, message_bytes_max, stream.chunks(part_bytes)), whole);
    assert_eq!(decode(role, message_bytes_max, stream.chunks(1)), whole);

    whole.retain(|seen| !matches!(seen, Seen::Fault(_)));
    let again = encode_all(role, &whole);
    assert_eq!(decode(role, message_bytes_max, [&again[..]].into_iter()), whole);
});
