//! A newer connection of a device replaces the older one, on whatever shard; other devices stay.

use std::time::Duration;

use serde_json::json;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_older_connection_of_a_device_is_closed_with_4403() {
    let gateway = Gateway::start_with(&["--shards", "4"]);
    let (mut first, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut laptop, _) = Client::join(&gateway.url(), "ann", "laptop");
    for _ in 0..5 {
        let (mut second, _) = Client::join(&gateway.url(), "ann", "phone");
        assert_eq!(first.closed_within(SOON).code, Some(4403));
        second.ping();
        first = second;
    }
    laptop.ping();
}

#[test]
fn events_go_to_the_newer_connection_once() {
    let gateway = Gateway::start_with(&["--shards", "4"]);
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let (_old, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = bob.create_group("tea", &["ann"]);
    assert_eq!(ann.pushed_with("event")["conv"], conv.as_str());
    bob.say(&conv, "once");
    assert_eq!(ann.pushed_with("event")["message"]["text"], "once");
    assert!(ann.pushed_within(Duration::from_millis(300)).is_none());
}

#[test]
fn the_same_device_name_of_another_user_is_another_device() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    ann.ping();
    bob.ping();
}

#[test]
fn a_second_hello_on_one_connection_is_refused() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let id = ann.request("hello", &json!({"user": "bob", "device": "phone"}));
    match ann.answer(id) {
        Ok(answer) => assert_eq!(answer["error"]["fault"], "client", "{answer}"),
        Err(closed) => assert_eq!(closed.code, Some(4400)),
    }
}
