//! Requests: bounded per connection, answered once, and sends in order (invariant I2).

use serde_json::json;
use throng_edge::limits::{
    HOUSEKEEPING, ORDERED_CONVERSATIONS_MAX, REQUEST_DEADLINE, REQUEST_GRACE,
};
use throng_wire::{ErrorCode, v1};

use crate::rig::{Got, Rig, Router, TICK, error_code, message_id, send};

fn one(router: &mut Router) -> throng_wire::link::Request<'static> {
    let mut requests = router.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[test]
fn an_answer_comes_back_with_the_clients_id_in_both_encodings() {
    use throng_wire::Protobuf as _;
    use throng_wire::ws::Opcode;
    let (mut rig, mut router) = Rig::ready();
    let (mut json_client, _) = rig.session(&mut router, "alice");
    json_client.say(&send(77, "bob", 1));
    rig.settle();
    let request = one(&mut router);
    router.ack(&request, 5);
    rig.settle();
    assert_eq!(
        json_client.json(),
        json!({"id": 77, "ack": {"conv": "", "seq": 5}}).without_empty()
    );

    let (mut client, _) = rig.session_as(&mut router, "carol", "throng.v1.proto");
    let op = v1::Send { to: "bob".into(), ..v1::Send::default() };
    let frame = v1::ClientFrame { id: Some(78), op: Some(v1::Op::Send(op)) };
    client.write(Opcode::Binary, &frame.encode_to_vec());
    rig.settle();
    let request = one(&mut router);
    router.ack(&request, 6);
    rig.settle();
    let [crate::rig::Got::Binary(bytes)] = &client.received()[..] else { panic!("one frame") };
    let frame = v1::ServerFrame::decode(bytes).unwrap();
    let Some(v1::Body::Ack(ack)) = frame.body else { panic!("{frame:?}") };
    assert_eq!((frame.id, ack.seq), (Some(78), 6));
}

trait WithoutEmpty {
    fn without_empty(self) -> Self;
}

impl WithoutEmpty for serde_json::Value {
    /// Defaults are not written.
    fn without_empty(mut self) -> Self {
        if let Some(ack) = self["ack"].as_object_mut() {
            ack.retain(|_, value| value != "");
        }
        self
    }
}

#[test]
fn without_an_id_only_a_failure_is_answered() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    let quiet = json!({"read": {"conv": message_id(1), "seq": 3}});
    client.say(&quiet);
    rig.settle();
    let request = one(&mut router);
    router.answer(request.request, v1::Body::Ok(v1::Ok {}));
    rig.settle();
    assert_eq!(client.received(), []);
    client.say(&quiet);
    rig.settle();
    let request = one(&mut router);
    router.fail(&request, ErrorCode::Forbidden);
    rig.settle();
    let error = client.json();
    assert_eq!((error_code(&error), error.get("id")), ("forbidden", None));
}

#[test]
fn sends_to_one_conversation_are_numbered_and_a_missing_message_id_is_made() {
    use throng_wire::Protobuf as _;
    let (mut rig, mut router) = Rig::ready();
    let (client, _) = rig.session(&mut router, "alice");
    client.say(&send(1, "bob", 1));
    client.say(&json!({"id": 2, "send": {"to": "bob", "text": "hi"}}));
    client.say(&send(3, "carol", 3));
    rig.settle();
    let requests = router.requests();
    let places: Vec<_> = requests.iter().map(|it| (it.order, it.first)).collect();
    assert_eq!(places, [(1, true), (2, false), (3, true)]);
    assert_eq!(&requests[0].conv_id[..], throng_wire::id::direct_conv("bob", "alice"));
    let frame = v1::ClientFrame::decode(&requests[1].frame).unwrap();
    let (None, Some(v1::Op::Send(made))) = (frame.id, frame.op) else { panic!("a send, no id") };
    let made = throng_wire::id::parse(&made.client_msg_id).unwrap();
    assert_eq!(throng_wire::id::v7_time_ms(&made), Some(crate::rig::WALL_S * 1000));
}

