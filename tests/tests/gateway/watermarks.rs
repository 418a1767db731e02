//! Watermarks can be asked for: who was away when a receipt was pushed learns of it all the same.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

/// (delivered, read) of a member.
fn marks(client: &mut Client, conv: &str, user: &str) -> (u64, u64) {
    let page = client.ask_for("members", "members", &json!({"conv": conv}));
    let items = page["items"].as_array().unwrap();
    let member = items.iter().find(|member| member["user"] == user).unwrap();
    (number(member, "delivered"), number(member, "read"))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

fn listed(client: &mut Client) -> Value {
    client.ask_for("conversations", "conversations", &json!({}))["items"][0].clone()
}

#[test]
fn a_receipt_that_was_missed_is_in_the_list_of_a_direct_conversation() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let fields = |text| json!({"to": "bob", "client_msg_id": ids::fresh(), "text": text});
    let conv = ann.ask_for("ack", "send", &fields("one"))["conv"].as_str().unwrap().to_owned();
    let seq = ann.ask_for("ack", "send", &fields("two"))["seq"].as_u64().unwrap();
    while bob.pushed_with("event")["seq"].as_u64() != Some(seq) {}
    drop(ann);
    bob.ask_for("ok", "read", &json!({"conv": conv, "seq": seq - 1}));
    bob.ask_for("ok", "delivered", &json!({"conv": conv, "seq": seq}));
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let item = listed(&mut ann);
    assert_eq!((number(&item, "peer_delivered"), number(&item, "peer_read")), (seq, seq - 1));
    let item = listed(&mut bob);
    assert_eq!((number(&item, "peer_delivered"), number(&item, "peer_read")), (seq, seq));
}

#[test]
fn members_have_their_watermarks_also_after_a_kill() {
    let mut gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob", "cid"]);
    let seqs = [1, 2, 3].map(|text| ann.say(&conv, &format!("{text}")));
    bob.ask_for("ok", "delivered", &json!({"conv": conv, "seq": seqs[2]}));
    bob.ask_for("ok", "read", &json!({"conv": conv, "seq": seqs[0]}));
    let expected = [("ann", (seqs[2], seqs[2])), ("bob", (seqs[2], seqs[0])), ("cid", (0, 0))];
    for (user, pair) in expected {
        assert_eq!(marks(&mut ann, &conv, user), pair, "{user}");
    }
    gateway.kill_and_restart();
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    for (user, pair) in expected {
        assert_eq!(marks(&mut bob, &conv, user), pair, "{user}");
    }
}

#[test]
fn own_messages_stay_read_after_a_kill() {
    let mut gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    let seq = [1, 2, 3].map(|text| ann.say(&conv, &format!("{text}")))[2];
    gateway.kill_and_restart();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    // Served once the after-work of what was acknowledged is done again.
    assert_eq!(marks(&mut ann, &conv, "ann"), (seq, seq));
    let item = listed(&mut ann);
    assert_eq!((number(&item, "head"), number(&item, "unread")), (seq, 0), "{item}");
}
