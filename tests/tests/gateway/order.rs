//! I2: one connection's sends to a conversation keep their order; after one fails, those already
//! under way behind it fail too.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

fn fields(conv: &str, id: &str, text: &str) -> Value {
    json!({"conv": conv, "client_msg_id": id, "text": text})
}

#[test]
fn pipelined_sends_get_rising_seqs() {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    let mut last = 1;
    for _ in 0..20 {
        let requests: Vec<u64> = (0..16)
            .map(|n| ann.request("send", &fields(&conv, &ids::fresh(), &n.to_string())))
            .collect();
        for request in requests {
            let answer = ann.answer(request).unwrap();
            let seq = answer["ack"]["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"));
            assert_eq!(seq, last + 1);
            last = seq;
        }
    }
}

#[test]
fn what_was_under_way_behind_a_failure_fails_too_and_can_be_sent_again() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (conv, other) = (ann.create_group("tea", &[]), ann.create_group("other", &[]));
    let old = ids::fresh_at(ids::now_ms() - 48 * 3_600_000);
    let (second, third) = (ids::fresh(), ids::fresh());
    let bad = fields(&conv, &old, "too old").to_string();
    let frames: Vec<String> = vec![
        format!(r#"{{"id": 1001, "send": {bad}}}"#),
        format!(r#"{{"id": 1002, "send": {}}}"#, fields(&conv, &second, "second")),
        format!(r#"{{"id": 1003, "send": {}}}"#, fields(&other, &third, "elsewhere")),
    ];
    for frame in frames {
        ann.send_text(&frame);
    }
    let first = ann.answer(1001).unwrap();
    assert_eq!(first["error"]["code"], "expired_id", "{first}");
    let behind = ann.answer(1002).unwrap();
    let elsewhere = ann.answer(1003).unwrap();
    assert!(elsewhere.get("ack").is_some(), "another conversation is not concerned: {elsewhere}");
    if behind.get("ack").is_none() {
        assert_eq!(behind["error"]["code"], "after_failed", "{behind}");
        ann.ask_for("ack", "send", &fields(&conv, &second, "second"));
    }
    assert_eq!(ann.texts(&conv, 1), ["second"]);
    assert_eq!(ann.texts(&other, 1), ["elsewhere"]);
}

#[test]
fn a_refused_send_does_not_stop_the_next_one() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    let old = ids::fresh_at(ids::now_ms() - 48 * 3_600_000);
    assert_eq!(ann.error_of("send", &fields(&conv, &old, "too old")), "expired_id");
    ann.say(&conv, "fresh");
    assert_eq!(ann.texts(&conv, 1), ["fresh"]);
}
