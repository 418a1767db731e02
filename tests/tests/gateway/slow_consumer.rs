//! I6: who does not read is closed with 4001 after a bounded amount of output; the others go on.

use std::time::{Duration, Instant};

use serde_json::json;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::raw::{Raw, TEXT};
use throng_tests::{http, ids};

const TEXT_BYTES: usize = 16 * 1024;
/// More than the gateway's burst and the sockets' buffers of both ends can hold.
const ENOUGH_MESSAGES: u64 = 2_000;

fn closes(gateway: &Gateway) -> String {
    let text = http::get(gateway.ready().admin_address(), "/metrics").body;
    let of_closes = text.lines().filter(|line| line.starts_with("throng_edge_closes_total"));
    of_closes.filter(|line| !line.ends_with(" 0")).collect::<Vec<&str>>().join("\n")
}

fn slow_closes(gateway: &Gateway) -> bool {
    closes(gateway)
        .lines()
        .any(|line| line.contains("reason=\"slow_consumer\"") && line.ends_with(" 1"))
}

/// Sends to the group until the gateway has given up on the slow member; the head of the log.
fn flood(gateway: &Gateway, ann: &mut Client, bob: &mut Client, conv: &str) -> u64 {
    let text = "x".repeat(TEXT_BYTES);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut head = 1;
    while head < ENOUGH_MESSAGES && !slow_closes(gateway) {
        assert!(Instant::now() < deadline, "not closed after {head} messages");
        let send = |_| {
            let fields = json!({"conv": conv, "client_msg_id": ids::fresh(), "text": text});
            ann.request("send", &fields)
        };
        let requests: Vec<u64> = (0..8).map(send).collect();
        for request in requests {
            let answer = ann.answer(request).unwrap();
            head = answer["ack"]["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        }
        while bob.pushed_within(Duration::from_millis(1)).is_some() {}
    }
    head
}

#[test]
fn who_does_not_read_is_closed_and_the_others_go_on() {
    let arguments = [
        "--shards",
        "1",
        "--ops-burst",
        "60000",
        "--ops-per-s",
        "60000",
        "--output-burst-bytes",
        "262144",
    ];
    let gateway = Gateway::start_with(&arguments);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let mut slow = Raw::upgraded(&gateway.url(), "");
    slow.text(r#"{"id": 1, "hello": {"user": "slow", "device": "phone"}}"#);
    assert_eq!(slow.read_frame().unwrap().opcode, TEXT);
    let conv = ann.create_group("tea", &["bob", "slow"]);
    let head = flood(&gateway, &mut ann, &mut bob, &conv);
    let closed = closes(&gateway);
    assert!(slow_closes(&gateway), "{head} messages for a client that does not read: {closed:?}");
    assert_eq!(slow.close_code(), Some(4001), "it is told so, once it reads what was under way");
    bob.ping();
    ann.ping();
    let (mut again, _) = Client::join(&gateway.url(), "slow", "phone");
    let newest = again.sync(&conv, head - 1)["events"][0]["seq"].as_u64();
    assert_eq!(newest, Some(head), "the log has what the connection missed");
}
