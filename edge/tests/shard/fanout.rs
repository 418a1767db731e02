//! Hints: each reaches the sessions it names and no other (invariant I8), in bounded turns.

use std::time::Duration;

use throng_wire::Protobuf as _;

use crate::rig::{Client, Got, MS, Rig, event, event_json, target, work_costs};

#[test]
fn a_hint_reaches_its_targets_in_their_encodings_and_nobody_else() {
    let (mut rig, mut router) = Rig::ready();
    let (mut json, alice) = rig.session(&mut router, "alice");
    let (mut protobuf, bob) = rig.session_as(&mut router, "bob", "throng.v1.proto");
    let (mut other, _) = rig.session(&mut router, "carol");
    router.hint(1, &[target(&alice), target(&bob)], "news", false);
    rig.settle();
    assert_eq!(json.json(), event_json("news"));
    assert_eq!(protobuf.received(), [Got::Binary(event("news").encode_to_vec())]);
    assert_eq!(other.received(), []);
}

#[test]
fn a_hint_for_an_old_session_never_reaches_the_next_one_in_its_slot() {
    let (mut rig, mut router) = Rig::ready();
    let (old, before) = rig.session(&mut router, "alice");
    old.peer.reset();
    rig.settle();
    let mut clients = Vec::new();
    // The slot is used again at the latest when all others are.
    let after = loop {
        let (client, register) = rig.session(&mut router, "mallory");
        clients.push(client);
        if target(&register).0 == target(&before).0 {
            break register;
        }
        assert!(clients.len() < 100);
    };
    assert_ne!(target(&after).1, target(&before).1);
    router.hint(1, &[target(&before)], "for alice only", false);
    rig.settle();
    for client in &mut clients {
        assert_eq!(client.received(), []);
    }
    assert_eq!(rig.snapshot().counters.stale_targets, 1);
}

#[test]
fn a_hint_for_a_connection_without_a_session_is_dropped() {
    let (mut rig, mut router) = Rig::ready();
    let (_client, register) = rig.session(&mut router, "alice");
    let mut upgraded = rig.upgraded("");
    let (slot, session) = target(&register);
    for slot in 0..slot + 30 {
        router.hint(u64::from(slot) + 1, &[(slot, session + 1), (slot, 0)], "stray", false);
    }
    rig.settle();
    assert_eq!(upgraded.received(), []);
}

/// Frames that came for anybody since the last look.
fn served(clients: &mut [Client]) -> usize {
    clients.iter_mut().map(|client| client.received().len()).sum()
}

#[test]
fn a_long_list_goes_on_in_later_turns_and_others_are_served_between() {
    let (mut rig, mut router) = Rig::ready();
    let mut clients = Vec::new();
    let mut targets = Vec::new();
    for n in 0..300 {
        let (client, register) = rig.session(&mut router, &format!("user{n}"));
        clients.push(client);
        targets.push(target(&register));
    }
    work_costs(MS);
    router.hint(1, &targets, "to all", false);
    rig.turn(Duration::ZERO);
    rig.turn(Duration::ZERO);
    let first = served(&mut clients);
    assert!(first < 300, "{first} in the first turns");
    clients[0].say(&serde_json::json!({"id": 5, "ping": {}}));
    rig.turn(Duration::ZERO);
    rig.turn(Duration::ZERO);
    let second = served(&mut clients);
    assert!(first + second < 301, "the ping was not behind all of them: {first} {second}");
    for _ in 0..100 {
        rig.turn(Duration::ZERO);
    }
    assert_eq!(first + second + served(&mut clients), 301, "all, and the pong");
    assert!(rig.snapshot().counters.fanout_continued > 0);
}

#[test]
fn hints_reach_a_session_in_the_order_they_came() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, register) = rig.session(&mut router, "alice");
    for number in 1..=50 {
        router.hint(number, &[target(&register)], &number.to_string(), false);
    }
    rig.settle();
    let expected: Vec<_> = (1..=50).map(|number| event_json(&number.to_string())).collect();
    assert_eq!(client.jsons(), expected);
}

#[test]
fn a_gap_in_the_numbers_is_counted() {
    let (mut rig, mut router) = Rig::ready();
    let (_client, register) = rig.session(&mut router, "alice");
    router.hint(1, &[target(&register)], "a", false);
    router.hint(3, &[target(&register)], "c", false);
    rig.settle();
    assert_eq!(rig.snapshot().counters.hint_gaps, 1);
}
