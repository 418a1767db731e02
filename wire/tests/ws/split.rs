//! However a stream is fragmented and cut, and whichever end sends it, the same messages come out.

use crate::recorder::{KEY, MESSAGE_BYTES_MAX, Seen, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use throng_wire::ws::{CloseCode, Decoder, MaskKey, Opcode, Role, encode};

/// A message or control frame, and the lengths of the fragments to send it in.
type Sent = (Seen, Vec<usize>);

fn message() -> impl Strategy<Value = Seen> {
    let lengths = prop_oneof![8 => 0..300_usize, 1 => 65_530..65_540_usize];
    prop_oneof![
        "\\PC{0,80}".prop_map(Seen::Text),
        (lengths, any::<u8>()).prop_map(|(length, byte)| Seen::Binary(vec![byte; length])),
        vec(any::<u8>(), 0..=125).prop_map(Seen::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Seen::Pong),
    ]
}

/// Encodes `sent`; a ping stands between any two fragments.
fn encode_all(sent: &[Sent], mask: Option<MaskKey>) -> (Vec<u8>, Vec<Seen>) {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for (seen, fragments) in sent {
        let (opcode, mut payload) = match seen {
            Seen::Text(text) => (Opcode::Text, text.as_bytes()),
            Seen::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            Seen::Ping(bytes) => (Opcode::Ping, &bytes[..]),
            Seen::Pong(bytes) => (Opcode::Pong, &bytes[..]),
            Seen::Close(..) | Seen::Fault(_) => unreachable!("not generated"),
        };
        let mut part_opcode = opcode;
        let may_fragment = matches!(opcode, Opcode::Text | Opcode::Binary);
        for length in fragments.iter().filter(|_| may_fragment) {
            let (part, rest) = payload.split_at(payload.len().min(*length));
            encode::fragment(&mut stream, part_opcode, false, part, mask);
            encode::ping(&mut stream, b"between", mask);
            expected.push(Seen::Ping(b"between".into()));
            (part_opcode, payload) = (Opcode::Continuation, rest);
        }
        encode::fragment(&mut stream, part_opcode, true, payload, mask);
        expected.push(seen.clone());
    }
    (stream, expected)
}

/// Cuts `stream` into parts of these lengths, again and again.
fn cut<'s>(mut stream: &'s [u8], lengths: &[usize]) -> Vec<&'s [u8]> {
    let mut parts = Vec::new();
    for length in lengths.iter().cycle() {
        let (part, rest) = stream.split_at(stream.len().min(*length));
        parts.push(part);
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    parts
}

proptest! {
    #[test]
    fn any_stream_survives_any_fragmentation_and_any_cut(
        sent in vec((message(), vec(0..100_usize, 0..4)), 1..12),
        lengths in vec(1..200_usize, 1..20),
        key in any::<MaskKey>(),
    ) {
        for (role, mask) in [(Role::Server, Some(key)), (Role::Client, None)] {
            let (stream, expected) = encode_all(&sent, mask);
            prop_assert_eq!(&decode(role, MESSAGE_BYTES_MAX, [&stream[..]]), &expected);
            prop_assert_eq!(&decode(role, MESSAGE_BYTES_MAX, cut(&stream, &lengths)), &expected);
        }
    }

    #[test]
    fn any_bytes_decode_alike_however_they_are_cut(
        stream in vec(prop_oneof![Just(0x81), Just(0x80), Just(0x01), any::<u8>()], 0..200),
        lengths in vec(1..20_usize, 1..8),
    ) {
        for role in [Role::Server, Role::Client] {
            let whole = decode(role, 100, [&stream[..]]);
            prop_assert_eq!(&decode(role, 100, cut(&stream, &lengths)), &whole);
            prop_assert_eq!(&decode(role, 100, stream.chunks(1)), &whole);
        }
    }
}

#[test]
fn a_conversation_survives_every_pair_of_cuts() {
    let sent = [
        (Seen::Text("κόσμε, 世界 🌍".into()), vec![]),
        (Seen::Text("in frägments".into()), vec![4, 0, 3]),
        (Seen::Binary(vec![0xa5; 126]), vec![]),
        (Seen::Pong(vec![]), vec![]),
    ];
    let (mut stream, mut expected) = encode_all(&sent, Some(KEY));
    encode::close(&mut stream, CloseCode::GOING_AWAY, "bye", Some(KEY));
    expected.push(Seen::Close(Some(1001), "bye".into()));
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let parts = [&stream[..first], &stream[first..second], &stream[second..]];
            let seen = decode(Role::Server, MESSAGE_BYTES_MAX, parts);
            assert_eq!(seen, expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn nothing_is_held_between_messages() {
    let (stream, _) = encode_all(&[(Seen::Binary(vec![1; 300]), vec![100])], Some(KEY));
    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
    let mut seen = Vec::new();
    assert!(!decoder.is_mid_message());
    for byte in &stream[..stream.len() - 1] {
        crate::recorder::feed(&mut decoder, &[*byte], &mut seen);
        assert!(decoder.is_mid_message());
    }
    crate::recorder::feed(&mut decoder, &stream[stream.len() - 1..], &mut seen);
    assert!(!decoder.is_mid_message());
}
