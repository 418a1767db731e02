//! WebSocket frames that break RFC 6455 get the close code it names, and nobody else notices.

use std::time::Duration;

use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, masked, unmasked};

const HELLO: &str = r#"{"id": 1, "hello": {"user": "ann", "device": "phone"}}"#;

fn welcomed(gateway: &Gateway) -> Raw {
    let mut raw = Raw::upgraded(&gateway.url(), "");
    raw.text(HELLO);
    let frame = raw.read_frame().unwrap();
    assert!(String::from_utf8_lossy(&frame.payload).contains("welcome"));
    raw
}

/// The close code that these bytes get, before and after hello; a bystander must stay served.
fn close_code(bytes: &[u8]) -> Option<u16> {
    let gateway = Gateway::start();
    let (mut bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    let mut fresh = Raw::upgraded(&gateway.url(), "");
    fresh.write(bytes);
    let before = fresh.close_code();
    let mut known = welcomed(&gateway);
    known.write(bytes);
    assert_eq!(known.close_code(), before);
    assert!(known.ends_within(Duration::from_secs(10)), "the server ends the connection");
    bystander.ping();
    before
}

#[test]
fn an_unmasked_frame_is_1002() {
    assert_eq!(close_code(&unmasked(true, TEXT, b"{}")), Some(1002));
}

#[test]
fn reserved_bits_and_opcodes_are_1002() {
    for first in
        [0x80 | 0x40 | TEXT, 0x80 | 0x20 | TEXT, 0x80 | 0x10 | TEXT, 0x83, 0x87, 0x8b, 0x8f]
    {
        let mut bytes = masked(true, TEXT, b"{}");
        bytes[0] = first;
        assert_eq!(close_code(&bytes), Some(1002), "{first:#x}");
    }
}

#[test]
fn control_frames_that_are_long_or_in_pieces_are_1002() {
    assert_eq!(close_code(&masked(true, PING, &[b'x'; 126])), Some(1002));
    assert_eq!(close_code(&masked(false, PING, b"x")), Some(1002));
}

#[test]
fn a_ping_of_125_bytes_is_answered_alike() {
    let gateway = Gateway::start();
    let mut raw = welcomed(&gateway);
    raw.frame(PING, &[b'x'; 125]);
    let pong = raw.read_frame().unwrap();
    assert_eq!((pong.opcode, pong.payload), (PONG, vec![b'x'; 125]));
}

#[test]
fn a_continuation_of_nothing_and_a_start_within_a_message_are_1002() {
    assert_eq!(close_code(&masked(true, 0, b"{}")), Some(1002));
    let twice = [masked(false, TEXT, b"{"), masked(true, TEXT, b"}")].concat();
    assert_eq!(close_code(&twice), Some(1002));
}

#[test]
fn a_length_in_more_bytes_than_needed_is_1002() {
    let payload = masked(true, TEXT, b"{}")[2..].to_vec();
    let two_bytes = [&[0x81, 0x80 | 126, 0, 2][..], &payload].concat();
    let eight_bytes = [&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 2][..], &payload].concat();
    assert_eq!(close_code(&two_bytes), Some(1002));
    assert_eq!(close_code(&eight_bytes), Some(1002));
}

#[test]
fn a_length_above_the_limit_is_1009_before_its_bytes_come() {
    let header = [0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(close_code(&header), Some(1009));
    let mut impossible = header;
    impossible[2] = 0xff;
    assert!(matches!(close_code(&impossible), Some(1002 | 1009)));
}

#[test]
fn pieces_that_add_up_above_the_limit_are_1009() {
    let piece = [b' '; 40_000];
    let bytes = [masked(false, TEXT, &piece), masked(true, 0, &piece)].concat();
    assert_eq!(close_code(&bytes), Some(1009));
}

#[test]
fn text_that_is_not_utf_8_is_1007_as_soon_as_it_cannot_become_it() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\x80"] {
        assert_eq!(close_code(&masked(true, TEXT, bad)), Some(1007), "{bad:x?}");
    }
    let unfinished = masked(false, TEXT, b"{\"a\": \"\xf4\x90");
    assert_eq!(close_code(&unfinished), Some(1007), "without waiting for the end");
}

#[test]
fn a_character_cut_off_at_the_end_is_1007() {
    assert_eq!(close_code(&masked(true, TEXT, b"{}\xe2\x82")), Some(1007));
}

#[test]
fn a_binary_message_on_the_json_subprotocol_is_1003() {
    assert_eq!(close_code(&masked(true, BINARY, b"{}")), Some(1003));
}

#[test]
fn close_codes_are_echoed_or_refused() {
    let close = |code: u16| masked(true, CLOSE, &code.to_be_bytes());
    for code in [1000, 1001, 1011, 3000, 4999] {
        assert_eq!(close_code(&close(code)), Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 2999, 5000] {
        assert_eq!(close_code(&close(code)), Some(1002), "{code}");
    }
    assert_eq!(close_code(&masked(true, CLOSE, b"x")), Some(1002), "half a code");
    assert_eq!(
        close_code(&masked(true, CLOSE, b"\x03\xe8\xff")),
        Some(1007),
        "a reason in no UTF-8"
    );
}

#[test]
fn a_message_in_pieces_with_a_ping_between_is_understood() {
    let gateway = Gateway::start();
    let mut raw = Raw::upgraded(&gateway.url(), "");
    let (one, rest) = HELLO.split_at(10);
    let (two, three) = rest.split_at(10);
    raw.write(&masked(false, TEXT, one.as_bytes()));
    raw.frame(PING, b"are you there");
    assert_eq!(raw.read_frame().unwrap().opcode, PONG);
    raw.write(&masked(false, 0, two.as_bytes()));
    raw.write(&masked(true, 0, three.as_bytes()));
    let frame = raw.read_frame().unwrap();
    assert!(String::from_utf8_lossy(&frame.payload).contains("welcome"));
}

#[test]
fn a_flood_of_pings_harms_only_its_sender() {
    let gateway = Gateway::start_with(&["--shards", "1"]);
    let (mut bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    let mut flooder = welcomed(&gateway);
    let pings = masked(true, PING, &[b'x'; 125]).repeat(1_000);
    let _ = flooder.stream().set_write_timeout(Some(Duration::from_millis(500)));
    for _ in 0..40 {
        if !flooder.try_write(&pings) {
            break;
        }
        bystander.ping();
    }
    bystander.ping();
}

#[test]
fn a_half_closed_connection_is_ended() {
    let gateway = Gateway::start();
    let (mut bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    for mut raw in [Raw::upgraded(&gateway.url(), ""), welcomed(&gateway)] {
        raw.half_close();
        assert!(raw.ends_within(Duration::from_secs(10)));
    }
    let mut in_the_middle = welcomed(&gateway);
    in_the_middle.write(&masked(true, TEXT, b"{\"id\": 1}")[..7]);
    in_the_middle.half_close();
    assert!(in_the_middle.ends_within(Duration::from_secs(10)));
    bystander.ping();
}

#[test]
fn connections_reset_in_the_middle_leave_others_alone() {
    let gateway = Gateway::start_with(&["--shards", "1"]);
    let (mut bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    for round in 0..50 {
        let mut raw = Raw::upgraded(&gateway.url(), "");
        raw.text(&HELLO.replace("phone", &format!("phone-{}", round % 4)));
        let part = masked(true, TEXT, &[b'x'; 1_000]);
        raw.write(&part[..part.len() / 2]);
        rustix::net::sockopt::set_socket_linger(raw.stream(), Some(Duration::ZERO)).unwrap();
    }
    bystander.ping();
}
