//! Any bytes are safe as a client's frame in both encodings; a frame that was understood says the
//! same when it is encoded again, and one that came as JSON the same in either encoding.
//!
//! Input: one byte of which the lowest bit chooses the encoding, then the frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_wire::client::{decode_json, decode_protobuf};
use throng_wire::{Json as _, Protobuf as _};

fn protobuf(bytes: &[u8]) {
    if let Ok(frame) = decode_protobuf(bytes) {
        let encoded = frame.encode_to_vec();
        assert_eq!(encoded.len(), frame.encoded_len());
        assert_eq!(decode_protobuf(&encoded), Ok(frame));
    }
}

fn json(text: &str) {
    if let Ok(frame) = decode_json(text) {
        let mut again = Vec::new();
        frame.write_json(&mut again);
        let again = std::str::from_utf8(&again).expect("JSON is UTF-8");
        assert_eq!(decode_json(again), Ok(frame.clone()));
        assert_eq!(decode_protobuf(&frame.encode_to_vec()), Ok(frame));
    }
}

fuzz_target!(|data: &[u8]| {
    match data {
        [encoding, frame @ ..] if encoding & 1 == 0 => protobuf(frame),
        [_, frame @ ..] => std::str::from_utf8(frame).map(json).unwrap_or_default(),
        [] => {}
    }
});
