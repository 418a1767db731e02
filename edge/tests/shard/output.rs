//! What a connection may have queued is bounded, whatever its peer does (invariant I6).

use std::time::Duration;

use serde_json::json;
use throng_edge::limits::{
    ANSWER_BYTES_MAX, HOUSEKEEPING, OUTPUT_ANSWER_BYTES, OUTPUT_STALL, REQUESTS_IN_FLIGHT_MAX,
};
use throng_edge::shard::Mode;
use throng_wire::v1;

use crate::rig::{Got, Rig, Router, TICK, config, target};

/// A session whose peer stops reading.
fn deaf(rig: &mut Rig, router: &mut Router) -> (crate::rig::Client, (u32, u32)) {
    let (client, register) = rig.session(router, "alice");
    client.peer.set_window(0);
    (client, target(&register))
}

fn rig() -> (Rig, Router) {
    let mut config = config(Mode::Development);
    config.output_budget_bytes = 4_000;
    config.output_burst_bytes = 20_000;
    Rig::ready_with(config)
}

const TEXT_BYTES: usize = 1_000;

fn push(rig: &mut Rig, router: &Router, to: (u32, u32), count: u64, ephemeral: bool) {
    for number in 1..=count {
        router.hint(number, &[to], &"x".repeat(TEXT_BYTES), ephemeral);
        rig.settle();
    }
}

#[test]
fn a_slow_consumer_may_have_its_burst_queued_and_is_closed_with_one_byte_more() {
    for (bytes, sessions) in [(20_000, 1), (20_001, 0)] {
        let (mut rig, mut router) = rig();
        let (client, to) = deaf(&mut rig, &mut router);
        push(&mut rig, &router, to, 17, false);
        let queued = rig.snapshot().gauges.output_bytes as usize;
        let around_text = queued / 17 - TEXT_BYTES;
        router.hint(18, &[to], &"x".repeat(bytes - queued - around_text), false);
        rig.settle();
        let gauges = rig.snapshot().gauges;
        assert_eq!(gauges.sessions, sessions, "{bytes}");
        assert_eq!(gauges.output_bytes == bytes as u64, sessions == 1, "{}", gauges.output_bytes);
        rig.pass(Duration::from_secs(6));
        assert_eq!(client.is_open(), sessions == 1);
    }
}

#[test]
fn a_slow_consumer_that_reads_again_is_told_why() {
    let (mut rig, mut router) = rig();
    let (mut client, to) = deaf(&mut rig, &mut router);
    push(&mut rig, &router, to, 20, false);
    client.peer.set_window(1 << 20);
    rig.settle();
    assert_eq!(client.received().last(), Some(&Got::Close(Some(4001))));
}

#[test]
fn ephemeral_frames_are_dropped_above_the_budget_and_the_session_stays() {
    let (mut rig, mut router) = rig();
    let (mut client, to) = deaf(&mut rig, &mut router);
    push(&mut rig, &router, to, 100, true);
    let snapshot = rig.snapshot();
    assert_eq!(snapshot.gauges.sessions, 1);
    assert!(snapshot.gauges.output_bytes <= 4_000, "{}", snapshot.gauges.output_bytes);
    assert!(snapshot.counters.ephemeral_dropped >= 96);
    client.peer.set_window(1 << 20);
    rig.settle();
    assert!(!client.received().is_empty());
}

#[test]
fn queued_ephemeral_frames_make_room_for_others() {
    let (mut rig, mut router) = rig();
    let (mut client, to) = deaf(&mut rig, &mut router);
    push(&mut rig, &router, to, 3, true);
    push(&mut rig, &router, to, 3, false);
    client.peer.set_window(1 << 20);
    rig.settle();
    let count = client.received().len();
    assert!((3..6).contains(&count), "{count}: one ephemeral was in flight already");
}

#[test]
fn a_send_that_nobody_takes_ends_the_connection_after_the_stall_time_and_not_before() {
    for (passed, sessions) in [(OUTPUT_STALL - TICK, 1), (OUTPUT_STALL + HOUSEKEEPING + TICK, 0)] {
        let (mut rig, mut router) = rig();
        let (_client, to) = deaf(&mut rig, &mut router);
        push(&mut rig, &router, to, 1, false);
        rig.pass(passed);
        assert_eq!(rig.snapshot().gauges.sessions, sessions, "{passed:?}");
    }
}

#[test]
fn output_that_was_taken_leaves_nothing_behind() {
    let (mut rig, mut router) = rig();
    let (mut client, register) = rig.session(&mut router, "alice");
    push(&mut rig, &router, target(&register), 50, false);
    assert_eq!(client.received().len(), 50);
    let gauges = rig.snapshot().gauges;
    assert_eq!((gauges.output_bytes, gauges.outputs), (0, 0), "an idle connection owns no buffer");
}

