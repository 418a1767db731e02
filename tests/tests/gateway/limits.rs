//! Every limit a client can meet, from both sides: just under passes, one past is refused, and the
//! connection outlives what is the client's to correct.

use serde_json::{Value, json};
use throng_tests::client::{Client, Refused};
use throng_tests::gateway::Gateway;
use throng_tests::ids;

const TEXT_BYTES_MAX: usize = 16 * 1024;
const FRAME_BYTES_MAX: usize = 64 * 1024;

fn scene() -> (Gateway, Client, String) {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    (gateway, ann, conv)
}

fn send(conv: &str, text: &str) -> Value {
    json!({"conv": conv, "client_msg_id": ids::fresh(), "text": text})
}

#[test]
fn text_of_16_kib_passes_and_one_byte_more_is_too_large() {
    let (_gateway, mut ann, conv) = scene();
    let text = "x".repeat(TEXT_BYTES_MAX);
    ann.ask_for("ack", "send", &send(&conv, &text));
    assert_eq!(ann.error_of("send", &send(&conv, &format!("{text}x"))), "too_large");
    assert_eq!(ann.texts(&conv, 1), [text]);
}

#[test]
fn text_is_counted_in_bytes_of_utf_8() {
    let (_gateway, mut ann, conv) = scene();
    let text = "é".repeat(TEXT_BYTES_MAX / 2);
    ann.ask_for("ack", "send", &send(&conv, &text));
    assert_eq!(ann.error_of("send", &send(&conv, &format!("{text}é"))), "too_large");
}

#[test]
fn data_is_counted_decoded() {
    use base64::Engine as _;
    let (_gateway, mut ann, conv) = scene();
    let data = |bytes: usize| {
        let data = base64::engine::general_purpose::STANDARD.encode(vec![0xff; bytes]);
        json!({"conv": conv, "client_msg_id": ids::fresh(), "data": data})
    };
    ann.ask_for("ack", "send", &data(TEXT_BYTES_MAX));
    assert_eq!(ann.error_of("send", &data(TEXT_BYTES_MAX + 1)), "too_large");
}

#[test]
fn a_frame_of_64_kib_passes_and_one_byte_more_closes_with_1009() {
    let (gateway, mut ann, _) = scene();
    let padded = |bytes: usize| {
        let frame = r#"{"id": 77, "ping": {}"#;
        format!("{frame}{}}}", " ".repeat(bytes - frame.len() - 1))
    };
    ann.send_text(&padded(FRAME_BYTES_MAX));
    assert!(ann.answer(77).unwrap().get("pong").is_some());
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    bob.send_text(&padded(FRAME_BYTES_MAX + 1));
    assert_eq!(bob.closed_within(throng_tests::client::ANSWER_TIMEOUT).code, Some(1009));
    ann.ping();
}

#[test]
fn kind_of_32_bytes_passes_and_one_more_does_not() {
    let (_gateway, mut ann, conv) = scene();
    let with_kind = |bytes: usize| {
        let mut fields = send(&conv, "text");
        fields["kind"] = json!("k".repeat(bytes));
        fields
    };
    ann.ask_for("ack", "send", &with_kind(32));
    assert_eq!(ann.ask_for("error", "send", &with_kind(33))["fault"], "client");
}

#[test]
fn user_and_device_have_1_to_64_bytes() {
    let gateway = Gateway::start();
    let hello = |user: &str, device: &str| {
        let mut client = Client::connect(&gateway.url()).unwrap();
        let id = client.request("hello", &json!({"user": user, "device": device}));
        client.answer(id).is_ok_and(|answer| answer.get("welcome").is_some())
    };
    let (most, more) = ("x".repeat(64), "x".repeat(65));
    assert!(hello("u", "d") && hello(&most, &most));
    assert!(hello("A-z_0.9@host+tag", "phone"), "every allowed character");
    for (user, device) in
        [("", "d"), ("u", ""), (&more, "d"), ("u", &more), ("a b", "d"), ("ü", "d"), ("u", "a/b")]
    {
        assert!(!hello(user, device), "{user:?} {device:?}");
    }
}

#[test]
fn a_user_has_eight_devices_and_a_ninth_takes_the_place_of_the_oldest() {
    let gateway = Gateway::start();
    let mut devices: Vec<Client> = (0..8)
        .map(|number| Client::join(&gateway.url(), "ann", &format!("device-{number}")).0)
        .collect();
    for device in &mut devices {
        device.ping();
    }
    let (mut ninth, _) = Client::join(&gateway.url(), "ann", "device-8");
    let closed = devices[0].closed_within(std::time::Duration::from_secs(10));
    assert_eq!(closed.code, Some(4403));
    for device in &mut devices[1..] {
        device.ping();
    }
    ninth.ping();
}

#[test]
fn a_group_has_500_members_and_not_501() {
    let (_gateway, mut ann, _) = scene();
    let names: Vec<String> = (0..500).map(|number| format!("user-{number}")).collect();
    let create = |count: usize| {
        let members = &names[..count];
        json!({"name": "all", "members": members, "client_msg_id": ids::fresh()})
    };
    let ack = ann.ask_for("ack", "create_group", &create(499));
    assert_eq!(ann.ask_for("error", "create_group", &create(500))["fault"], "client");
    let add = json!({"conv": ack["conv"], "members": ["one-more"], "client_msg_id": ids::fresh()});
    assert_eq!(ann.ask_for("error", "add_members", &add)["fault"], "client");
}