#[test]
fn after_a_failed_send_the_conversation_waits_for_that_one() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.say(&send(1, "bob", 1));
    client.say(&send(2, "bob", 2));
    rig.settle();
    let requests = router.requests();
    router.fail(&requests[0], ErrorCode::Overloaded);
    router.fail(&requests[1], ErrorCode::AfterFailed);
    rig.settle();
    assert_eq!(client.jsons().len(), 2);
    client.say(&send(3, "bob", 3));
    rig.settle();
    assert_eq!(error_code(&client.json()), "after_failed");
    assert_eq!(router.requests(), []);
    client.say(&send(4, "bob", 1));
    client.say(&send(5, "bob", 2));
    rig.settle();
    let again = router.requests();
    assert_eq!((again[0].order, again[0].first), (3, true));
    assert_eq!((again[1].order, again[1].first), (4, false));
}

#[test]
fn a_final_refusal_holds_nothing_up() {
    let (mut rig, mut router) = Rig::ready();
    let (client, _) = rig.session(&mut router, "alice");
    client.say(&send(1, "bob", 1));
    rig.settle();
    let request = one(&mut router);
    router.fail(&request, ErrorCode::Forbidden);
    rig.settle();
    client.say(&send(2, "bob", 2));
    rig.settle();
    let request = one(&mut router);
    assert_eq!((request.order, request.first), (2, true));
}

#[test]
fn sixteen_requests_may_be_under_way_and_not_one_more() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    for id in 0..16 {
        client.say(&send(id, "bob", id as u8));
    }
    rig.settle();
    let requests = router.requests();
    assert_eq!((requests.len(), client.received().len()), (16, 0));
    client.say(&send(16, "bob", 16));
    rig.settle();
    let refused = client.json();
    assert_eq!((error_code(&refused), refused["id"].as_u64()), ("rate_limited", Some(16)));
    assert!(refused["error"]["retry_after_ms"].as_u64() > Some(0));
    for (seq, request) in requests.iter().enumerate() {
        router.ack(request, seq as u64 + 1);
    }
    rig.settle();
    client.say(&send(17, "bob", 17));
    rig.settle();
    let last = client.jsons().pop().unwrap();
    assert_eq!(error_code(&last), "after_failed", "the refused one keeps its place");
    client.say(&send(18, "bob", 16));
    rig.settle();
    assert_eq!(router.requests().len(), 1);
}

#[test]
fn the_burst_of_ops_passes_and_one_more_does_not_until_time_passed() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    for id in 0..201 {
        client.say(&json!({"id": id, "ping": {}}));
    }
    rig.settle();
    let answers = client.jsons();
    let pongs = answers.iter().filter(|answer| answer["pong"].is_object()).count();
    assert_eq!((pongs, error_code(&answers[200])), (200, "rate_limited"));
    rig.pass(std::time::Duration::from_millis(40));
    client.say(&json!({"id": 300, "ping": {}}));
    rig.settle();
    assert!(client.json()["pong"].is_object());
}

#[test]
fn a_router_that_takes_too_long_is_answered_for() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.say(&send(1, "bob", 1));
    client.say(&json!({"id": 2, "conversations": {}}));
    rig.settle();
    let requests = router.requests();
    // Who is late is looked for once in so long.
    rig.pass(REQUEST_DEADLINE + REQUEST_GRACE - TICK);
    assert_eq!(client.received(), []);
    rig.pass(HOUSEKEEPING + 2 * TICK);
    let mut codes: Vec<_> =
        client.jsons().iter().map(|it| (it["id"].clone(), error_code(it).to_owned())).collect();
    codes.sort_by_key(|(id, _)| id.as_u64());
    assert_eq!(codes, [(json!(1), "unknown".into()), (json!(2), "unavailable".into())]);
    router.ack(&requests[0], 1);
    rig.settle();
    assert_eq!(client.received(), [], "answered once");
}

#[test]
fn so_many_conversations_wait_for_a_retry_and_one_more_ends_the_connection() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    for n in 0..ORDERED_CONVERSATIONS_MAX {
        client.say(&send(n as u64, &format!("user{n}"), n as u8));
        rig.settle();
        let request = one(&mut router);
        router.fail(&request, ErrorCode::Unavailable);
        rig.settle();
        assert_eq!(error_code(&client.json()), "unavailable");
    }
    client.say(&send(99, "another", 99));
    rig.settle();
    let got = client.received();
    let [Got::Text(refused), Got::Close(Some(4003))] = &got[..] else { panic!("{got:?}") };
    assert_eq!(error_code(refused), "rate_limited");
    assert_eq!(router.requests(), []);
}
