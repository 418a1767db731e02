//! Tokens in the three places where a client may put them, and the end of their time.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use throng_edge::keys::{JwtAlgorithm, KeySource, Keys};
use throng_edge::shard::{Control, Mode};
use throng_wire::v1;
use throng_wire::ws::Opcode;

use crate::rig::{Client, Rig, Router, TICK, WALL_S, config};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn keys(secret: &str) -> Arc<Keys> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    let source = KeySource {
        key: Some(file.path().to_owned()),
        algorithm: Some(JwtAlgorithm::Hs256),
        ..KeySource::default()
    };
    Arc::new(Keys::load(&source).unwrap())
}

fn token_by(secret: &str, lives_s: i64, device: Option<&str>) -> String {
    let mut claims = json!({"sub": "alice", "exp": WALL_S as i64 + lives_s});
    if let Some(device) = device {
        claims["device"] = device.into();
    }
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn token(lives_s: i64) -> String {
    token_by(SECRET, lives_s, None)
}

fn rig() -> (Rig, Router) {
    let mut config = config(Mode::Tokens);
    config.keys = Some(keys(SECRET));
    Rig::ready_with(config)
}

fn hello(rig: &mut Rig, client: &Client, token: &str, device: &str) {
    client.say(&json!({"id": 1, "hello": {"token": token, "device": device}}));
    rig.settle();
}

/// A session with this token in its hello.
fn session(rig: &mut Rig, router: &mut Router, token: &str) -> Client {
    let mut client = rig.upgraded("");
    hello(rig, &client, token, "phone");
    let register = registered(router);
    router.confirm(&register);
    rig.settle();
    assert!(client.json()["welcome"].is_object());
    client
}

fn registered(router: &mut Router) -> throng_wire::link::Register<'static> {
    router.registers().pop().expect("the token is believed")
}

#[test]
fn a_token_may_come_in_hello_in_a_header_or_as_a_subprotocol() {
    let (mut rig, mut router) = rig();
    let (token, bearer) = (token(100), format!("Bearer {}", token(100)));
    let subprotocol = format!("throng.v1.json, throng.bearer.{token}");
    let places: [(&[(&str, &str)], &str); 3] = [
        (&[], &token),
        (&[("Authorization", &bearer)], ""),
        (&[("Sec-WebSocket-Protocol", &subprotocol)], ""),
    ];
    for (headers, in_hello) in places {
        let mut client = rig.connect();
        client.upgrade(&mut rig, "/v1/ws", headers);
        hello(&mut rig, &client, in_hello, "phone");
        let register = registered(&mut router);
        assert_eq!(register.session.unwrap().user, "alice");
    }
}

#[test]
fn without_a_valid_token_nobody_is_let_in() {
    let (mut rig, mut router) = rig();
    let long = "x".repeat(4097);
    for bad in [String::new(), "x".into(), long, token(-61), token_by(OTHER, 100, None)] {
        let mut client = rig.upgraded("");
        client.say(&json!({"id": 1, "hello": {"token": bad, "user": "alice", "device": "phone"}}));
        rig.settle();
        assert_eq!(client.closed(), Some(4401), "{bad}");
    }
    assert_eq!(router.registers(), []);
}

#[test]
fn a_token_for_a_device_is_for_that_device_only() {
    let (mut rig, mut router) = rig();
    let token = token_by(SECRET, 100, Some("phone"));
    for (device, is_right) in [("phone", true), ("", true), ("laptop", false)] {
        let mut client = rig.upgraded("");
        hello(&mut rig, &client, &token, device);
        let registered = router.registers().pop().and_then(|register| register.session);
        assert_eq!(registered.is_some(), is_right, "{device:?}");
        match registered {
            Some(session) => assert_eq!(session.device, "phone"),
            None => assert_eq!(client.closed(), Some(4401)),
        }
    }
}

#[test]
fn a_session_ends_with_its_token_and_not_before() {
    let (mut rig, mut router) = rig();
    let token = token(20);
    let mut client = session(&mut rig, &mut router, &token);
    rig.pass(Duration::from_secs(20) - 2 * TICK);
    assert_eq!(client.received(), []);
    rig.pass(4 * TICK);
    assert_eq!(client.closed(), Some(4004));
}

#[test]
fn input_that_turns_a_connection_hot_does_not_postpone_the_end_of_its_token() {
    let (mut rig, mut router) = rig();
    let token = token(20);
    let mut client = session(&mut rig, &mut router, &token);
    rig.pass(Duration::from_secs(15));
    for _ in 0..2 {
        client.write(Opcode::Pong, b"");
        rig.pass(Duration::from_millis(500));
    }
    rig.pass(Duration::from_secs(4) - 2 * TICK);
    assert_eq!(client.received(), []);
    rig.pass(4 * TICK);
    assert_eq!(client.closed(), Some(4004));
}

#[test]
fn output_that_is_taken_late_does_not_postpone_the_end_of_the_token() {
    let mut config = config(Mode::Tokens);
    config.keys = Some(keys(SECRET));
    config.output_budget_bytes = 1_000;
    let (mut rig, mut router) = Rig::ready_with(config);
    let token = token(20);
    let mut client = session(&mut rig, &mut router, &token);
    rig.pass(Duration::from_secs(9));
    client.peer.set_window(0);
    client.say(&json!({"id": 2, "conversations": {}}));
    rig.settle();
    let name = "x".repeat(2_000);
    let item = v1::Conversation { name: name.as_str().into(), ..v1::Conversation::default() };
    let page = v1::ConversationsPage { items: vec![item], next: "".into() };
    let request = router.requests()[0].request;
    router.answer(request, v1::Body::Conversations(page));
    rig.pass(Duration::from_secs(10));
    client.peer.set_window(1 << 20);
    rig.settle();
    assert_eq!(client.received().len(), 1);
    rig.pass(Duration::from_secs(1) - 2 * TICK);
    assert_eq!(client.received(), []);
    rig.pass(4 * TICK);
    assert_eq!(client.closed(), Some(4004));
}

#[test]
fn a_token_as_the_only_subprotocol_comes_with_json() {
    let (mut rig, mut router) = rig();
    let subprotocol = format!("throng.bearer.{}", token(100));
    let mut client = rig.connect();
    let headers = [("Sec-WebSocket-Protocol", subprotocol.as_str())];
    client.peer.write(Client::upgrade_request("/v1/ws", &headers).as_bytes());
    rig.settle();
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.contains("Sec-WebSocket-Protocol"), "a token is not echoed: {head}");
    hello(&mut rig, &client, "", "phone");
    registered(&mut router);
}

#[test]
fn a_token_taken_in_its_leeway_lives_to_the_end_of_the_leeway() {
    let (mut rig, mut router) = rig();
    let token = token(-40);
    let mut client = session(&mut rig, &mut router, &token);
    rig.pass(Duration::from_secs(20) - 2 * TICK);
    assert_eq!(client.received(), []);
    rig.pass(4 * TICK);
    assert_eq!(client.closed(), Some(4004));
}

#[test]
fn new_keys_are_for_new_sessions_and_end_no_old_one() {
    let (mut rig, mut router) = rig();
    let (old, new) = (token(1000), token_by(OTHER, 1000, None));
    let first = session(&mut rig, &mut router, &old);
    rig.handle.send(Control::Keys(keys(OTHER))).unwrap();
    rig.settle();
    assert!(first.is_open());
    session(&mut rig, &mut router, &new);
    let mut refused = rig.upgraded("");
    hello(&mut rig, &refused, &old, "phone");
    assert_eq!(refused.closed(), Some(4401));
}
