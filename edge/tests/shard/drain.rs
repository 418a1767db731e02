//! Drain: clients are told to go, paced over the window, then closed; then the shard ends.

use std::time::Duration;

use serde_json::json;
use throng_edge::shard::Control;

use crate::rig::{Client, MS, Rig, Said, send};

fn drain(rig: &mut Rig) {
    rig.handle.send(Control::Drain).unwrap();
    rig.settle();
}

#[test]
fn without_connections_the_shard_ends_at_once() {
    let (mut rig, mut router) = Rig::ready();
    drain(&mut rig);
    router.peer.finish();
    rig.pass(20 * MS);
    assert!(!rig.is_alive);
    assert!(router.said().contains(&Said::Bye));
}

#[test]
fn a_session_is_told_to_reconnect_then_closed_and_unregistered() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    drain(&mut rig);
    let notice = client.json();
    assert_eq!(notice["reconnect"]["reason"], "drain");
    rig.pass(Duration::from_millis(1_900));
    assert_eq!(client.received(), []);
    rig.pass(Duration::from_millis(200));
    assert_eq!(client.closed(), Some(4000));
    client.peer.finish();
    rig.pass(100 * MS);
    let said = router.said();
    assert!(matches!(said[..], [Said::Unregister(_), Said::Bye]), "{said:?}");
}

#[test]
fn requests_under_way_are_still_answered() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.say(&send(5, "bob", 1));
    rig.settle();
    let requests = router.requests();
    drain(&mut rig);
    router.ack(&requests[0], 3);
    rig.settle();
    let got = client.jsons();
    assert!(got.iter().any(|frame| frame["ack"] == json!({"seq": 3})), "{got:?}");
}

#[test]
fn while_draining_nobody_new_is_let_in() {
    let (mut rig, mut router) = Rig::ready();
    let _held = rig.session(&mut router, "alice");
    drain(&mut rig);
    for (path, request) in [
        ("/readyz", Client::request("/readyz", &[])),
        ("/v1/ws", Client::upgrade_request("/v1/ws", &[])),
    ] {
        let mut client = rig.connect();
        client.peer.write(request.as_bytes());
        rig.settle();
        let head = client.head();
        assert!(head.contains(" 503 ") && head.contains("Retry-After"), "{path}: {head}");
    }
}

/// A peer that has not asked for anything yet, also one that came in the middle of the drain.
#[test]
fn who_asks_late_is_answered_as_long_as_there_are_sessions() {
    let (mut rig, mut router) = Rig::ready();
    let _held = rig.session(&mut router, "alice");
    let mut early = rig.connect();
    drain(&mut rig);
    let mut late = rig.connect();
    rig.pass(Duration::from_secs(1));
    for client in [&mut early, &mut late] {
        assert!(client.is_open());
        client.peer.write(Client::upgrade_request("/v1/ws", &[]).as_bytes());
        rig.settle();
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains("Retry-After: ") && head.contains("Connection: close"), "{head}");
    }
}

#[test]
fn who_never_asked_is_told_so_at_the_end_and_does_not_hold_it_up() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    let mut silent = rig.connect();
    drain(&mut rig);
    client.peer.finish();
    rig.pass(20 * MS);
    assert!(silent.head().starts_with("HTTP/1.1 503 "));
    silent.peer.finish();
    router.peer.finish();
    rig.pass(20 * MS);
    assert!(!rig.is_alive);
    assert_eq!(client.closed(), None, "the first to go");
}

#[test]
fn many_sessions_are_told_one_after_the_other() {
    let (mut rig, mut router) = Rig::ready();
    let mut clients: Vec<Client> =
        (0..200).map(|n| rig.session(&mut router, &format!("user{n}")).0).collect();
    drain(&mut rig);
    let mut told =
        |_: &mut Rig| clients.iter_mut().map(|client| client.received().len()).sum::<usize>();
    let first = told(&mut rig);
    assert!(first < 100, "{first} at once");
    rig.pass(100 * MS);
    let second = told(&mut rig);
    assert!(second > 0 && first + second < 200, "{first} {second}");
    rig.pass(150 * MS);
    assert_eq!(first + second + told(&mut rig), 200);
}

#[test]
fn peers_that_hang_do_not_hold_the_end_up() {
    let (mut rig, mut router) = Rig::ready();
    let (client, _) = rig.session(&mut router, "alice");
    client.peer.set_window(0);
    drain(&mut rig);
    rig.pass(Duration::from_secs(8));
    assert!(!rig.is_alive);
}

#[test]
fn stop_ends_at_once() {
    let (mut rig, mut router) = Rig::ready();
    let _client = rig.session(&mut router, "alice");
    rig.handle.send(Control::Stop).unwrap();
    rig.settle();
    assert!(!rig.is_alive);
}
