//! More shards than cores work: connections land on many of them and reach each other.

use std::time::Duration;

use serde_json::json;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

#[test]
fn sixty_four_shards_serve_one_conversation() {
    let gateway = Gateway::start_with(&["--shards", "64"]);
    assert_eq!(gateway.ready().field("shards"), "64");
    let users: Vec<String> = (0..40).map(|number| format!("user-{number}")).collect();
    let mut clients: Vec<Client> =
        users.iter().map(|user| Client::join(&gateway.url(), user, "phone").0).collect();
    let others: Vec<&str> = users[1..].iter().map(String::as_str).collect();
    let conv = clients[0].create_group("everyone", &others);
    for client in &mut clients[1..] {
        assert_eq!(client.pushed_with("event")["conv"], conv.as_str());
    }
    let speaker = clients.last_mut().unwrap();
    let seq = speaker.say(&conv, "hello from afar");
    let last = clients.len() - 1;
    for client in &mut clients[..last] {
        let event = client.pushed_with("event");
        assert_eq!(
            (event["seq"].as_u64(), &event["message"]["text"]),
            (Some(seq), &json!("hello from afar"))
        );
    }
}

#[test]
fn a_direct_message_crosses_shards_both_ways() {
    let gateway = Gateway::start_with(&["--shards", "16"]);
    for round in 0..8 {
        let (one, other) = (format!("a{round}"), format!("b{round}"));
        let (mut ann, _) = Client::join(&gateway.url(), &one, "phone");
        let (mut bob, _) = Client::join(&gateway.url(), &other, "phone");
        let fields = json!({"to": other, "client_msg_id": ids::fresh(), "text": "there"});
        let conv = ann.ask_for("ack", "send", &fields)["conv"].as_str().unwrap().to_owned();
        while bob.pushed_with("event")["message"]["text"] != "there" {}
        bob.say(&conv, "back");
        while ann.pushed_with("event")["message"]["text"] != "back" {}
        assert!(ann.pushed_within(Duration::ZERO).is_none());
    }
}
