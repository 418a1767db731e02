//! The link: credit is kept, its loss costs nobody the connection, and sessions come back.

use std::time::Duration;

use serde_json::json;
use throng_edge::limits::{LINK_BACKOFF, LINK_WELCOME_DEADLINE};
use throng_edge::shard::Mode;
use throng_ring::sim::SimConfig;
use throng_wire::link::{Evict, Session, ToEdge, Unregister};

use crate::rig::{MS, Rig, Said, TICK, config, error_code, event_json, send, target};

#[test]
fn the_shard_says_hello_first() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut router = rig.next_link();
    let said = router.said();
    let [Said::Hello(hello)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((hello.version_min, hello.version_max, hello.shards), (1, 1, 1));
}

#[test]
fn a_request_without_credit_waits_for_it() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut router = rig.next_link();
    router.welcome(2, 1 << 20);
    rig.settle();
    let (client, _) = rig.session(&mut router, "alice");
    for id in 1..=3 {
        client.say(&send(id, "bob", id as u8));
    }
    rig.settle();
    assert_eq!(router.requests().len(), 1, "one for the registration, one for a send");
    router.grant(3, 1 << 20);
    rig.settle();
    assert_eq!(router.requests().len(), 1);
    router.grant(100, 1 << 20);
    rig.settle();
    assert_eq!(router.requests().len(), 1);
}

#[test]
fn a_lost_link_answers_what_was_under_way_and_sessions_are_registered_again() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, register) = rig.session(&mut router, "alice");
    client.say(&send(1, "bob", 1));
    client.say(&json!({"id": 2, "conversations": {}}));
    rig.settle();
    router.peer.reset();
    rig.settle();
    let codes: Vec<_> = client.jsons().iter().map(|it| error_code(it).to_owned()).collect();
    assert_eq!(codes, ["unknown", "unavailable"]);

    client.say(&json!({"id": 3, "conversations": {}}));
    rig.settle();
    assert_eq!(error_code(&client.json()), "unavailable");

    rig.pass(Duration::from_millis(100));
    let mut again = rig.next_link();
    assert!(matches!(again.said()[..], [Said::Hello(_)]));
    again.welcome(100, 1 << 20);
    rig.settle();
    let registered = again.registers().pop().unwrap();
    assert_eq!(registered.session, register.session);
    assert_eq!(registered.session_id, register.session_id);
    assert!(registered.resumed);
    again.confirm(&registered);
    rig.settle();
    assert_eq!(client.json(), json!({"changes": {"cursor": "cursor-1", "sync": "resync"}}));
    again.hint(1, &[target(&registered)], "back", false);
    rig.settle();
    assert_eq!(client.json(), event_json("back"));
}

#[test]
fn a_hello_while_the_link_is_down_waits_for_it() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut client = rig.upgraded("");
    client.say(&json!({"id": 1, "hello": {"user": "alice", "device": "phone", "cursor": "mine"}}));
    rig.settle();
    let mut router = rig.next_link();
    router.welcome(100, 1 << 20);
    rig.settle();
    let register = router.registers().pop().unwrap();
    assert_eq!(register.cursor, "mine");
    router.confirm(&register);
    rig.settle();
    assert!(client.json()["welcome"].is_object());
}

#[test]
fn a_router_that_breaks_the_rules_loses_the_link_and_nobody_else() {
    let wrong: [&dyn Fn(&crate::rig::Router); 3] = [
        &|router| assert_eq!(router.peer.write(&[0, 0, 0, 0, 9]), 5),
        &|router| router.grant(0, 0),
        &|router| router.welcome(1, 1),
    ];
    for break_rules in wrong {
        let (mut rig, mut router) = Rig::ready();
        let (client, _) = rig.session(&mut router, "alice");
        break_rules(&router);
        rig.settle();
        assert!(router.peer.end().is_some());
        assert!(client.is_open());
    }
}

#[test]
fn a_router_without_a_welcome_is_given_up() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let silent = rig.next_link();
    rig.pass(LINK_WELCOME_DEADLINE - TICK);
    assert!(silent.peer.end().is_none());
    rig.pass(2 * TICK);
    assert!(silent.peer.end().is_some());
    rig.pass(LINK_BACKOFF.0);
    let mut next = rig.next_link();
    assert!(matches!(next.said()[..], [Said::Hello(_)]));
}

#[test]
fn a_lost_link_is_opened_again_after_a_pause_that_doubles_to_its_bound() {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut link = rig.next_link();
    let mut pause = LINK_BACKOFF.0;
    for _ in 0..7 {
        link.peer.reset();
        rig.settle();
        link = rig.next_link();
        rig.pass(pause - MS);
        assert_eq!(link.said(), [], "{pause:?}");
        rig.pass(2 * MS);
        assert!(matches!(link.said()[..], [Said::Hello(_)]), "{pause:?}");
        pause = (pause * 2).min(LINK_BACKOFF.1);
    }
    assert_eq!(pause, LINK_BACKOFF.1);
}

#[test]
fn the_end_of_a_session_is_told_once() {
    let (mut rig, mut router) = Rig::ready();
    let (client, register) = rig.session(&mut router, "alice");
    client.peer.finish();
    rig.settle();
    let said = router.said();
    let [Said::Unregister(Unregister { session })] = &said[..] else { panic!("{said:?}") };
    assert_eq!(*session, register.session);
}

#[test]
fn a_replaced_session_is_closed_and_not_unregistered() {
    let (mut rig, mut router) = Rig::ready();
    let (mut old, register) = rig.session(&mut router, "alice");
    let (new, _) = rig.session(&mut router, "alice");
    let evict = |session| ToEdge::Evict(Evict { session, code: 4403, reason: "replaced".into() });
    router.say(&evict(register.session.clone()));
    rig.settle();
    assert_eq!(old.closed(), Some(4403));
    assert!(new.is_open());
    assert_eq!(router.said(), []);
    let stale = Session { session: 99, ..register.session.unwrap() };
    router.say(&evict(Some(stale)));
    rig.settle();
    assert!(new.is_open());
}
