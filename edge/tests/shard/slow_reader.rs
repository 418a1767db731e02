//! Who takes its output steadily stays, however slowly; who takes nothing does not.

use std::time::Duration;

use serde_json::json;
use throng_edge::limits::{ANSWER_BYTES_MAX, OUTPUT_SEND_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use throng_wire::v1;

use crate::rig::{Client, Got, HEARTBEAT, Rig, Router, TICK, target};

const SECOND: Duration = Duration::from_secs(1);

/// Answers one request of so many with a page of so many bytes, about.
fn answer_all(rig: &mut Rig, router: &mut Router, client: &Client, count: u8, bytes: usize) {
    for id in 0..count {
        client.say(&json!({"id": id, "conversations": {}}));
    }
    rig.settle();
    for request in router.requests() {
        let name = "x".repeat(bytes);
        let item = v1::Conversation { name: name.into(), ..v1::Conversation::default() };
        let page = v1::ConversationsPage { items: vec![item], next: "".into() };
        router.answer_in_chunks(request.request, v1::Body::Conversations(page));
        rig.settle();
    }
}

/// What a client got that takes what its window holds once a second, until so many frames came.
fn read_slowly(rig: &mut Rig, client: &mut Client, frames: usize) -> Vec<Got> {
    let mut got = Vec::new();
    for _ in 0..600 {
        rig.pass(SECOND);
        got.extend(client.received().into_iter().filter(|got| *got != Got::Ping));
        if got.len() >= frames || !client.is_open() {
            break;
        }
    }
    got
}

#[test]
fn four_megabytes_of_answers_may_be_taken_at_40_kb_a_second() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.peer.set_window(40_000);
    let count = REQUESTS_IN_FLIGHT_MAX;
    answer_all(&mut rig, &mut router, &client, count, ANSWER_BYTES_MAX - 1_000);
    let start = rig.sim.now();
    let got = read_slowly(&mut rig, &mut client, count.into());
    assert!(got.iter().all(|got| matches!(got, Got::Text(_))) && got.len() == usize::from(count));
    assert!(rig.sim.now() - start > 3 * HEARTBEAT, "it took longer than silence may last");
    assert_eq!(rig.snapshot().gauges.sessions, 1);
}

#[test]
fn pushes_may_be_taken_slowly_by_a_client_that_says_nothing() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, register) = rig.session(&mut router, "alice");
    client.peer.set_window(7_000);
    for number in 1..=50 {
        router.hint(number, &[target(&register)], &"x".repeat(10_000), false);
        rig.settle();
    }
    let got = read_slowly(&mut rig, &mut client, 50);
    assert_eq!(got.len(), 50);
    assert_eq!(rig.snapshot().gauges.sessions, 1);
    rig.pass(2 * HEARTBEAT + SECOND);
    assert_eq!(client.closed(), Some(4002), "now it is silent");
}

#[test]
fn what_the_kernel_had_room_for_is_no_sign_of_life() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, register) = rig.session(&mut router, "alice");
    for number in 1..=9 {
        rig.pass(HEARTBEAT / 5);
        router.hint(number, &[target(&register)], "hello", false);
        rig.settle();
    }
    rig.pass(HEARTBEAT / 5 - TICK);
    assert_eq!(rig.snapshot().gauges.sessions, 1);
    rig.pass(2 * TICK);
    assert_eq!(client.closed(), Some(4002));
}

#[test]
fn a_send_is_no_longer_than_its_bound() {
    for (bytes, sends) in [(OUTPUT_SEND_BYTES_MAX, 1), (OUTPUT_SEND_BYTES_MAX + 1, 2)] {
        let (mut rig, mut router) = Rig::ready();
        let (mut client, _) = rig.session(&mut router, "alice");
        let empty = answer_bytes(&mut rig, &mut router, &mut client, 200);
        let before = rig.snapshot().counters;
        let sent = answer_bytes(&mut rig, &mut router, &mut client, 200 + bytes - empty);
        assert_eq!(sent, bytes);
        assert_eq!(rig.snapshot().counters.sends - before.sends, sends, "{bytes}");
    }
}

/// Bytes that an answer with a name of so many bytes took.
fn answer_bytes(rig: &mut Rig, router: &mut Router, client: &mut Client, bytes: usize) -> usize {
    let before = rig.snapshot().counters.sent_bytes;
    answer_all(rig, router, client, 1, bytes);
    assert_eq!(client.received().len(), 1);
    (rig.snapshot().counters.sent_bytes - before) as usize
}

#[test]
fn a_frame_that_was_begun_is_sent_to_its_end_and_then_the_reason_follows() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, register) = rig.session(&mut router, "alice");
    client.peer.set_window(10_000);
    answer_all(&mut rig, &mut router, &client, 1, 200_000);
    for number in 1..=60 {
        router.hint(number, &[target(&register)], &"x".repeat(20_000), false);
        rig.settle();
    }
    let snapshot = rig.snapshot();
    assert_eq!(snapshot.gauges.sessions, 0, "it holds more than the burst");
    assert!(snapshot.gauges.output_bytes < 210_000, "what was not begun is gone");
    client.peer.set_window(1 << 20);
    rig.settle();
    let got = client.received();
    assert!(matches!(got[..], [Got::Text(_), Got::Close(Some(4001))]), "{} frames", got.len());
}
