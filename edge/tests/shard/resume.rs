//! Sessions whose link was lost: each is registered again, once, and told all it may have missed.

use std::time::Duration;

use serde_json::json;
use throng_edge::shard::Mode;
use throng_ring::sim::SimConfig;
use throng_wire::link::{Register, ToEdge, Welcome};
use throng_wire::{ErrorCode, v1};

use crate::rig::{Client, Got, Rig, Router, Said, config, error_code, target};

const REREGISTER_PER_TURN: usize = 64;
const EARLY_HINTS_MAX: u64 = 64;

/// The next link after this one, not welcomed yet.
fn lose(rig: &mut Rig, router: &Router) -> Router {
    router.peer.reset();
    rig.pass(Duration::from_millis(100));
    let mut next = rig.next_link();
    assert!(matches!(next.said()[..], [Said::Hello(_)]));
    next
}

/// The home's answer, at a moment of its own clock.
fn confirm_at(router: &Router, register: &Register<'_>, time_ms: u64) {
    let welcome = v1::Welcome { time_ms, sync: "resumed".into(), ..v1::Welcome::default() };
    router.answer(register.request, v1::Body::Welcome(welcome));
}

fn hello(rig: &mut Rig, user: &str) -> Client {
    let client = rig.upgraded("");
    client.say(&json!({"id": 1, "hello": {"user": user, "device": "phone"}}));
    rig.settle();
    client
}

fn session_at(rig: &mut Rig, router: &mut Router, user: &str, time_ms: u64) -> Client {
    let mut client = hello(rig, user);
    let register = router.registers().pop().unwrap();
    confirm_at(router, &register, time_ms);
    rig.settle();
    assert_eq!(client.json()["welcome"]["time_ms"], time_ms, "the home's clock");
    client
}

#[test]
fn a_session_comes_again_from_the_newest_moment_of_any_home() {
    let (mut rig, mut router) = Rig::ready();
    let _clients = [("alice", 900), ("bob", 700)]
        .map(|(user, time_ms)| session_at(&mut rig, &mut router, user, time_ms));
    let mut next = lose(&mut rig, &router);
    next.welcome(100, 1 << 20);
    rig.settle();
    let registers = next.registers();
    assert_eq!(registers.len(), 2);
    for register in registers {
        assert_eq!((register.resumed, register.since_ms, &*register.cursor), (true, 900, ""));
    }
}

#[test]
fn the_moment_stays_until_all_sessions_are_back() {
    let (mut rig, mut router) = Rig::ready();
    let _alice = session_at(&mut rig, &mut router, "alice", 500);
    let mut second = lose(&mut rig, &router);
    second.welcome(100, 1 << 20);
    rig.settle();
    assert_eq!(second.registers().len(), 1);
    // Alice waits for her home when another one says hello and the link is lost again.
    let _bob = session_at(&mut rig, &mut second, "bob", 9_000);
    let mut third = lose(&mut rig, &second);
    third.welcome(100, 1 << 20);
    rig.settle();
    let registers = third.registers();
    assert!(registers.len() == 2 && registers.iter().all(|it| it.since_ms == 500));
    for register in &registers {
        confirm_at(&third, register, 9_500);
    }
    rig.settle();
    let _carol = session_at(&mut rig, &mut third, "carol", 9_600);
    let mut fourth = lose(&mut rig, &third);
    fourth.welcome(100, 1 << 20);
    rig.settle();
    let moments: Vec<u64> = fourth.registers().iter().map(|it| it.since_ms).collect();
    assert_eq!(moments, [9_600; 3]);
}

#[test]
fn moments_of_another_log_are_forgotten() {
    let (mut rig, mut router) = Rig::ready();
    let _alice = session_at(&mut rig, &mut router, "alice", 500);
    let mut next = lose(&mut rig, &router);
    let log_id = vec![7; 16].into();
    let welcome = Welcome { version: 1, requests: 9, bytes: 1 << 20, log_id, incarnation: 1 };
    next.say(&ToEdge::Welcome(welcome));
    rig.settle();
    assert_eq!(next.registers()[0].since_ms, 0);
}

