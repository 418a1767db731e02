//! Messages that are proper WebSocket but no proper op get an error that says so, the connection
//! lives on, and only too many of them end it (4429). Nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

const SOON: Duration = Duration::from_secs(10);

fn scene() -> (Gateway, Client, Client) {
    let gateway = Gateway::start();
    let (ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (bystander, _) = Client::join(&gateway.url(), "bystander", "phone");
    (gateway, ann, bystander)
}

fn pushed_error(client: &mut Client, text: &str) -> Value {
    client.send_text(text);
    client.pushed_with("error")
}

#[test]
fn what_is_no_frame_is_a_bad_frame() {
    let (_gateway, mut ann, mut bystander) = scene();
    for text in
        ["", "x", "[]", "null", "7", "\"text\"", "{", "{\"id\":}", "{\"ping\": {}} trailing"]
    {
        let error = pushed_error(&mut ann, text);
        assert_eq!(
            (&error["code"], &error["fault"]),
            (&json!("bad_frame"), &json!("client")),
            "{text}"
        );
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    ann.ping();
    bystander.ping();
}

#[test]
fn a_frame_without_or_with_two_ops_is_refused_under_its_id() {
    let (_gateway, mut ann, _) = scene();
    for (id, text) in [(901, r#"{"id": 901}"#), (902, r#"{"id": 902, "ping": {}, "history": {}}"#)]
    {
        ann.send_text(text);
        let answer = ann.answer(id).unwrap();
        assert!(
            matches!(answer["error"]["code"].as_str(), Some("bad_frame" | "unknown_op")),
            "{answer}"
        );
    }
    ann.ping();
}

#[test]
fn an_op_that_does_not_exist_is_an_unknown_op() {
    let (_gateway, mut ann, _) = scene();
    for op in
        ["dance", "edit", "delete", "react", "typing", "watch", "unwatch", "refresh", "welcome"]
    {
        assert_eq!(ann.error_of(op, &json!({})), "unknown_op", "{op}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let (_gateway, mut ann, _) = scene();
    ann.send_text(r#"{"id": 903, "ping": {"later": [1, {"x": null}]}, "trace": "abc"}"#);
    assert!(ann.answer(903).unwrap().get("pong").is_some());
}

#[test]
fn fields_of_the_wrong_type_are_a_bad_frame() {
    let (_gateway, mut ann, mut bystander) = scene();
    let conv = ann.create_group("tea", &[]);
    for (op, fields) in [
        ("send", json!({"conv": conv, "text": 7})),
        ("send", json!({"conv": [conv], "text": "x"})),
        ("send", json!({"conv": conv, "data": "not base64!"})),
        ("send", json!({"conv": "no-uuid", "text": "x"})),
        ("send", json!({"conv": conv, "text": "x", "reply_to": -1})),
        ("read", json!({"conv": conv, "seq": "1"})),
        ("read", json!({"conv": conv, "seq": 1.5})),
        ("history", json!({"conv": conv, "limit": -1})),
        ("history", json!([])),
        ("create_group", json!({"name": "x", "members": "bob"})),
        (
            "create_group",
            json!({"name": "x", "members": ["not a user"], "client_msg_id": ids::fresh()}),
        ),
    ] {
        assert_eq!(ann.error_of(op, &fields), "bad_frame", "{op} {fields}");
    }
    ann.ping();
    bystander.ping();
}

#[test]
fn a_send_needs_one_place_and_one_content() {
    let (_gateway, mut ann, _) = scene();
    let conv = ann.create_group("tea", &[]);
    for fields in [
        json!({"text": "to nobody"}),
        json!({"conv": conv, "to": "bob", "text": "to both"}),
        json!({"conv": conv}),
        json!({"conv": conv, "text": "x", "data": "AAEC"}),
    ] {
        assert_eq!(ann.error_of("send", &fields), "bad_frame", "{fields}");
    }
}

#[test]
fn numbers_of_2_to_the_53_and_beyond_do_no_harm() {
    let (_gateway, mut ann, _) = scene();
    let conv = ann.create_group("tea", &[]);
    for seq in [(1_u64 << 53) - 1, 1 << 53, u64::MAX] {
        let answer = ann.ask("history", &json!({"conv": conv, "after": seq}));
        let empty = answer["history"]["events"].as_array().is_none_or(Vec::is_empty);
        assert!(empty, "{answer}");
    }
    ann.send_text(r#"{"id": 18446744073709551616, "ping": {}}"#);
    assert_eq!(ann.pushed_with("error")["code"], "bad_frame");
}

#[test]
fn deep_nesting_is_refused_before_it_costs_anything() {
    let (_gateway, mut ann, mut bystander) = scene();
    let deep = format!("{{\"ping\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    ann.send_text(&deep);
    let answered = ann.pushed_with("error");
    assert_eq!(answered["code"], "bad_frame");
    bystander.ping();
}

#[test]
fn a_frame_without_an_id_is_answered_only_on_error() {
    let (_gateway, mut ann, _) = scene();
    let conv = ann.create_group("tea", &[]);
    ann.tell("send", &json!({"conv": conv, "client_msg_id": ids::fresh(), "text": "quiet"}));
    ann.tell("ping", &json!({}));
    while let Some(frame) = ann.pushed_within(Duration::from_millis(300)) {
        assert!(frame.get("error").is_none() && frame.get("ack").is_none(), "{frame}");
    }
    assert_eq!(ann.texts(&conv, 1), ["quiet"]);
    ann.tell("send", &json!({"conv": ids::fresh(), "text": "nowhere"}));
    assert_eq!(ann.pushed_with("error")["code"], "forbidden");
}

#[test]
fn too_many_bad_frames_close_with_4429() {
    let (_gateway, mut ann, mut bystander) = scene();
    for _ in 0..100 {
        ann.send_text("nonsense");
    }
    assert_eq!(ann.closed_within(SOON).code, Some(4429));
    bystander.ping();
}

#[test]
fn sixteen_bad_frames_do_not_yet() {
    let (_gateway, mut ann, _) = scene();
    for _ in 0..15 {
        assert_eq!(pushed_error(&mut ann, "nonsense")["code"], "bad_frame");
    }
    ann.ping();
}

#[test]
fn hello_without_a_user_in_development_mode_is_refused() {
    let gateway = Gateway::start();
    for hello in [
        json!({}),
        json!({"device": "phone"}),
        json!({"user": "ann"}),
        json!({"token": "x", "device": "phone"}),
    ] {
        let mut client = Client::connect(&gateway.url()).unwrap();
        let id = client.request("hello", &hello);
        if let Ok(answer) = client.answer(id) {
            assert_eq!(answer["error"]["fault"], "client", "{hello}: {answer}");
        }
        let closed = client.closed_within(SOON);
        assert!(matches!(closed.code, Some(4400 | 4401)), "{hello}: {closed:?}");
    }
}
