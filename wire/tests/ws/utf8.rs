//! Text that is not UTF-8 is refused with the first byte that makes it so.

use crate::recorder::{MESSAGE_BYTES_MAX, Seen, feed, raw, server};
use throng_wire::ws::{Decoder, ProtocolError, Role};

/// Bytes whose last one is the first that cannot be valid (Unicode, table 3-7).
const INVALID_AT_LAST: [&[u8]; 16] = [
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    b"\xff",
    b"\xc3\x28",
    b"\xe0\x9f",
    b"\xe2\x82\x28",
    b"\xed\xa0",
    b"\xf0\x8f",
    b"\xf4\x90",
    b"\xf0\x9f\x28",
    b"\xf0\x9f\x8c\x28",
    b"\xe2\xe2",
    b"\xf0\x9f\x8c\xc0",
];

const FAULT: Seen = Seen::Fault(ProtocolError::InvalidUtf8);

/// How many bytes of `stream` it takes until the decoder refuses it.
fn refused_after(stream: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
    let mut seen = Vec::new();
    stream.iter().position(|byte| {
        feed(&mut decoder, &[*byte], &mut seen);
        seen.last() == Some(&FAULT)
    })
}

#[test]
fn inside_a_frame_that_is_not_complete() {
    for prefix in ["", "a", "κόσμε", "🌍", &"x".repeat(60)] {
        for bad in INVALID_AT_LAST {
            let text = [prefix.as_bytes(), bad, b"more to come"].concat();
            let bad_at = 6 + prefix.len() + bad.len() - 1;
            assert_eq!(refused_after(&raw(0x81, &text)), Some(bad_at), "{text:02x?}");
            assert_eq!(server(&raw(0x81, &text)), [FAULT]);
            // Whole slices too: the bad byte is the last one that has arrived.
            let mut seen = Vec::new();
            let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
            feed(&mut decoder, &raw(0x81, &text)[..=bad_at], &mut seen);
            assert_eq!(seen, [FAULT], "{text:02x?}");
        }
    }
}

#[test]
fn across_fragments() {
    for bad in INVALID_AT_LAST {
        for cut in 0..=bad.len() {
            let stream = [raw(0x01, &bad[..cut]), raw(0x00, b""), raw(0x80, &bad[cut..])].concat();
            assert_eq!(server(&stream), [FAULT], "{bad:02x?} cut at {cut}");
        }
    }
}

#[test]
fn at_the_end_of_a_message() {
    for cut in ["é", "世", "🌍"] {
        for length in 1..cut.len() {
            let text = [b"text ", &cut.as_bytes()[..length]].concat();
            assert_eq!(server(&raw(0x81, &text)), [FAULT]);
            assert_eq!(refused_after(&raw(0x81, &text)), Some(6 + text.len() - 1));
            assert_eq!(server(&[raw(0x01, &text), raw(0x80, b"")].concat()), [FAULT]);
        }
    }
}

#[test]
fn valid_text_passes_at_every_cut() {
    let text = "a\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}";
    let expected = [Seen::Text(text.into())];
    for cut in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(cut);
        assert_eq!(server(&[raw(0x01, first), raw(0x80, second)].concat()), expected);
    }
    assert_eq!(refused_after(&raw(0x81, text.as_bytes())), None);
}

#[test]
fn binary_may_hold_anything() {
    let every_byte: Vec<u8> = (0x80..=0xff).chain(0..0x40).collect();
    for part in every_byte.chunks(100) {
        assert_eq!(server(&raw(0x82, part)), [Seen::Binary(part.into())]);
    }
}
