//! The body of a close frame: every code, the reason, and the answer.

use crate::recorder::{Seen, raw, server, server_bytewise};
use throng_wire::ws::{Close, CloseCode, ProtocolError, Role, encode};

/// RFC 6455 section 7.4 and the IANA registry, as ranges of what may be sent.
const ALLOWED: [std::ops::RangeInclusive<u16>; 3] = [1000..=1003, 1007..=1014, 3000..=4999];

#[test]
fn every_code() {
    for code in 0..=u16::MAX {
        let allowed = ALLOWED.iter().any(|range| range.contains(&code));
        assert_eq!(CloseCode::new(code).map(CloseCode::get), allowed.then_some(code));
        let expected = match allowed {
            true => Seen::Close(Some(code), "why".into()),
            false => Seen::Fault(ProtocolError::CloseCodeNotAllowed),
        };
        let body = [&code.to_be_bytes()[..], b"why"].concat();
        assert_eq!(server(&raw(0x88, &body)), [expected], "code {code}");
    }
}

#[test]
fn every_length_of_body() {
    assert_eq!(server(&raw(0x88, b"")), [Seen::Close(None, String::new())]);
    assert_eq!(server(&raw(0x88, &[3])), [Seen::Fault(ProtocolError::CloseBodyTooShort)]);
    for length in 0..=123 {
        let body = [&[0x0f, 0xa0][..], &vec![b'r'; length]].concat();
        let expected = [Seen::Close(Some(4000), "r".repeat(length))];
        assert_eq!(server(&raw(0x88, &body)), expected);
        assert_eq!(server_bytewise(&raw(0x88, &body)), expected);
    }
}

#[test]
fn a_reason_is_utf8() {
    for reason in [&b"\xff"[..], b"ok\xc3", b"\xed\xa0\x80"] {
        let body = [&[0x03, 0xe8][..], reason].concat();
        let expected = [Seen::Fault(ProtocolError::InvalidUtf8)];
        assert_eq!(server(&raw(0x88, &body)), expected);
        assert_eq!(server_bytewise(&raw(0x88, &body)), expected);
    }
}

#[test]
fn the_answer_repeats_the_code() {
    for (code, expected) in [(None, Seen::Close(None, String::new())), reply(1000), reply(4999)] {
        let mut out = Vec::new();
        encode::close_reply(&mut out, Close { code, reason: "dropped" }, None);
        assert_eq!(crate::recorder::decode(Role::Client, 0, [&out[..]]), [expected]);
    }
}

fn reply(code: u16) -> (Option<CloseCode>, Seen) {
    (CloseCode::new(code), Seen::Close(Some(code), String::new()))
}
