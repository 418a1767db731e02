//! I2: one connection's sends to a conversation keep their order; after one fails, those already
//! under way behind it fail too.

use std::time::Duration;

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
fn a_final_error_holds_up_nothing_that_is_under_way_behind_it() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    for round in 0..10 {
        let old = ids::fresh_at(ids::now_ms() - 48 * 3_600_000);
        let refused = ann.request("send", &fields(&conv, &old, "too old"));
        let behind = ann.request("send", &fields(&conv, &ids::fresh(), &format!("round {round}")));
        assert_eq!(ann.answer(refused).unwrap()["error"]["code"], "expired_id");
        let behind = ann.answer(behind).unwrap();
        assert!(behind.get("ack").is_some(), "{behind}");
    }
}

/// The rate limit is a failure that can be retried, and one that a test can bring about.
#[test]
fn after_a_failure_the_later_ones_fail_until_it_is_sent_again() {
    let gateway = Gateway::start_with(&["--ops-burst", "5", "--ops-per-s", "2"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    let ids: Vec<String> = (0..10).map(|_| ids::fresh()).collect();
    let requests: Vec<u64> =
        ids.iter().map(|id| ann.request("send", &fields(&conv, id, id))).collect();
    let answers: Vec<Value> =
        requests.into_iter().map(|request| ann.answer(request).unwrap()).collect();
    let failed = answers.iter().position(|answer| answer.get("ack").is_none()).unwrap();
    assert_eq!(answers[failed]["error"]["code"], "rate_limited", "{answers:?}");
    for answer in &answers[failed..] {
        let code = answer["error"]["code"].as_str();
        assert!(matches!(code, Some("rate_limited" | "after_failed")), "{answers:?}");
    }
    std::thread::sleep(Duration::from_secs(3));
    let other = fields(&conv, &ids[failed + 1], &ids[failed + 1]);
    assert_eq!(ann.error_of("send", &other), "after_failed");
    ann.ask_for("ack", "send", &fields(&conv, &ids[failed], &ids[failed]));
    ann.ask_for("ack", "send", &other);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ann.texts(&conv, 1), ids[..failed + 2]);
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