#[test]
fn large_answers_end_no_connection_but_hold_its_reading_back() {
    let (mut rig, mut router) = rig();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.peer.set_window(0);
    for id in 0..10 {
        client.say(&json!({"id": id, "conversations": {}}));
    }
    rig.settle();
    let requests = router.requests();
    let name = "x".repeat(15_000);
    for request in &requests {
        let item = v1::Conversation { name: name.as_str().into(), ..v1::Conversation::default() };
        let page = v1::ConversationsPage { items: vec![item], next: "".into() };
        router.answer(request.request, v1::Body::Conversations(page));
        rig.settle();
    }
    client.say(&json!({"id": 99, "conversations": {}}));
    rig.settle();
    assert_eq!(router.requests(), [], "it is not read");
    assert_eq!(rig.snapshot().gauges.sessions, 1);
    client.peer.set_window(1 << 20);
    for _ in 0..4 {
        rig.settle();
    }
    assert_eq!(client.received().len(), 10);
    assert_eq!(router.requests().len(), 1, "it is read again");
}

/// Six bytes in JSON.
const CONTROL: &str = "\u{1}";

#[test]
fn the_longest_answers_to_all_requests_at_once_end_no_connection() {
    let (mut rig, mut router) = rig();
    let (client, _) = rig.session(&mut router, "alice");
    client.peer.set_window(0);
    for id in 0..REQUESTS_IN_FLIGHT_MAX {
        client.say(&json!({"id": id, "conversations": {}}));
    }
    rig.settle();
    // What the link says around it has to fit into the simulated socket.
    let name = CONTROL.repeat(ANSWER_BYTES_MAX - 1_000);
    let item = v1::Conversation { name: name.as_str().into(), ..v1::Conversation::default() };
    let page = v1::ConversationsPage { items: vec![item], next: "".into() };
    for request in router.requests() {
        router.answer_in_chunks(request.request, v1::Body::Conversations(page.clone()));
        for _ in 0..8 {
            rig.settle();
        }
    }
    let most = REQUESTS_IN_FLIGHT_MAX as usize * OUTPUT_ANSWER_BYTES;
    let held = output_bytes(&mut rig);
    assert!((most - 100_000..most).contains(&held), "{held}");
    assert_eq!(rig.snapshot().gauges.sessions, 1);
}

/// A shard with this bound in which one deaf session holds some output, and another one.
fn crowded(shard_bytes: usize) -> (Rig, Router, (crate::rig::Client, (u32, u32))) {
    let mut config = config(Mode::Development);
    config.output_budget_bytes = 4_000;
    config.output_burst_bytes = 20_000;
    config.output_shard_bytes = shard_bytes;
    let (mut rig, mut router) = Rig::ready_with(config);
    let (_, first) = deaf(&mut rig, &mut router);
    push(&mut rig, &router, first, 3, false);
    let second = deaf(&mut rig, &mut router);
    (rig, router, second)
}

fn output_bytes(rig: &mut Rig) -> usize {
    rig.snapshot().gauges.output_bytes as usize
}

#[test]
fn a_shard_that_holds_its_bound_gives_bursts_and_one_byte_more_none() {
    let (mut rig, router, (_client, to)) = crowded(usize::MAX);
    push(&mut rig, &router, to, 6, false);
    let bound = output_bytes(&mut rig);
    for (shard_bytes, sessions) in [(bound, 2), (bound - 1, 1)] {
        let (mut rig, router, (_client, to)) = crowded(shard_bytes);
        push(&mut rig, &router, to, 6, false);
        assert_eq!(rig.snapshot().gauges.sessions, 2, "{shard_bytes}");
        push(&mut rig, &router, to, 1, false);
        assert_eq!(rig.snapshot().gauges.sessions, sessions, "{shard_bytes}");
    }
}

/// Sessions left after one of two asked for more than it takes.
fn sessions_after_answers(shard_bytes: usize) -> u64 {
    let (mut rig, mut router, (client, _)) = crowded(shard_bytes);
    for id in 0..16 {
        client.say(&json!({"id": id, "conversations": {}}));
    }
    rig.settle();
    let requests = router.requests();
    assert_eq!(requests.len(), 16);
    let name = CONTROL.repeat(ANSWER_BYTES_MAX / 14);
    let mut most = 0;
    for request in &requests {
        let item = v1::Conversation { name: name.as_str().into(), ..v1::Conversation::default() };
        let page = v1::ConversationsPage { items: vec![item], next: "".into() };
        router.answer(request.request, v1::Body::Conversations(page));
        rig.settle();
        most = most.max(output_bytes(&mut rig));
    }
    assert!(most < shard_bytes + OUTPUT_ANSWER_BYTES + 30_000, "{most}");
    rig.snapshot().gauges.sessions
}

#[test]
fn above_the_bound_of_the_shard_answers_have_no_more_room_than_one_needs() {
    assert_eq!(sessions_after_answers(OUTPUT_ANSWER_BYTES * 16 / 14 + 30_000), 2);
    assert_eq!(sessions_after_answers(ANSWER_BYTES_MAX), 1);
}
