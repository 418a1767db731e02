//! A message that lies whole in the input is lent from there, and not copied.

use crate::recorder::{KEY, MESSAGE_BYTES_MAX};
use throng_wire::ws::{Decoder, Event, Input, Opcode, Role, encode};

/// Where the payloads of a pipeline begin within the input.
fn payload_offsets(stream: &mut [u8]) -> Vec<usize> {
    let input_start = stream.as_ptr().addr();
    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
    let mut input = Input::new(stream);
    let mut offsets = Vec::new();
    while let Ok(Some(event)) = decoder.next(&mut input) {
        let payload = match event {
            Event::Text(text) => text.as_bytes(),
            Event::Binary(bytes) | Event::Ping(bytes) | Event::Pong(bytes) => bytes,
            Event::Close(_) => unreachable!("not sent"),
        };
        offsets.push(payload.as_ptr().addr() - input_start);
    }
    assert!(!decoder.is_mid_message());
    offsets
}

#[test]
fn a_pipeline_of_small_messages() {
    let mut stream = Vec::new();
    for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Text] {
        encode::frame(&mut stream, opcode, &[b'x'; 64], Some(KEY));
    }
    assert_eq!(payload_offsets(&mut stream), [6, 76, 146, 216, 286]);
}

#[test]
fn a_large_message_behind_a_small_one() {
    let mut stream = Vec::new();
    encode::frame(&mut stream, Opcode::Text, b"small", Some(KEY));
    encode::frame(&mut stream, Opcode::Binary, &[0; 16 * 1024], Some(KEY));
    encode::frame(&mut stream, Opcode::Binary, &[0; 70_000], Some(KEY));
    assert_eq!(payload_offsets(&mut stream), [6, 11 + 8, 11 + 8 + 16 * 1024 + 14]);
}
