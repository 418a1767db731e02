//! I3: one (conversation, sender, client_msg_id) has at most one seq, ever, and a retry is answered
//! with the first result; ids have an age with limits on both sides.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

fn fields(conv: &str, id: &str, text: &str) -> Value {
    json!({"conv": conv, "client_msg_id": id, "text": text})
}

fn scene() -> (Gateway, Client, String) {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    (gateway, ann, conv)
}

fn is_duplicate(ack: &Value) -> bool {
    ack["duplicate"].as_bool().unwrap_or(false)
}

#[test]
fn a_retry_gets_the_first_result() {
    let (_gateway, mut ann, conv) = scene();
    let id = ids::fresh();
    let first = ann.ask_for("ack", "send", &fields(&conv, &id, "once"));
    ann.say(&conv, "in between");
    let second = ann.ask_for("ack", "send", &fields(&conv, &id, "once"));
    assert!(!is_duplicate(&first) && is_duplicate(&second));
    assert_eq!((&first["seq"], &first["time_ms"]), (&second["seq"], &second["time_ms"]));
    assert_eq!(ann.texts(&conv, 1), ["once", "in between"]);
}

#[test]
fn a_retry_from_another_device_and_after_a_kill_gets_it_too() {
    let (mut gateway, mut ann, conv) = scene();
    let id = ids::fresh();
    let first = ann.ask_for("ack", "send", &fields(&conv, &id, "once"));
    let (mut laptop, _) = Client::join(&gateway.url(), "ann", "laptop");
    let again = laptop.ask_for("ack", "send", &fields(&conv, &id, "once"));
    assert_eq!((&again["seq"], is_duplicate(&again)), (&first["seq"], true));
    gateway.kill_and_restart();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let again = ann.ask_for("ack", "send", &fields(&conv, &id, "once"));
    assert_eq!((&again["seq"], is_duplicate(&again)), (&first["seq"], true));
    assert_eq!(ann.texts(&conv, 1), ["once"]);
}

#[test]
fn copies_at_the_same_time_get_one_seq() {
    let (gateway, mut ann, conv) = scene();
    let mut devices: Vec<Client> = (0..4)
        .map(|number| Client::join(&gateway.url(), "ann", &format!("device-{number}")).0)
        .collect();
    for round in 0..20 {
        let id = ids::fresh();
        let asked = fields(&conv, &id, &format!("round {round}"));
        let requests: Vec<u64> =
            devices.iter_mut().map(|device| device.request("send", &asked)).collect();
        let acks: Vec<Value> = devices
            .iter_mut()
            .zip(requests)
            .map(|(device, request)| device.answer(request).unwrap()["ack"].clone())
            .collect();
        assert!(acks.iter().all(|ack| ack["seq"] == acks[0]["seq"]), "{acks:?}");
        assert_eq!(acks.iter().filter(|ack| !is_duplicate(ack)).count(), 1, "{acks:?}");
    }
    assert_eq!(ann.texts(&conv, 1).len(), 20);
}

#[test]
fn the_same_id_with_other_content_is_an_error_and_changes_nothing() {
    let (_gateway, mut ann, conv) = scene();
    let id = ids::fresh();
    ann.ask_for("ack", "send", &fields(&conv, &id, "first"));
    assert_eq!(ann.error_of("send", &fields(&conv, &id, "second")), "id_reused");
    let mut other_kind = fields(&conv, &id, "first");
    other_kind["kind"] = json!("note");
    assert_eq!(ann.error_of("send", &other_kind), "id_reused");
    assert_eq!(ann.texts(&conv, 1), ["first"]);
}

#[test]
fn the_same_id_of_another_sender_or_in_another_conversation_is_another_message() {
    let (gateway, mut ann, conv) = scene();
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let other = ann.create_group("other", &["bob"]);
    let id = ids::fresh();
    for (client, conv) in [(&mut ann, &conv), (&mut bob, &conv)] {
        assert!(!is_duplicate(&client.ask_for("ack", "send", &fields(conv, &id, "mine"))));
    }
    assert!(!is_duplicate(&ann.ask_for("ack", "send", &fields(&other, &id, "mine"))));
}

#[test]
fn without_an_id_each_send_is_a_new_message() {
    let (_gateway, mut ann, conv) = scene();
    let asked = json!({"conv": conv, "text": "again"});
    let (first, second) = (ann.ask_for("ack", "send", &asked), ann.ask_for("ack", "send", &asked));
    assert_ne!(first["seq"], second["seq"]);
}

/// The margins leave time for the request itself.
#[test]
fn an_id_may_be_almost_2_minutes_ahead_but_not_more() {
    let (_gateway, mut ann, conv) = scene();
    let at = |ahead_ms| ids::fresh_at(ids::now_ms() + ahead_ms);
    ann.ask_for("ack", "send", &fields(&conv, &at(2 * MINUTE_MS - 1_000), "just inside"));
    let beyond = fields(&conv, &at(2 * MINUTE_MS + 10_000), "outside");
    assert_eq!(ann.error_of("send", &beyond), "clock");
}

#[test]
fn an_id_may_be_almost_24_hours_old_but_not_more() {
    let (_gateway, mut ann, conv) = scene();
    let at = |age_ms| ids::fresh_at(ids::now_ms() - age_ms);
    ann.ask_for("ack", "send", &fields(&conv, &at(24 * HOUR_MS - 30_000), "just inside"));
    let beyond = fields(&conv, &at(24 * HOUR_MS + 1_000), "outside");
    assert_eq!(ann.error_of("send", &beyond), "expired_id");
}

#[test]
fn an_id_that_is_no_uuid_v7_is_refused() {
    let (_gateway, mut ann, conv) = scene();
    for id in ["x", "00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"]
    {
        assert_eq!(ann.error_of("send", &fields(&conv, id, "text")), "bad_frame", "{id}");
    }
    assert!(ann.texts(&conv, 1).is_empty());
}

#[test]
fn a_retried_create_finds_the_same_group() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let id = ids::fresh();
    let asked = json!({"name": "tea", "members": ["bob"], "client_msg_id": id});
    let first = ann.ask_for("ack", "create_group", &asked);
    let again = ann.ask_for("ack", "create_group", &asked);
    assert_eq!((&again["conv"], &again["seq"]), (&first["conv"], &first["seq"]));
    assert!(is_duplicate(&again));
    assert_eq!(first["conv"], ids::group_conversation("ann", &id).as_str());
    let other = json!({"name": "coffee", "members": ["bob"], "client_msg_id": id});
    assert_eq!(ann.error_of("create_group", &other), "id_reused");
}

#[test]
fn a_retried_change_of_members_happens_once() {
    let (_gateway, mut ann, conv) = scene();
    let asked = json!({"conv": conv, "members": ["cid"], "client_msg_id": ids::fresh()});
    let first = ann.ask_for("ack", "add_members", &asked);
    let again = ann.ask_for("ack", "add_members", &asked);
    assert_eq!((&again["seq"], is_duplicate(&again)), (&first["seq"], true));
}