#[test]
fn sixteen_requests_may_be_in_flight_and_one_more_is_told_so() {
    let (_gateway, mut ann, conv) = scene();
    let convs: Vec<String> = (0..16).map(|_| ann.create_group("one of many", &[])).collect();
    let mut refused = 0;
    for _ in 0..10 {
        let requests: Vec<u64> =
            convs.iter().map(|conv| ann.request("send", &send(conv, "at once"))).collect();
        for request in requests {
            let answer = ann.answer(request).unwrap();
            assert!(answer.get("ack").is_some(), "16 are allowed: {answer}");
        }
        let requests: Vec<u64> =
            (0..64).map(|_| ann.request("history", &json!({"conv": conv}))).collect();
        for request in requests {
            let answer = ann.answer(request).unwrap();
            if let Some(error) = answer.get("error") {
                assert_eq!(error["code"], "rate_limited", "{answer}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "64 requests at once never met the limit of 16");
}

#[test]
fn agent_and_group_name_have_a_length_each() {
    let gateway = Gateway::start();
    let hello = |bytes: usize| {
        let mut client = Client::connect(&gateway.url()).unwrap();
        let hello = json!({"user": "ann", "device": "phone", "agent": "a".repeat(bytes)});
        let id = client.request("hello", &hello);
        client.answer(id).is_ok_and(|answer| answer.get("welcome").is_some())
    };
    assert!(hello(64) && !hello(65));
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    ann.create_group(&"n".repeat(128), &[]);
    let long = json!({"name": "n".repeat(129), "members": [], "client_msg_id": ids::fresh()});
    assert_eq!(ann.error_of("create_group", &long), "too_large");
}

#[test]
fn sync_of_100_conversations_passes_and_of_101_does_not() {
    let (_gateway, mut ann, conv) = scene();
    let ask = |count: usize| json!({"convs": vec![json!({"conv": conv, "after": 0}); count]});
    ann.ask_for("sync", "sync", &ask(100));
    assert_eq!(ann.ask_for("error", "sync", &ask(101))["fault"], "client");
}

#[test]
fn ops_beyond_the_burst_are_rate_limited_and_told_when_to_come_back() {
    let gateway = Gateway::start_with(&["--ops-burst", "20", "--ops-per-s", "5"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let answers: Vec<Value> = (0..30).map(|_| ann.ask("ping", &json!({}))).collect();
    let limited: Vec<&Value> = answers.iter().filter_map(|answer| answer.get("error")).collect();
    let served = answers.len() - limited.len();
    assert!((15..=25).contains(&served), "{served} of 30 with a burst of 20");
    for error in &limited {
        assert_eq!((&error["code"], &error["fault"]), (&json!("rate_limited"), &json!("client")));
        assert!(error["retry_after_ms"].as_u64() > Some(0), "{error}");
    }
    bob.ping();
    let wait_ms = limited.last().unwrap()["retry_after_ms"].as_u64().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(wait_ms + 50));
    ann.ping();
}

#[test]
fn a_full_shard_refuses_with_503_and_keeps_what_it_has() {
    let gateway = Gateway::start_with(&["--shards", "1", "--connections-per-shard-max", "5"]);
    let join = |number: usize| Client::join(&gateway.url(), &format!("user-{number}"), "phone").0;
    let mut clients: Vec<Client> = (0..5).map(join).collect();
    assert!(matches!(Client::connect(&gateway.url()), Err(Refused::Status(503))));
    for client in &mut clients {
        client.ping();
    }
    clients.pop();
    std::thread::sleep(std::time::Duration::from_millis(300));
    join(5).ping();
}

#[test]
fn an_address_has_no_more_of_a_gateway_with_many_shards() {
    let gateway = Gateway::start_with(&["--shards", "8", "--handshakes-per-address-max", "40"]);
    let opened: Vec<Client> =
        (0..200).filter_map(|_| Client::connect(&gateway.url()).ok()).collect();
    assert!((20..=40).contains(&opened.len()), "{} of 40", opened.len());
}

#[test]
fn connections_that_have_not_said_hello_are_capped_per_address() {
    let gateway = Gateway::start_with(&["--shards", "1", "--handshakes-per-address-max", "10"]);
    let mut waiting: Vec<Client> =
        (0..10).map(|_| Client::connect(&gateway.url()).unwrap()).collect();
    assert!(Client::connect(&gateway.url()).is_err(), "an eleventh is refused");
    let welcome = waiting[0].hello(&json!({"user": "ann", "device": "phone"}));
    assert!(welcome.get("welcome").is_some());
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    bob.ping();
}

#[test]
fn an_operator_may_allow_fewer_devices_and_members() {
    let options = ["--devices-max", "2", "--group-members-max", "3"];
    let gateway = Gateway::start_with(&options);
    let (mut first, welcome) = Client::join(&gateway.url(), "ann", "first");
    assert_eq!(welcome["limits"]["devices_max"], 2);
    assert_eq!(welcome["limits"]["group_members_max"], 3);
    let (mut second, _) = Client::join(&gateway.url(), "ann", "second");
    first.ping();
    let group = |members: &[&str]| json!({"name": "tea", "members": members, "client_msg_id": ids::fresh()});
    second.ask_for("ack", "create_group", &group(&["bob", "carol"]));
    assert_eq!(second.error_of("create_group", &group(&["bob", "carol", "dan"])), "too_large");
    let (mut third, _) = Client::join(&gateway.url(), "ann", "third");
    assert_eq!(first.closed_within(std::time::Duration::from_secs(10)).code, Some(4403));
    second.ping();
    third.ping();
}
