//! Every phase of a connection before and at its session: what it waits for, and for how long.

use std::time::Duration;

use serde_json::json;
use throng_edge::shard::Mode;
use throng_ring::sim::SimConfig;
use throng_wire::ErrorCode;
use throng_wire::v1;
use throng_wire::ws::Opcode;

use crate::rig::{Client, Got, MS, Rig, TICK, config, error_code, event_json, target};

const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn a_connection_that_asks_nothing_is_closed_at_its_deadline_and_not_before() {
    let (mut rig, _router) = Rig::ready();
    let client = rig.connect();
    rig.pass(DEADLINE - TICK);
    assert!(client.is_open());
    rig.pass(2 * TICK);
    assert!(!client.is_open());
}

#[test]
fn a_head_that_trickles_in_does_not_move_the_deadline() {
    let (mut rig, _router) = Rig::ready();
    let client = rig.connect();
    for byte in b"GET /v1/ws HTTP/1.1\r\nHost:" {
        client.peer.write(&[*byte]);
        rig.pass(300 * MS);
    }
    rig.pass(DEADLINE - 300 * MS * 26 + 2 * TICK);
    assert!(!client.is_open());
}

#[test]
fn a_head_may_come_in_any_pieces() {
    let (mut rig, _router) = Rig::ready();
    let request = Client::upgrade_request("/v1/ws", &[]);
    for cut in 1..request.len() {
        let mut client = rig.connect();
        client.peer.write(&request.as_bytes()[..cut]);
        rig.settle();
        client.peer.write(&request.as_bytes()[cut..]);
        rig.settle();
        assert!(client.head().starts_with("HTTP/1.1 101 "), "cut at {cut}");
        client.peer.reset();
        rig.settle();
    }
}

#[test]
fn a_hello_behind_its_upgrade_may_be_cut_anywhere() {
    let (mut rig, mut router) = Rig::ready();
    let mut bytes = Client::upgrade_request("/v1/ws", &[]).into_bytes();
    let hello = json!({"id": 1, "hello": {"user": "alice", "device": "phone"}}).to_string();
    bytes.extend(Client::frame(Opcode::Text, hello.as_bytes()));
    for cut in 1..bytes.len() {
        let client = rig.connect();
        client.peer.write(&bytes[..cut]);
        rig.settle();
        client.peer.write(&bytes[cut..]);
        rig.settle();
        assert_eq!(router.registers().len(), 1, "cut at {cut}");
        client.peer.reset();
        rig.settle();
    }
}

#[test]
fn without_hello_a_connection_is_closed_at_its_deadline_and_not_before() {
    let (mut rig, _router) = Rig::ready();
    let mut client = rig.upgraded("");
    rig.pass(DEADLINE - TICK);
    assert_eq!(client.received(), []);
    rig.pass(2 * TICK);
    assert_eq!(client.closed(), Some(4408));
}

#[test]
fn anything_else_before_hello_is_refused() {
    let (mut rig, _router) = Rig::ready();
    let mut client = rig.upgraded("");
    client.say(&json!({"id": 5, "ping": {}}));
    rig.settle();
    let got = client.received();
    let Got::Text(error) = &got[0] else { panic!("{got:?}") };
    assert_eq!((error_code(error), error["id"].as_u64()), ("unauthenticated", Some(5)));
    assert_eq!(
        (&error["error"]["fatal"], got.last()),
        (&json!(true), Some(&Got::Close(Some(4400))))
    );
}

#[test]
fn names_that_are_none_are_refused() {
    for (user, device) in [("", "phone"), ("a b", "phone"), ("alice", ""), ("alice", "a/b")] {
        let (mut rig, mut router) = Rig::ready();
        let mut client = rig.upgraded("");
        client.say(&json!({"id": 1, "hello": {"user": user, "device": device}}));
        rig.settle();
        let got = client.received();
        let Got::Text(error) = &got[0] else { panic!("{got:?}") };
        assert_eq!((error_code(error), &got[1]), ("bad_frame", &Got::Close(Some(4400))));
        assert_eq!(router.registers(), []);
    }
}

