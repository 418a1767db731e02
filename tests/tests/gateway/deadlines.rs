//! Deadlines: hello in time (4408), signs of life (4002), and none of it for who keeps up.

use std::time::{Duration, Instant};

use serde_json::json;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::raw::{PING, Raw};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn no_hello_in_time_is_4408() {
    let gateway = Gateway::start_with(&["--hello-deadline-ms", "1000"]);
    let mut silent = Client::connect(&gateway.url()).unwrap();
    let started = Instant::now();
    assert_eq!(silent.closed_within(SOON).code, Some(4408));
    let waited = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[test]
fn pings_do_not_stand_in_for_hello() {
    let gateway = Gateway::start_with(&["--hello-deadline-ms", "1000"]);
    let mut raw = Raw::upgraded(&gateway.url(), "");
    for _ in 0..20 {
        raw.frame(PING, b"");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(raw.close_code(), Some(4408));
}

#[test]
fn hello_just_in_time_is_welcomed_and_the_deadline_is_over() {
    let gateway = Gateway::start_with(&["--hello-deadline-ms", "1000"]);
    let mut client = Client::connect(&gateway.url()).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(client.hello(&json!({"user": "ann", "device": "phone"})).get("welcome").is_some());
    std::thread::sleep(Duration::from_millis(1_200));
    client.ping();
}

#[test]
fn a_client_that_answers_no_ping_is_closed_with_4002() {
    let gateway = Gateway::start_with(&["--heartbeat-ms", "500"]);
    let mut raw = Raw::upgraded(&gateway.url(), "");
    raw.text(r#"{"id": 1, "hello": {"user": "ann", "device": "phone"}}"#);
    let started = Instant::now();
    assert_eq!(raw.close_code(), Some(4002), "this client answers no ping");
    let waited = started.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[test]
fn a_client_that_answers_pings_stays() {
    let gateway = Gateway::start_with(&["--heartbeat-ms", "500", "--cold-after-ms", "200"]);
    let (mut ann, welcome) = Client::join(&gateway.url(), "ann", "phone");
    assert_eq!(welcome["heartbeat_ms"], 500);
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        ann.read_until(until);
        assert!(ann.closed().is_none(), "{:?}", ann.closed());
    }
    ann.ping();
}

#[test]
fn an_idle_connection_that_went_cold_still_gets_its_events() {
    let gateway = Gateway::start_with(&["--cold-after-ms", "200"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    for round in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        let conv = ann.create_group(&format!("round {round}"), &["bob"]);
        assert_eq!(bob.pushed_with("event")["conv"], conv.as_str());
        std::thread::sleep(Duration::from_millis(700));
        bob.say(&conv, "awake");
    }
}
