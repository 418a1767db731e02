//! Resume: from a cursor, a client learns of everything it missed, also of nothing; a cursor that
//! cannot be trusted means resync. Never a silent partial replay (I4).

use std::time::Duration;

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;

const CURSOR_BYTES_MAX: usize = 128;

fn resume(gateway: &Gateway, user: &str, device: &str, cursor: &Value) -> (Client, Value) {
    let mut client = Client::connect(&gateway.url()).unwrap();
    let hello = json!({"user": user, "device": device, "cursor": cursor});
    let welcome = client.hello(&hello)["welcome"].clone();
    assert!(welcome.is_object(), "not welcomed");
    (client, welcome)
}

/// Everything that a welcome and the further pages of changes name, with the last cursor.
fn all_changes(client: &mut Client, welcome: &Value) -> (Vec<(String, u64)>, Value) {
    let (mut found, mut page) = (Vec::new(), welcome.clone());
    loop {
        let items = page["changes"].as_array().or(page["items"].as_array()).cloned();
        for item in items.unwrap_or_default() {
            found.push((item["conv"].as_str().unwrap().to_owned(), item["head"].as_u64().unwrap()));
        }
        let cursor = page["cursor"].clone();
        if !page["more"].as_bool().unwrap_or(false) {
            return (found, cursor);
        }
        page = client.ask_for("changes", "changes", &json!({"cursor": cursor}));
    }
}

#[test]
fn a_first_connection_without_a_cursor_is_told_to_read_the_list() {
    let gateway = Gateway::start();
    let (_ann, welcome) = Client::join(&gateway.url(), "ann", "phone");
    assert_eq!(welcome["sync"], "resync");
}

#[test]
fn with_zero_events_it_is_resumed_and_empty() {
    let gateway = Gateway::start();
    let (mut ann, welcome) = Client::join(&gateway.url(), "ann", "phone");
    ann.cut();
    let (mut ann, welcome) = resume(&gateway, "ann", "phone", &welcome["cursor"]);
    assert_eq!(welcome["sync"], "resumed", "{welcome}");
    assert_eq!(all_changes(&mut ann, &welcome).0, []);
}

#[test]
fn it_names_every_conversation_with_news_and_its_head() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let (mut cursor, mut convs) = (welcome["cursor"].clone(), Vec::new());
    for count in 0..3 {
        convs.push(ann.create_group(&format!("group {count}"), &["bob"]));
    }
    bob.cut();
    let (mut observer, _) = Client::join(&gateway.url(), "ann", "laptop");
    for _ in 0..2 {
        let heads: Vec<u64> = convs[..2].iter().map(|conv| ann.say(conv, "news")).collect();
        for _ in &heads {
            // Lists are brought up to date after the ack and before the event is pushed.
            observer.pushed_with("event");
        }
        let (mut again, welcome) = resume(&gateway, "bob", "phone", &cursor);
        assert_eq!(welcome["sync"], "resumed");
        let (changes, next) = all_changes(&mut again, &welcome);
        for (conv, head) in convs.iter().zip(heads) {
            assert!(changes.contains(&(conv.clone(), head)), "{conv} is missing in {changes:?}");
        }
        cursor = next;
    }
}

#[test]
fn another_device_can_use_the_cursor() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (_bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    let (mut laptop, welcome) = resume(&gateway, "bob", "laptop", &welcome["cursor"]);
    assert_eq!(welcome["sync"], "resumed");
    assert_eq!(all_changes(&mut laptop, &welcome).0, [(conv, 1)]);
}

#[test]
fn it_works_after_a_kill() {
    let mut gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    bob.cut();
    let head = ann.say(&conv, "before the kill");
    let log_id = welcome["log_id"].clone();
    gateway.kill_and_restart();
    let (mut bob, welcome) = resume(&gateway, "bob", "phone", &welcome["cursor"]);
    assert_eq!(welcome["log_id"], log_id, "every write was synced: it is the same log");
    assert_eq!(welcome["sync"], "resumed", "{welcome}");
    assert!(all_changes(&mut bob, &welcome).0.contains(&(conv.clone(), head)));
    assert_eq!(bob.texts(&conv, 1), ["before the kill"]);
}

#[test]
fn a_cursor_of_another_log_means_resync() {
    let (gateway, other) = (Gateway::start(), Gateway::start());
    let (_ann, welcome) = Client::join(&other.url(), "ann", "phone");
    let (_ann, here) = resume(&gateway, "ann", "phone", &welcome["cursor"]);
    assert_eq!(here["sync"], "resync");
    assert_ne!(here["log_id"], welcome["log_id"]);
}

#[test]
fn a_cursor_that_is_no_cursor_means_resync() {
    let gateway = Gateway::start();
    let (_ann, welcome) = Client::join(&gateway.url(), "ann", "phone");
    let good = welcome["cursor"].as_str().unwrap().to_owned();
    let longest = "x".repeat(CURSOR_BYTES_MAX);
    for cursor in ["x", "\u{0}", &good[1..], &format!("{good}0"), &longest] {
        let (_ann, welcome) = resume(&gateway, "ann", "tablet", &json!(cursor));
        assert_eq!(welcome["sync"], "resync", "{cursor:?}");
    }
}

#[test]
fn a_cursor_that_is_too_long_is_refused() {
    let gateway = Gateway::start();
    let mut client = Client::connect(&gateway.url()).unwrap();
    let cursor = "x".repeat(CURSOR_BYTES_MAX + 1);
    let answer = client.hello(&json!({"user": "ann", "device": "tablet", "cursor": cursor}));
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["fault"]), (&json!("too_large"), &json!("client")));
    assert_eq!(error["fatal"], true, "{answer}");
    assert_eq!(client.closed_within(Duration::from_secs(5)).code, Some(4400));
}

#[test]
fn more_changes_than_a_page_come_in_pages() {
    let gateway = Gateway::start_with(&["--ops-burst", "2000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let mut made: Vec<(String, u64)> =
        (0..250).map(|count| (ann.create_group(&format!("{count}"), &["bob"]), 1)).collect();
    bob.cut();
    let (mut bob, welcome) = resume(&gateway, "bob", "phone", &welcome["cursor"]);
    assert_eq!(welcome["more"], true, "250 conversations do not fit into a welcome");
    let (mut changes, _) = all_changes(&mut bob, &welcome);
    changes.sort();
    changes.dedup();
    made.sort();
    assert_eq!(changes, made);
}