#[test]
fn each_field_of_hello_has_a_length() {
    for (field, limit) in [("user", 64), ("device", 64), ("agent", 64), ("cursor", 128)] {
        for bytes in [limit, limit + 1] {
            let (mut rig, mut router) = Rig::ready();
            let client = rig.upgraded("");
            let mut hello = json!({"user": "alice", "device": "phone"});
            hello[field] = "a".repeat(bytes).into();
            client.say(&json!({"id": 1, "hello": hello}));
            rig.settle();
            assert_eq!(router.registers().len() == 1, bytes == limit, "{field} of {bytes}");
        }
    }
}

#[test]
fn a_home_that_does_not_answer_costs_the_session_after_its_deadline() {
    let (mut rig, mut router) = Rig::ready();
    let mut client = rig.upgraded("");
    client.say(&json!({"id": 1, "hello": {"user": "alice", "device": "phone"}}));
    rig.settle();
    assert_eq!(router.registers().len(), 1);
    rig.pass(DEADLINE - TICK);
    assert_eq!(client.received(), []);
    rig.pass(2 * TICK);
    assert_eq!(client.closed(), Some(4003));
}

#[test]
fn a_home_that_refuses_is_heard() {
    for (code, close) in [(ErrorCode::Overloaded, 4003), (ErrorCode::Forbidden, 4400)] {
        let (mut rig, mut router) = Rig::ready();
        let mut client = rig.upgraded("");
        client.say(&json!({"id": 1, "hello": {"user": "alice", "device": "phone"}}));
        rig.settle();
        let register = router.registers().pop().unwrap();
        router.answer(register.request, v1::Body::Error(code.error()));
        rig.settle();
        let got = client.received();
        let Got::Text(error) = &got[0] else { panic!("{got:?}") };
        assert_eq!((error_code(error), error["id"].as_u64()), (code.text(), Some(1)));
        assert_eq!(got[1], Got::Close(Some(close)));
    }
}

#[test]
fn what_is_pushed_before_the_welcome_follows_it() {
    let (mut rig, mut router) = Rig::ready();
    let mut client = rig.upgraded("");
    client.say(&json!({"id": 1, "hello": {"user": "alice", "device": "phone"}}));
    rig.settle();
    let register = router.registers().pop().unwrap();
    router.hint(1, &[target(&register)], "early", false);
    rig.settle();
    assert_eq!(client.received(), []);
    router.confirm(&register);
    rig.settle();
    let got = client.jsons();
    assert_eq!(got[0]["welcome"]["user"], "alice");
    assert_eq!(got[0]["welcome"]["heartbeat_ms"], 25_000);
    assert_eq!(got[1], event_json("early"));
}

#[test]
fn the_other_kind_of_message_is_refused() {
    for (subprotocol, opcode) in
        [("throng.v1.json", Opcode::Binary), ("throng.v1.proto", Opcode::Text)]
    {
        let (mut rig, _router) = Rig::ready();
        let mut client = rig.upgraded(subprotocol);
        client.write(opcode, b"{}");
        rig.settle();
        assert_eq!(client.closed(), Some(1003));
    }
}

#[test]
fn sixteen_bad_frames_are_answered_and_the_next_ends_the_connection() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    for _ in 0..16 {
        client.write(Opcode::Text, b"nonsense");
    }
    rig.settle();
    let answers = client.jsons();
    assert_eq!(answers.len(), 16);
    assert!(answers.iter().all(|answer| error_code(answer) == "bad_frame"));
    client.write(Opcode::Text, b"nonsense");
    rig.settle();
    assert_eq!(client.closed(), Some(4429));
}

#[test]
fn an_operation_makes_good_for_a_frame_that_cannot_be_read() {
    for (pings, close) in [(3, None), (2, Some(4429))] {
        let (mut rig, mut router) = Rig::ready();
        let (mut client, _) = rig.session(&mut router, "alice");
        for _ in 0..16 {
            client.write(Opcode::Text, b"nonsense");
        }
        for id in 0..pings {
            client.say(&json!({"id": id, "ping": {}}));
        }
        for _ in 0..3 {
            client.write(Opcode::Text, b"nonsense");
        }
        rig.settle();
        assert_eq!(client.closed(), close, "{pings} pings");
    }
}

