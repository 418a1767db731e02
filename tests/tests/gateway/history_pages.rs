//! History in pages: from the head down, from a seq up, while writing goes on; limits in pairs.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;

fn seqs(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

fn page(client: &mut Client, fields: &Value) -> Value {
    client.ask_for("history", "history", fields)
}

/// A group whose log ends at `head`.
fn group_with(client: &mut Client, head: u64) -> String {
    let conv = client.create_group("tea", &["bob"]);
    for seq in 2..=head {
        assert_eq!(client.say(&conv, &format!("text {seq}")), seq);
    }
    conv
}

fn start() -> (Gateway, Client) {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let (ann, _) = Client::join(&gateway.url(), "ann", "phone");
    (gateway, ann)
}

#[test]
fn the_first_page_is_the_newest_in_ascending_order() {
    let (_gateway, mut ann) = start();
    let conv = group_with(&mut ann, 60);
    let newest = page(&mut ann, &json!({"conv": conv}));
    assert_eq!(seqs(&newest), (11..=60).collect::<Vec<u64>>(), "50 by default");
    assert_eq!((&newest["has_more"], &newest["head"]), (&json!(true), &json!(60)));
    assert_eq!(newest["min_seq"], 1);
}

#[test]
fn paging_down_while_others_write_skips_and_repeats_nothing() {
    let (gateway, mut ann) = start();
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let conv = group_with(&mut ann, 40);
    let (mut read, mut before) = (Vec::new(), 0);
    loop {
        let page = page(&mut ann, &json!({"conv": conv, "before": before, "limit": 7}));
        let found = seqs(&page);
        before = found[0];
        read = [found, read].concat();
        bob.say(&conv, "meanwhile");
        if !page["has_more"].as_bool().unwrap_or(false) {
            break;
        }
    }
    assert_eq!(read, (1..=40).collect::<Vec<u64>>());
}

#[test]
fn paging_up_reaches_the_head() {
    let (_gateway, mut ann) = start();
    let conv = group_with(&mut ann, 30);
    let first = page(&mut ann, &json!({"conv": conv, "after": 10, "limit": 15}));
    assert_eq!((seqs(&first), &first["has_more"]), ((11..=25).collect(), &json!(true)));
    let last = page(&mut ann, &json!({"conv": conv, "after": 25, "limit": 15}));
    assert_eq!(seqs(&last), (26..=30).collect::<Vec<u64>>());
    assert!(!last["has_more"].as_bool().unwrap_or(false));
    assert!(seqs(&page(&mut ann, &json!({"conv": conv, "after": 30}))).is_empty());
}

#[test]
fn a_page_that_ends_exactly_at_the_end_says_so() {
    let (_gateway, mut ann) = start();
    let conv = group_with(&mut ann, 20);
    let exact = page(&mut ann, &json!({"conv": conv, "limit": 20}));
    assert_eq!((seqs(&exact).len(), exact["has_more"].as_bool().unwrap_or(false)), (20, false));
    let one_less = page(&mut ann, &json!({"conv": conv, "limit": 19}));
    assert_eq!((seqs(&one_less).len(), one_less["has_more"].as_bool()), (19, Some(true)));
}

#[test]
fn a_page_holds_at_most_200_events() {
    let (_gateway, mut ann) = start();
    let conv = group_with(&mut ann, 203);
    assert_eq!(seqs(&page(&mut ann, &json!({"conv": conv, "limit": 200}))).len(), 200);
    let beyond = page(&mut ann, &json!({"conv": conv, "limit": 201}));
    assert_eq!((seqs(&beyond).len(), &beyond["has_more"]), (200, &json!(true)));
}

#[test]
fn sync_gives_several_conversations_and_their_heads() {
    let (_gateway, mut ann) = start();
    let convs: Vec<String> = [3, 5, 9].map(|head| group_with(&mut ann, head)).into();
    let asked: Vec<Value> = convs.iter().map(|conv| json!({"conv": conv, "after": 2})).collect();
    let pages = ann.ask_for("sync", "sync", &json!({"convs": asked, "limit": 4}));
    let pages = pages["convs"].as_array().unwrap();
    let found: Vec<(Vec<u64>, bool, u64)> = pages
        .iter()
        .map(|page| {
            let more = page["has_more"].as_bool().unwrap_or(false);
            (seqs(page), more, page["head"].as_u64().unwrap())
        })
        .collect();
    let expected = [(vec![3], false, 3), (vec![3, 4, 5], false, 5), (vec![3, 4, 5, 6], true, 9)];
    assert_eq!(found, expected);
    let named: Vec<&str> = pages.iter().map(|page| page["conv"].as_str().unwrap()).collect();
    assert_eq!(named, convs);
}

#[test]
fn before_and_after_exclude_each_other() {
    let (_gateway, mut ann) = start();
    let conv = group_with(&mut ann, 3);
    let asked = json!({"conv": conv, "before": 3, "after": 1});
    assert_eq!(ann.error_of("history", &asked), "bad_frame");
}