#[test]
fn a_registration_that_is_late_ends_the_session_and_not_before() {
    let (mut rig, mut router) = Rig::ready();
    let mut client = session_at(&mut rig, &mut router, "alice", 500);
    let mut next = lose(&mut rig, &router);
    next.welcome(100, 1 << 20);
    rig.settle();
    assert_eq!(next.registers().len(), 1);
    rig.pass(Duration::from_millis(11_500));
    assert_eq!(client.received(), []);
    rig.pass(Duration::from_millis(2_000));
    assert_eq!(client.closed(), Some(4003));
}

#[test]
fn a_session_that_came_while_others_are_registered_again_is_registered_once() {
    let (mut rig, mut router) = Rig::ready();
    let _alice = session_at(&mut rig, &mut router, "alice", 500);
    let mut next = lose(&mut rig, &router);
    // Credit for one: alice's registration goes, bob's waits; so does the repair.
    next.welcome(1, 1 << 20);
    rig.settle();
    let _bob = hello(&mut rig, "bob");
    next.grant(100, 1 << 20);
    rig.settle();
    let users: Vec<_> =
        next.registers().into_iter().map(|it| it.session.unwrap().user.into_owned()).collect();
    assert_eq!(users, ["alice", "bob"]);
}

#[test]
fn as_many_sessions_as_a_turn_takes_come_again_in_one_and_one_more_in_the_next() {
    for (sessions, first) in [(REREGISTER_PER_TURN, 64), (REREGISTER_PER_TURN + 1, 64)] {
        let (mut rig, mut router) = Rig::ready();
        let _clients: Vec<Client> = (0..sessions)
            .map(|n| session_at(&mut rig, &mut router, &format!("user{n}"), 500))
            .collect();
        let mut next = lose(&mut rig, &router);
        next.welcome(1_000, 1 << 20);
        let mut came = Vec::new();
        while came.iter().sum::<usize>() < sessions && came.len() < 20 {
            rig.turn(Duration::ZERO);
            came.push(next.registers().len());
        }
        came.retain(|count| *count > 0);
        assert_eq!((came[0], came.iter().sum::<usize>()), (first, sessions));
        assert_eq!(came.len(), sessions.div_ceil(REREGISTER_PER_TURN));
    }
}

#[test]
fn a_registration_that_never_went_is_withdrawn_with_its_connection() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut router = rig.next_link();
    router.welcome(0, 1 << 20);
    rig.settle();
    let gone = hello(&mut rig, "alice");
    let _stays = hello(&mut rig, "bob");
    gone.peer.reset();
    rig.settle();
    router.grant(100, 1 << 20);
    rig.settle();
    let said = router.said();
    let [Said::Hello(_), Said::Register(register)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(register.session.as_ref().unwrap().user, "bob");
    assert_eq!(rig.snapshot().gauges.link_queue_bytes, 0);
}

#[test]
fn nothing_follows_the_close_frame() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.say(&json!({"id": 2, "conversations": {}}));
    client.say(&json!({"id": 3, "conversations": {}}));
    rig.settle();
    let requests = router.requests();
    client.peer.set_window(0);
    for _ in 0..=16 {
        client.say(&json!({"nonsense": 1, "id": -1}));
    }
    rig.settle();
    router.answer(requests[0].request, v1::Body::Ok(v1::Ok {}));
    router.fail(&requests[1], ErrorCode::Internal);
    rig.settle();
    client.peer.set_window(1 << 20);
    rig.settle();
    let got = client.received();
    assert_eq!(got.last(), Some(&Got::Close(Some(4429))));
    assert!(got.iter().all(|it| !matches!(it, Got::Text(text) if error_code(text) == "internal")));
}

#[test]
fn as_many_hints_as_may_wait_for_the_welcome_follow_it_and_one_more_ends_the_connection() {
    for (hints, close) in [(EARLY_HINTS_MAX, None), (EARLY_HINTS_MAX + 1, Some(4001))] {
        let (mut rig, mut router) = Rig::ready();
        let mut client = hello(&mut rig, "alice");
        let register = router.registers().pop().unwrap();
        for number in 1..=hints {
            router.hint(number, &[target(&register)], "early", false);
        }
        rig.settle();
        router.confirm(&register);
        rig.settle();
        match close {
            None => assert_eq!(client.jsons().len(), 1 + EARLY_HINTS_MAX as usize),
            Some(_) => assert_eq!(client.closed(), close),
        }
    }
}