#[test]
fn operations_of_a_later_version_and_wrong_ones_cost_what_others_cost_and_end_nothing() {
    for op in [json!({"id": 9, "typing": {}}), json!({"id": 9, "history": {"conv": "none"}})] {
        let mut config = config(Mode::Development);
        config.ops_burst = 100;
        let (mut rig, mut router) = Rig::ready_with(config);
        let (mut client, _) = rig.session(&mut router, "alice");
        for _ in 0..101 {
            client.say(&op);
        }
        rig.settle();
        let answers = client.jsons();
        let codes: Vec<_> = answers.iter().map(error_code).collect();
        let expected = if op["typing"].is_object() { "unknown_op" } else { "bad_frame" };
        assert!(codes[..100].iter().all(|code| *code == expected), "{codes:?}");
        assert_eq!(codes[100..], ["rate_limited"]);
        assert!(client.is_open());
    }
}

#[test]
fn a_message_of_the_limit_passes_and_a_longer_one_does_not() {
    for (bytes, close) in [(64 * 1024, None), (64 * 1024 + 1, Some(1009))] {
        let (mut rig, mut router) = Rig::ready();
        let (mut client, _) = rig.session(&mut router, "alice");
        let mut message = json!({"id": 3, "ping": {}}).to_string();
        message.push_str(&" ".repeat(bytes - message.len()));
        client.write(Opcode::Text, message.as_bytes());
        for _ in 0..8 {
            rig.settle();
        }
        match close {
            None => assert_eq!(client.json()["id"], 3),
            Some(_) => assert_eq!(client.closed(), close),
        }
    }
}

#[test]
fn health_page_and_unknown_paths_answer_and_close() {
    let (mut rig, _router) = Rig::ready();
    let cases = [("/healthz", "200", "alive"), ("/readyz", "200", "ready"), ("/", "200", "<!doc")];
    for (path, status, body) in cases.into_iter().chain([("/nowhere", "404", "/v1/ws")]) {
        let mut client = rig.connect();
        client.peer.write(Client::request(path, &[]).as_bytes());
        rig.settle();
        let head = client.head();
        assert!(head.contains(status) && head.contains("Connection: close"), "{head}");
        assert!(client.body().contains(body), "{path}");
        assert!(!client.is_open());
    }
}

#[test]
fn the_page_may_run_only_what_it_brings_and_reach_only_where_it_comes_from() {
    let (mut rig, _router) = Rig::ready();
    let mut client = rig.connect();
    client.peer.write(Client::request("/", &[]).as_bytes());
    rig.settle();
    let head = client.head();
    let policy = "\r\nContent-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; \
        style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
        form-action 'none'; frame-ancestors 'none'\r\n";
    assert!(head.contains(policy), "{head}");
}

#[test]
fn only_our_subprotocols_are_chosen() {
    let (mut rig, _router) = Rig::ready();
    let cases = [
        ("throng.v1.proto, throng.v1.json", Some("throng.v1.proto")),
        ("other, throng.v1.json, throng.bearer.abc", Some("throng.v1.json")),
        ("", None),
    ];
    for (offered, chosen) in cases {
        let mut client = rig.connect();
        let request = Client::upgrade_request("/v1/ws", &[("Sec-WebSocket-Protocol", offered)]);
        client.peer.write(request.as_bytes());
        rig.settle();
        let head = client.head();
        let line = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        assert!(head.contains(" 101 "), "{head}");
        assert_eq!(line, chosen);
    }
    let mut client = rig.connect();
    let offered = [("Sec-WebSocket-Protocol", "graphql-ws")];
    client.peer.write(Client::upgrade_request("/v1/ws", &offered).as_bytes());
    rig.settle();
    assert!(client.head().contains(" 400 "));
}

#[test]
fn nobody_is_let_in_before_the_process_is_up() {
    let (driver, sim) = throng_ring::sim::SimDriver::new(SimConfig::default());
    let (mut shard, _handle) =
        throng_edge::shard::Shard::new(driver, config(Mode::Development), None);
    let address = shard.listen(crate::rig::ADDRESS.parse().unwrap()).unwrap();
    for path in ["/readyz", "/v1/ws"] {
        let peer = sim.connect(address, "10.0.0.1:1".parse().unwrap()).unwrap();
        peer.write(Client::upgrade_request(path, &[]).as_bytes());
        for _ in 0..8 {
            shard.turn(Duration::ZERO).unwrap();
        }
        assert!(peer.read().starts_with(b"HTTP/1.1 503 "), "{path}");
    }
}
