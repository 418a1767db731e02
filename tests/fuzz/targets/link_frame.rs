//! Any bytes are cut into the same link frames, however they arrive; and a frame that was
//! understood says the same when it is encoded again.
//!
//! Input: one byte of part length, then the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_wire::link::{Frame, FrameReader, LengthError, ToEdge, ToRouter};

type Cut = (Vec<(u8, Vec<u8>)>, Option<LengthError>);

/// The frames of a stream, up to the first error.
fn cut<'p>(parts: impl Iterator<Item = &'p [u8]>) -> Cut {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for mut part in parts {
        loop {
            match reader.next(&mut part) {
                Ok(Some(frame)) => frames.push((frame.kind, frame.payload.to_owned())),
                Ok(None) => break assert!(part.is_empty()),
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The frame in `bytes`, which hold just that.
fn only_frame(bytes: &[u8]) -> (u8, Vec<u8>) {
    let (mut frames, error) = cut([bytes].into_iter());
    assert_eq!((frames.len(), error), (1, None));
    frames.remove(0)
}

fn understand(kind: u8, payload: &[u8]) {
    let frame = Frame { kind, payload };
    // What was understood may be longer in its own encoding (numbers given twice, say), so it may
    // not fit into a frame any more.
    let mut out = Vec::new();
    if let Ok(message) = ToRouter::decode(frame)
        && message.encode(&mut out).is_ok()
    {
        let (kind, payload) = only_frame(&out);
        assert_eq!(ToRouter::decode(Frame { kind, payload: &payload }), Ok(message));
    }
    out.clear();
    if let Ok(message) = ToEdge::decode(frame)
        && message.encode(&mut out).is_ok()
    {
        let (kind, payload) = only_frame(&out);
        assert_eq!(ToEdge::decode(Frame { kind, payload: &payload }), Ok(message));
    }
}

fuzz_target!(|data: &[u8]| {
    let [part_bytes, stream @ ..] = data else { return };
    let whole = cut([stream].into_iter());
    assert_eq!(cut(stream.chunks(usize::from(*part_bytes) + 1)), whole);
    assert_eq!(cut(stream.chunks(1)), whole);
    whole.0.iter().for_each(|(kind, payload)| understand(*kind, payload));
});
