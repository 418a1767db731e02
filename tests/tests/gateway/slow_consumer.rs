//! I6: who does not read is closed with 4001 after a bounded amount of output; the others go on.

use std::time::{Duration, Instant};

use serde_json::json;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

#[test]
fn who_does_not_read_is_closed_and_the_others_get_everything() {
    let arguments = [
        "--shards",
        "1",
        "--ops-burst",
        "60000",
        "--ops-per-s",
        "60000",
        "--output-stall-ms",
        "2000",
        "--output-burst-bytes",
        "262144",
    ];
    let gateway = Gateway::start_with(&arguments);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let (mut slow, _) = Client::join(&gateway.url(), "slow", "phone");
    let conv = ann.create_group("tea", &["bob", "slow"]);
    let text = "x".repeat(16 * 1024);
    // More than the sockets' buffers of both ends can hold (some MiB on loopback).
    let started = Instant::now();
    let mut sent = 0;
    while sent < 1_500 && started.elapsed() < Duration::from_secs(40) {
        let requests: Vec<u64> = (0..8)
            .map(|_| {
                let fields = json!({"conv": conv, "client_msg_id": ids::fresh(), "text": text});
                ann.request("send", &fields)
            })
            .collect();
        for request in requests {
            let answer = ann.answer(request).unwrap();
            assert!(answer.get("ack").is_some(), "{answer}");
            sent += 1;
        }
        while bob.pushed_within(Duration::ZERO).is_some() {}
    }
    let head = ann.sync(&conv, sent)["head"].as_u64().unwrap();
    assert_eq!(head, sent + 1, "the sender is not held up");
    std::thread::sleep(Duration::from_secs(3));
    let closed = slow.closed_within(Duration::from_secs(20));
    assert!(matches!(closed.code, Some(4001) | None), "{closed:?}");
    let log = gateway.log();
    assert!(closed.code == Some(4001) || log.contains("slow"), "{closed:?}\n{log}");
    bob.ping();
    assert!(bob.closed().is_none());
    let (mut again, _) = Client::join(&gateway.url(), "slow", "phone");
    assert_eq!(again.sync(&conv, head - 1)["events"][0]["seq"], head, "nothing is lost in the log");
}
