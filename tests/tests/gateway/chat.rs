//! A real conversation: three users with two devices each, direct and in a group.

use std::time::Duration;

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

const QUIET: Duration = Duration::from_millis(300);

fn join(gateway: &Gateway, user: &str) -> (Client, Client) {
    let url = gateway.url();
    (Client::join(&url, user, "phone").0, Client::join(&url, user, "laptop").0)
}

fn message(client: &mut Client) -> Value {
    loop {
        let event = client.pushed_with("event");
        if event.get("message").is_some() {
            return event;
        }
    }
}

#[test]
fn a_direct_message_reaches_every_device_but_the_one_that_sent_it() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let (mut ann, mut ann_laptop) = join(&gateway, "ann");
    let (mut bob, mut bob_laptop) = join(&gateway, "bob");
    let (mut cid, _cid_laptop) = join(&gateway, "cid");
    let id = ids::fresh();
    let fields = json!({"to": "bob", "client_msg_id": id, "text": "hello, bob"});
    let ack = ann.ask_for("ack", "send", &fields);
    assert_eq!(ack["conv"], ids::direct_conversation("ann", "bob").as_str());
    assert_eq!(ack["seq"], 2, "the first event is the conversation's creation: {ack}");
    assert!(ack.get("duplicate").is_none_or(|duplicate| duplicate == false), "{ack}");
    for client in [&mut ann_laptop, &mut bob, &mut bob_laptop] {
        let event = message(client);
        assert_eq!((&event["conv"], &event["seq"]), (&ack["conv"], &ack["seq"]));
        assert_eq!((&event["sender"], &event["device"]), (&json!("ann"), &json!("phone")));
        assert_eq!(event["client_msg_id"], id.as_str());
        assert_eq!(event["time_ms"], ack["time_ms"]);
        assert_eq!(event["message"], json!({"kind": "text", "text": "hello, bob"}));
    }
    while let Some(pushed) = ann.pushed_within(QUIET) {
        assert!(pushed["event"].get("message").is_none(), "the sender has the ack: {pushed}");
    }
    assert!(cid.pushed_within(QUIET).is_none());
}

#[test]
fn both_sides_of_a_first_contact_make_one_conversation() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let send = |client: &mut Client, to: &str| {
        client.request("send", &json!({"to": to, "client_msg_id": ids::fresh(), "text": to}))
    };
    let (from_ann, from_bob) = (send(&mut ann, "bob"), send(&mut bob, "ann"));
    let ann_ack = ann.answer(from_ann).unwrap()["ack"].clone();
    let bob_ack = bob.answer(from_bob).unwrap()["ack"].clone();
    assert_eq!(ann_ack["conv"], bob_ack["conv"]);
    let mut seqs = [ann_ack["seq"].as_u64().unwrap(), bob_ack["seq"].as_u64().unwrap()];
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 3]);
}

#[test]
fn a_group_message_reaches_all_members_in_one_order() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let (mut ann, mut ann_laptop) = join(&gateway, "ann");
    let (mut bob, mut bob_laptop) = join(&gateway, "bob");
    let (mut cid, mut cid_laptop) = join(&gateway, "cid");
    let conv = ann.create_group("tea", &["bob", "cid"]);
    for (client, text) in [(&mut ann, "one"), (&mut bob, "two"), (&mut cid, "three")] {
        client.say(&conv, text);
    }
    let logs: Vec<Value> =
        [&mut ann, &mut ann_laptop, &mut bob, &mut bob_laptop, &mut cid, &mut cid_laptop]
            .into_iter()
            .map(|client| client.sync(&conv, 0)["events"].clone())
            .collect();
    let seqs: Vec<u64> =
        logs[0].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:#?}");
    for (client, count) in [(&mut cid_laptop, 3), (&mut bob_laptop, 3), (&mut ann_laptop, 3)] {
        let pushed: Vec<u64> =
            (0..count).map(|_| message(client)["seq"].as_u64().unwrap()).collect();
        assert_eq!(pushed, [2, 3, 4]);
    }
}

#[test]
fn who_was_away_gets_what_was_missed() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    bob.pushed_with("event");
    bob.cut();
    for text in ["one", "two", "three"] {
        ann.say(&conv, text);
    }
    let mut bob = Client::connect(&gateway.url()).unwrap();
    let fields = json!({"user": "bob", "device": "phone", "cursor": welcome["cursor"]});
    let welcome = bob.hello(&fields)["welcome"].clone();
    assert_eq!(welcome["sync"], "resumed", "{welcome}");
    let changes = welcome["changes"].as_array().unwrap();
    assert!(changes.len() == 1 && changes[0]["conv"] == conv.as_str(), "{welcome}");
    assert_eq!(bob.texts(&conv, 1), ["one", "two", "three"]);
}

#[test]
fn data_kind_and_reply_come_through_as_they_were_given() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    let first = ann.say(&conv, "a question: ✓ \u{1F375} \u{0} \"quoted\" \\ end");
    assert_eq!(
        message(&mut bob)["message"]["text"],
        "a question: ✓ \u{1F375} \u{0} \"quoted\" \\ end"
    );
    let fields = json!({"conv": conv, "client_msg_id": ids::fresh(), "kind": "sticker",
        "data": "AAEC/w==", "reply_to": first});
    bob.ask_for("ack", "send", &fields);
    let expected = json!({"kind": "sticker", "data": "AAEC/w==", "reply_to": first});
    assert_eq!(message(&mut ann)["message"], expected);
    assert_eq!(bob.sync(&conv, first)["events"][0]["message"], expected);
}

#[test]
fn a_message_to_oneself_is_seen_on_the_other_device() {
    let gateway = Gateway::start();
    let (mut phone, mut laptop) = join(&gateway, "ann");
    let fields = json!({"to": "ann", "client_msg_id": ids::fresh(), "text": "milk, bread"});
    let ack = phone.ask_for("ack", "send", &fields);
    assert_eq!(ack["conv"], ids::direct_conversation("ann", "ann").as_str());
    assert_eq!(message(&mut laptop)["message"]["text"], "milk, bread");
}

#[test]
fn welcome_says_what_a_client_needs() {
    let gateway = Gateway::start();
    let before = ids::now_ms();
    let (_ann, welcome) = Client::join(&gateway.url(), "ann", "phone");
    assert_eq!((&welcome["user"], &welcome["device"]), (&json!("ann"), &json!("phone")));
    let time_ms = welcome["time_ms"].as_u64().unwrap();
    assert!((before..=ids::now_ms()).contains(&time_ms), "{welcome}");
    assert_eq!(welcome["heartbeat_ms"], 25_000);
    let limits = &welcome["limits"];
    for (limit, value) in [
        ("frame_bytes_max", 65_536),
        ("text_bytes_max", 16_384),
        ("requests_in_flight_max", 16),
        ("group_members_max", 500),
        ("page_events_max", 200),
        ("sync_convs_max", 100),
        ("devices_max", 8),
    ] {
        assert_eq!(limits[limit], value, "{limit}");
    }
    for text in ["session", "log_id", "sync", "cursor"] {
        assert!(welcome[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {welcome}");
    }
    assert!(welcome["server"]["version"].is_string());
}
