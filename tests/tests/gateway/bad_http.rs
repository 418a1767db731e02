//! HTTP that is malformed, too big, too slow or not for us gets a status and an end, and who is
//! connected already notices nothing.

use std::time::Duration;

use throng_tests::client::{Client, Refused};
use throng_tests::gateway::Gateway;
use throng_tests::http;
use throng_tests::raw::{Raw, upgrade_request};

fn status_of(gateway: &Gateway, request: &[u8]) -> Option<u16> {
    let mut raw = Raw::connect(&gateway.url());
    raw.write(request);
    raw.half_close();
    http::parse(&raw.read_head()).map(|response| response.status)
}

/// Runs the body beside a connected client that must stay served.
fn beside_a_bystander(arguments: &[&str], body: impl FnOnce(&Gateway)) {
    let gateway = Gateway::start_with(arguments);
    let (mut bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    body(&gateway);
    bystander.ping();
    assert!(bystander.closed().is_none());
}

#[test]
fn what_is_no_http_is_a_400() {
    beside_a_bystander(&[], |gateway| {
        for garbage in [
            "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n",
            "HELLO\r\n\r\n",
            "GET /v1/ws HTTP/9.9\r\n\r\n",
            "GET  /v1/ws\r\n\r\n",
        ] {
            let status = status_of(gateway, garbage.as_bytes());
            assert!(matches!(status, Some(400 | 505)), "{garbage:?}: {status:?}");
        }
    });
}

#[test]
fn an_upgrade_that_lacks_something_is_refused() {
    beside_a_bystander(&[], |gateway| {
        let good = upgrade_request(&gateway.url(), "");
        for (line, status) in [
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
            ("Sec-WebSocket-Version: 13\r\n", 426),
            ("Upgrade: websocket\r\n", 426),
        ] {
            assert!(good.contains(line));
            let refused = status_of(gateway, good.replace(line, "").as_bytes()).unwrap();
            assert!(refused == status || refused == 400, "without {line:?}: {refused}");
        }
        let old = good.replace("Version: 13", "Version: 8");
        assert_eq!(status_of(gateway, old.as_bytes()), Some(426));
        let short = good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=");
        assert_eq!(status_of(gateway, short.as_bytes()), Some(400));
        let post = good.replace("GET ", "POST ");
        assert!(matches!(status_of(gateway, post.as_bytes()), Some(400 | 405)));
    });
}

#[test]
fn a_426_names_the_version_that_is_spoken() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(&gateway.url());
    raw.write(upgrade_request(&gateway.url(), "").replace("Version: 13", "Version: 8").as_bytes());
    let head = raw.read_head().to_lowercase();
    assert!(head.contains("sec-websocket-version: 13"), "RFC 6455 section 4.4: {head}");
}

#[test]
fn headers_have_a_limit_on_count_and_size() {
    beside_a_bystander(&[], |gateway| {
        let many = |count: usize| "X-Filler: y\r\n".repeat(count);
        let long = |bytes: usize| format!("X-Filler: {}\r\n", "y".repeat(bytes));
        let with =
            |headers: &str| status_of(gateway, upgrade_request(&gateway.url(), headers).as_bytes());
        assert_eq!(with(&many(20)), Some(101));
        assert_eq!(with(&long(2_000)), Some(101));
        for too_much in [many(500), long(40_000), long(3_000_000)] {
            let status = with(&too_much);
            assert!(matches!(status, None | Some(400 | 413 | 414 | 431)), "{status:?}");
        }
    });
}

#[test]
fn a_path_that_is_not_there_is_a_404() {
    let gateway = Gateway::start();
    let url = gateway.url().replace("/v1/ws", "/v9/ws");
    assert!(matches!(Client::connect(&url), Err(Refused::Status(404))));
}

#[test]
fn a_subprotocol_that_is_not_ours_is_not_accepted() {
    let gateway = Gateway::start();
    let offer = [("Sec-WebSocket-Protocol", "chat.example")];
    match Client::connect_with(&gateway.url(), &offer) {
        Err(_) => {}
        Ok(_) => panic!("tungstenite accepts no connection without one of its subprotocols"),
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_for_ever_is_ended_at_the_deadline() {
    beside_a_bystander(&["--http-deadline-ms", "1000"], |gateway| {
        let mut slow = Raw::connect(&gateway.url());
        let started = std::time::Instant::now();
        let request = upgrade_request(&gateway.url(), "");
        let mut bytes = request.as_bytes().iter().cycle();
        while started.elapsed() < Duration::from_secs(8) {
            let next = [*bytes.next().unwrap()];
            if request.len() < 60
                || !slow.try_write(&next)
                || slow.ends_within(Duration::from_millis(100))
            {
                break;
            }
        }
        let waited = started.elapsed();
        assert!(
            (Duration::from_millis(900)..Duration::from_secs(6)).contains(&waited),
            "{waited:?}"
        );
    });
}

#[test]
fn a_connection_that_says_nothing_is_ended_at_the_deadline() {
    beside_a_bystander(&["--http-deadline-ms", "1000"], |gateway| {
        let mut silent = Raw::connect(&gateway.url());
        assert!(silent.ends_within(Duration::from_secs(8)));
    });
}

#[test]
fn a_request_that_ends_in_the_middle_is_ended() {
    beside_a_bystander(&[], |gateway| {
        let mut raw = Raw::connect(&gateway.url());
        raw.write(b"GET /v1/ws HTTP/1.1\r\nHost: x");
        raw.half_close();
        assert!(raw.ends_within(Duration::from_secs(5)));
    });
}

#[test]
fn a_request_in_pieces_of_one_byte_is_served() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(&gateway.url());
    for byte in upgrade_request(&gateway.url(), "").bytes() {
        raw.write(&[byte]);
    }
    assert!(raw.read_head().starts_with("HTTP/1.1 101"));
}

#[test]
fn frames_sent_with_the_request_are_not_lost() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(&gateway.url());
    let hello = br#"{"id": 1, "hello": {"user": "ann", "device": "phone"}}"#;
    let mut bytes = upgrade_request(&gateway.url(), "").into_bytes();
    bytes.extend(throng_tests::raw::masked(true, throng_tests::raw::TEXT, hello));
    raw.write(&bytes);
    assert!(raw.read_head().starts_with("HTTP/1.1 101"));
    let frame = raw.read_frame().unwrap();
    assert!(String::from_utf8(frame.payload).unwrap().contains("welcome"));
}
