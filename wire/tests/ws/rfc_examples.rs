//! The examples of RFC 6455, in both directions.

use crate::recorder::{MESSAGE_BYTES_MAX, Seen, decode};
use throng_wire::ws::{Opcode, Role, accept, encode};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Section 5.7: the unmasked text message "Hello".
#[test]
fn unmasked_text() {
    let wire = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&wire), [Seen::Text("Hello".into())]);
    let mut out = Vec::new();
    encode::frame(&mut out, Opcode::Text, b"Hello", None);
    assert_eq!(out, wire);
}

/// Section 5.7: the masked text message "Hello".
#[test]
fn masked_text() {
    let wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(crate::recorder::server(&wire), [Seen::Text("Hello".into())]);
    let mut out = Vec::new();
    encode::frame(&mut out, Opcode::Text, b"Hello", Some(KEY));
    assert_eq!(out, wire);
}

/// Section 5.7: "Hello" in two fragments.
#[test]
fn fragmented_text() {
    let wire = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(client(&wire), [Seen::Text("Hello".into())]);
    let mut out = Vec::new();
    encode::fragment(&mut out, Opcode::Text, false, b"Hel", None);
    encode::fragment(&mut out, Opcode::Continuation, true, b"lo", None);
    assert_eq!(out, wire);
}

/// Section 5.7: a ping with "Hello" and its masked pong.
#[test]
fn ping_and_pong() {
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&ping), [Seen::Ping(b"Hello".into())]);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(crate::recorder::server(&pong), [Seen::Pong(b"Hello".into())]);
    let mut out = Vec::new();
    encode::ping(&mut out, b"Hello", None);
    encode::pong(&mut out, b"Hello", Some(KEY));
    assert_eq!(out, [&ping[..], &pong].concat());
}

/// Section 5.7: the headers of 256 bytes and of 64 KiB.
#[test]
fn longer_binary() {
    let headers: [(usize, &[u8]); 2] = [
        (256, &[0x82, 0x7e, 0x01, 0x00]),
        (65_536, &[0x82, 0x7f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00]),
    ];
    for (length, header) in headers {
        assert_eq!(encode::header(Opcode::Binary, length, None).as_bytes(), header);
        let wire = [header, &vec![7; length]].concat();
        assert_eq!(client(&wire), [Seen::Binary(vec![7; length])]);
    }
}

/// Section 1.3.
#[test]
fn accept_value() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(accept::client_key(*b"the sample nonce"), key);
    assert_eq!(accept::accept_value(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

fn client(stream: &[u8]) -> Vec<Seen> {
    decode(Role::Client, MESSAGE_BYTES_MAX, [stream])
}
