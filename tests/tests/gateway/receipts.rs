//! Delivered and read: watermarks that only grow, pushed to those whom they concern.

use std::time::Duration;

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;

const QUIET: Duration = Duration::from_millis(1_500);

fn mark(client: &mut Client, op: &str, conv: &str, seq: u64) {
    client.ask_for("ok", op, &json!({"conv": conv, "seq": seq}));
}

/// The first receipt of `user` whose `key` has reached `seq`.
fn receipt(client: &mut Client, user: &str, key: &str, seq: u64) -> Value {
    loop {
        let receipt = client.pushed_with("receipt");
        if receipt["user"] == user && receipt[key].as_u64().unwrap_or(0) >= seq {
            return receipt;
        }
    }
}

struct Scene {
    _gateway: Gateway,
    ann: Client,
    bob: Client,
    laptop: Client,
    conv: String,
}

fn scene() -> Scene {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let (laptop, _) = Client::join(&gateway.url(), "bob", "laptop");
    let conv = ann.create_group("tea", &["bob"]);
    Scene { _gateway: gateway, ann, bob, laptop, conv }
}

#[test]
fn delivered_then_read_reach_the_sender() {
    let mut scene = scene();
    let seq = scene.ann.say(&scene.conv, "did you get this?");
    mark(&mut scene.bob, "delivered", &scene.conv, seq);
    let first = receipt(&mut scene.ann, "bob", "delivered", seq);
    assert_eq!(first["conv"], scene.conv.as_str());
    assert!(first["read"].as_u64().unwrap_or(0) < seq, "not read yet: {first}");
    mark(&mut scene.bob, "read", &scene.conv, seq);
    let second = receipt(&mut scene.ann, "bob", "read", seq);
    assert_eq!(second["delivered"].as_u64(), Some(seq), "watermarks only grow: {second}");
}

#[test]
fn read_reaches_ones_own_other_devices() {
    let mut scene = scene();
    let seq = scene.ann.say(&scene.conv, "read me");
    mark(&mut scene.bob, "read", &scene.conv, seq);
    receipt(&mut scene.laptop, "bob", "read", seq);
}

#[test]
fn a_lower_mark_changes_nothing() {
    let mut scene = scene();
    let seqs = [1, 2, 3].map(|text| scene.ann.say(&scene.conv, &format!("{text}")));
    mark(&mut scene.bob, "read", &scene.conv, seqs[2]);
    receipt(&mut scene.ann, "bob", "read", seqs[2]);
    mark(&mut scene.bob, "read", &scene.conv, seqs[0]);
    while let Some(frame) = scene.ann.pushed_within(QUIET) {
        let read = frame["receipt"]["read"].as_u64();
        assert!(read.is_none_or(|read| read >= seqs[2]), "went back: {frame}");
    }
}

#[test]
fn marks_in_quick_succession_arrive_as_few_receipts() {
    let mut scene = scene();
    let seqs: Vec<u64> =
        (0..16).map(|text| scene.ann.say(&scene.conv, &format!("{text}"))).collect();
    for seq in &seqs {
        scene.bob.tell("delivered", &json!({"conv": scene.conv, "seq": seq}));
    }
    let mut count = 0;
    let mut last = 0;
    while let Some(frame) = scene.ann.pushed_within(QUIET) {
        if let Some(receipt) = frame.get("receipt") {
            count += 1;
            last = receipt["delivered"].as_u64().unwrap_or(0);
        }
    }
    assert_eq!(last, seqs[15], "the last mark arrives");
    assert!(count < 10, "16 marks in a moment are coalesced, not {count} receipts");
}

#[test]
fn a_mark_above_the_head_reads_nothing_that_is_yet_to_come() {
    let mut scene = scene();
    let seq = scene.ann.say(&scene.conv, "the head");
    let answer = scene.bob.ask("read", &json!({"conv": scene.conv, "seq": seq + 100}));
    assert!(answer.get("ok").is_some() || answer["error"]["fault"] == "client", "{answer}");
    let new = scene.ann.say(&scene.conv, "new");
    while scene.bob.pushed_with("event")["seq"].as_u64() != Some(new) {}
    let page = scene.bob.ask_for("conversations", "conversations", &json!({}));
    assert!(page["items"][0]["unread"].as_u64() >= Some(1), "{page}");
}

#[test]
fn a_large_group_pushes_no_delivered_to_the_sender() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let others: Vec<String> = (0..31).map(|number| format!("user-{number}")).collect();
    let mut members: Vec<&str> = others.iter().map(String::as_str).collect();
    members.push("bob");
    assert_eq!(members.len() + 1, 33, "one more than still tells");
    let conv = ann.create_group("big", &members);
    let seq = ann.say(&conv, "to all");
    mark(&mut bob, "delivered", &conv, seq);
    while let Some(frame) = ann.pushed_within(QUIET) {
        assert!(frame.get("receipt").is_none(), "{frame}");
    }
}

#[test]
fn a_group_of_32_still_tells_delivered() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let others: Vec<String> = (0..30).map(|number| format!("user-{number}")).collect();
    let mut members: Vec<&str> = others.iter().map(String::as_str).collect();
    members.push("bob");
    assert_eq!(members.len() + 1, 32);
    let conv = ann.create_group("big", &members);
    let seq = ann.say(&conv, "to all");
    mark(&mut bob, "delivered", &conv, seq);
    receipt(&mut ann, "bob", "delivered", seq);
}
