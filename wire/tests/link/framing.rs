//! Property: frames come out as they were put in, whatever the pieces that carry them.

use proptest::prelude::*;
use throng_wire::limits::LINK_FRAME_BYTES_MAX;
use throng_wire::link::{
    Answer, Beacon, Frame, FrameReader, FrameTooLarge, HEADER_BYTES, KindError, LengthError,
    Request, Session, ToEdge, ToRouter,
};

fn answer(request: u64, body: Vec<u8>) -> ToEdge<'static> {
    ToEdge::Answer(Answer { request, body: body.into(), last: true, failed: false })
}

/// Reads everything of one piece; what comes is decoded and owned.
fn read(reader: &mut FrameReader, mut piece: &[u8], into: &mut Vec<(u8, Vec<u8>)>) {
    while let Some(Frame { kind, payload }) = reader.next(&mut piece).unwrap() {
        into.push((kind, payload.to_vec()));
    }
    assert!(piece.is_empty());
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        bodies in prop::collection::vec(0_usize..3000, 1..8),
        cuts in prop::collection::vec(1_usize..4000, 0..12),
    ) {
        let frames: Vec<ToEdge<'_>> =
            (0..).zip(bodies).map(|(request, length)| answer(request, vec![7; length])).collect();
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode(&mut bytes).unwrap();
        }

        let (mut reader, mut found, mut rest) = (FrameReader::new(), Vec::new(), &bytes[..]);
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            read(&mut reader, piece, &mut found);
            rest = after;
        }
        read(&mut reader, rest, &mut found);

        let decoded: Vec<ToEdge<'_>> = found
            .iter()
            .map(|(kind, payload)| ToEdge::decode(Frame { kind: *kind, payload }).unwrap())
            .collect();
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, kind: u8) {
        let mut input = &bytes[..];
        let mut reader = FrameReader::new();
        while let Ok(Some(frame)) = reader.next(&mut input) {
            let _ = ToRouter::decode(frame);
        }
        let _ = ToEdge::decode(Frame { kind, payload: &bytes });
    }
}

#[test]
fn byte_by_byte() {
    let mut bytes = Vec::new();
    answer(1, vec![1; 300]).encode(&mut bytes).unwrap();
    ToEdge::Beacon(Beacon { number: 5 }).encode(&mut bytes).unwrap();
    let (mut reader, mut found) = (FrameReader::new(), Vec::new());
    for byte in &bytes {
        read(&mut reader, &[*byte], &mut found);
    }
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].1, b"\x08\x05");
}

#[test]
fn a_frame_within_a_piece_is_lent_from_it() {
    let mut bytes = Vec::new();
    ToEdge::Beacon(Beacon { number: 5 }).encode(&mut bytes).unwrap();
    let mut reader = FrameReader::new();
    let frame = reader.next(&mut &bytes[..]).unwrap().expect("a whole frame");
    assert!(bytes.as_ptr_range().contains(&frame.payload.as_ptr()));
}

#[test]
fn the_longest_frame_passes_and_one_byte_more_does_not() {
    let longest = (LINK_FRAME_BYTES_MAX - 4) as u32;
    let header = |length: u32| [&length.to_be_bytes()[..], &[67]].concat();
    let mut bytes = header(longest);
    bytes.resize(LINK_FRAME_BYTES_MAX, 0);
    let mut reader = FrameReader::new();
    let frame = reader.next(&mut &bytes[..]).unwrap().expect("a whole frame");
    assert_eq!(frame.payload.len(), LINK_FRAME_BYTES_MAX - HEADER_BYTES);

    // Refused by its header, before a byte of it is kept.
    for length in [longest + 1, 0] {
        let mut reader = FrameReader::new();
        assert_eq!(reader.next(&mut &header(length)[..]), Err(LengthError(length)));
    }
}

#[test]
fn the_longest_message_is_encoded_and_one_byte_more_is_not() {
    let room = LINK_FRAME_BYTES_MAX - answer(1, vec![0; 60_000]).frame_len();
    let mut out = Vec::new();
    answer(1, vec![0; 60_000 + room]).encode(&mut out).unwrap();
    assert_eq!(out.len(), LINK_FRAME_BYTES_MAX);
    let too_large = answer(1, vec![0; 60_001 + room]);
    let error = FrameTooLarge(LINK_FRAME_BYTES_MAX + 1 - HEADER_BYTES);
    assert_eq!(too_large.encode(&mut out), Err(error));
    assert_eq!(out.len(), LINK_FRAME_BYTES_MAX, "nothing was appended");
}

#[test]
fn kinds_belong_to_their_direction() {
    let session =
        Some(Session { slot: 1, session: 2, user: "alice".into(), device: "phone".into() });
    let request = ToRouter::Request(Request { request: 9, session, ..Request::default() });
    let mut bytes = Vec::new();
    request.encode(&mut bytes).unwrap();
    assert_eq!(bytes.len(), request.frame_len());
    let mut reader = FrameReader::new();
    let frame = reader.next(&mut &bytes[..]).unwrap().expect("a whole frame");
    assert_eq!(ToRouter::decode(frame), Ok(request));
    assert_eq!(ToEdge::decode(frame), Err(KindError::Unknown(4)));
}

#[test]
fn a_payload_that_is_no_message_says_where() {
    let frame = Frame { kind: 2, payload: b"\x12\x04\x1a\x02\xff\xff" };
    let error = ToRouter::decode(frame).unwrap_err();
    assert_eq!(error.to_string(), "link frame of kind 2: session.user: not UTF-8");
}
