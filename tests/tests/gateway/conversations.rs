//! The list of conversations: kind, name or peer, head, unread, last event, pages.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

fn list(client: &mut Client) -> Vec<Value> {
    let page = client.ask_for("conversations", "conversations", &json!({}));
    page["items"].as_array().cloned().unwrap_or_default()
}

fn item(client: &mut Client, conv: &str) -> Value {
    let found = list(client).into_iter().find(|item| item["conv"] == conv);
    found.unwrap_or_else(|| panic!("{conv} is not in the list"))
}

/// Waits for the event: what it changes in the list is there before it is pushed.
fn heard(client: &mut Client, seq: u64) {
    while client.pushed_with("event")["seq"].as_u64() < Some(seq) {}
}

fn number(item: &Value, key: &str) -> u64 {
    item[key].as_u64().unwrap_or(0)
}

#[test]
fn a_direct_conversation_names_the_peer_and_a_group_its_name() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    assert!(list(&mut ann).is_empty());
    let fields = json!({"to": "bob", "client_msg_id": ids::fresh(), "text": "hi"});
    let direct = ann.ask_for("ack", "send", &fields)["conv"].as_str().unwrap().to_owned();
    let group = ann.create_group("tea", &["bob"]);
    while bob.pushed_with("event")["conv"] != group.as_str() {}
    let listed = item(&mut ann, &direct);
    assert_eq!((&listed["kind"], &listed["peer"]), (&json!("direct"), &json!("bob")));
    assert_eq!(item(&mut bob, &direct)["peer"], "ann");
    let listed = item(&mut bob, &group);
    assert_eq!((&listed["kind"], &listed["name"]), (&json!("group"), &json!("tea")));
    assert_eq!(list(&mut ann).len(), 2);
}

#[test]
fn the_last_event_and_the_head_are_those_of_the_log() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut laptop, _) = Client::join(&gateway.url(), "ann", "laptop");
    let conv = ann.create_group("tea", &["bob"]);
    let seq = ann.say(&conv, "the last word");
    heard(&mut laptop, seq);
    let listed = item(&mut ann, &conv);
    assert_eq!(number(&listed, "head"), seq);
    assert_eq!(listed["last_event"]["seq"], seq);
    assert_eq!(listed["last_event"]["message"]["text"], "the last word");
}

#[test]
fn unread_counts_the_messages_of_others_above_the_read_mark() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let (mut laptop, _) = Client::join(&gateway.url(), "bob", "laptop");
    let conv = ann.create_group("tea", &["bob"]);
    heard(&mut bob, 1);
    let start = number(&item(&mut bob, &conv), "unread");
    let seqs: Vec<u64> = (0..5).map(|count| ann.say(&conv, &format!("{count}"))).collect();
    heard(&mut bob, 6);
    assert_eq!(number(&item(&mut bob, &conv), "unread"), start + 5);
    bob.ask_for("ok", "read", &json!({"conv": conv, "seq": seqs[2]}));
    for client in [&mut bob, &mut laptop] {
        let listed = item(client, &conv);
        assert_eq!((number(&listed, "unread"), number(&listed, "read")), (2, seqs[2]));
    }
    bob.ask_for("ok", "read", &json!({"conv": conv, "seq": seqs[4]}));
    assert_eq!(number(&item(&mut laptop, &conv), "unread"), 0);
}

#[test]
fn ones_own_messages_are_not_unread() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut laptop, _) = Client::join(&gateway.url(), "ann", "laptop");
    let conv = ann.create_group("tea", &["bob"]);
    for count in 0..3 {
        ann.say(&conv, &format!("{count}"));
    }
    heard(&mut laptop, 4);
    assert_eq!(number(&item(&mut ann, &conv), "unread"), 0);
}

#[test]
fn unread_survives_a_kill() {
    let mut gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    let seqs: Vec<u64> = (0..4).map(|count| ann.say(&conv, &format!("{count}"))).collect();
    heard(&mut bob, 5);
    bob.ask_for("ok", "read", &json!({"conv": conv, "seq": seqs[1]}));
    gateway.kill_and_restart();
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let listed = item(&mut bob, &conv);
    assert_eq!(number(&listed, "head"), seqs[3], "{listed}");
    let (unread, read) = (number(&listed, "unread"), number(&listed, "read"));
    assert_eq!((unread, read), (2, seqs[1]), "an answered read mark is kept: {listed}");
}

#[test]
fn pages_give_every_conversation_once() {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let mut made: Vec<String> =
        (0..45).map(|count| ann.create_group(&format!("group {count}"), &[])).collect();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page =
            ann.ask_for("conversations", "conversations", &json!({"after": after, "limit": 7}));
        let items = page["items"].as_array().cloned().unwrap_or_default();
        assert!(items.len() <= 7);
        listed.extend(items.iter().map(|item| item["conv"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut after),
            _ => break,
        }
    }
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
}
