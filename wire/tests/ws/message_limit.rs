//! A message above the limit is refused as soon as its length is known.

use crate::recorder::{KEY, Seen, decode};
use throng_wire::ws::{Decoder, Event, Input, Opcode, ProtocolError, Role, encode};

/// The decoder's verdict on a message of these fragments, without the last `held_back` bytes.
fn verdict(message_bytes_max: u32, fragments: &[usize], held_back: usize) -> Vec<Seen> {
    let mut stream = Vec::new();
    for (at, length) in fragments.iter().enumerate() {
        let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
        let fin = at + 1 == fragments.len();
        encode::fragment(&mut stream, opcode, fin, &vec![0; *length], Some(KEY));
    }
    stream.truncate(stream.len() - held_back);
    let whole = decode(Role::Server, message_bytes_max, [&stream[..]]);
    assert_eq!(decode(Role::Server, message_bytes_max, stream.chunks(7)), whole);
    whole
}

fn too_big() -> [Seen; 1] {
    [Seen::Fault(ProtocolError::MessageTooBig)]
}

#[test]
fn one_frame_at_and_above_the_limit() {
    for limit in [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000] {
        let limit_bytes = limit as usize;
        assert_eq!(verdict(limit, &[limit_bytes], 0), [Seen::Binary(vec![0; limit_bytes])]);
        assert_eq!(verdict(limit, &[limit_bytes + 1], 0), too_big());
    }
}

#[test]
fn fragments_at_and_above_the_limit() {
    assert_eq!(verdict(300, &[100, 0, 150, 50], 0), [Seen::Binary(vec![0; 300])]);
    assert_eq!(verdict(300, &[100, 0, 150, 51], 0), too_big());
    assert_eq!(verdict(300, &[300, 0], 0), [Seen::Binary(vec![0; 300])]);
    assert_eq!(verdict(300, &[301, 0], 0), too_big());
}

#[test]
fn the_declared_length_is_enough() {
    // Nothing of the payload has arrived, nor of the masking key.
    for length in [101, 126, 65_536] {
        assert_eq!(verdict(100, &[length], length + 4), too_big());
    }
    assert_eq!(verdict(100, &[60, 41], 41 + 4), too_big());
    assert_eq!(verdict(100, &[60, 40], 40 + 4), []);
}

#[test]
fn text_counts_in_bytes() {
    for (text, passes) in [("ééééé", true), ("éééééx", false)] {
        let mut stream = Vec::new();
        encode::frame(&mut stream, Opcode::Text, text.as_bytes(), Some(KEY));
        let expected = if passes { [Seen::Text(text.into())] } else { too_big() };
        assert_eq!(decode(Role::Server, 10, [&stream[..]]), expected);
    }
}

#[test]
fn control_frames_do_not_count() {
    let mut stream = Vec::new();
    encode::fragment(&mut stream, Opcode::Binary, false, b"abc", Some(KEY));
    encode::ping(&mut stream, &[1; 125], Some(KEY));
    encode::fragment(&mut stream, Opcode::Continuation, true, b"d", Some(KEY));
    let expected = [Seen::Ping(vec![1; 125]), Seen::Binary(b"abcd".into())];
    assert_eq!(decode(Role::Server, 4, [&stream[..]]), expected);
}

#[test]
fn a_limit_that_is_raised_holds_for_the_message_under_way_and_is_never_lowered() {
    for (second, is_taken) in [(200, true), (201, false)] {
        let mut decoder = Decoder::new(Role::Server, 100);
        let mut stream = Vec::new();
        encode::fragment(&mut stream, Opcode::Binary, false, &[0; 100], Some(KEY));
        assert_eq!(decoder.next(&mut Input::new(&mut stream)), Ok(None));
        decoder.raise_limit(300);
        decoder.raise_limit(50);
        stream.clear();
        encode::fragment(&mut stream, Opcode::Continuation, true, &vec![0; second], Some(KEY));
        let mut input = Input::new(&mut stream);
        let outcome = decoder.next(&mut input);
        let whole = vec![0; 100 + second];
        let taken = Ok(Some(Event::Binary(&whole)));
        let expected = if is_taken { taken } else { Err(ProtocolError::MessageTooBig) };
        assert_eq!(outcome, expected, "{second}");
    }
}

#[test]
fn what_is_held_of_a_message_is_told_and_nothing_after_it() {
    let mut decoder = Decoder::new(Role::Server, 10_000);
    let mut stream = Vec::new();
    encode::frame(&mut stream, Opcode::Binary, &[0; 5_000], Some(KEY));
    let (part, rest) = stream.split_at_mut(4_000);
    assert_eq!(decoder.held_bytes(), 0);
    assert_eq!(decoder.next(&mut Input::new(part)), Ok(None));
    assert!((4_000..6_000).contains(&decoder.held_bytes()), "{}", decoder.held_bytes());
    let mut input = Input::new(rest);
    assert!(matches!(decoder.next(&mut input), Ok(Some(_))));
    assert_eq!(decoder.next(&mut input), Ok(None));
    assert_eq!(decoder.held_bytes(), 0);
}
