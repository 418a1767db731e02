//! Who is not let in is told so, and costs little.

use std::time::Duration;

use throng_edge::limits::REFUSALS_LINGERING_MAX;
use throng_edge::shard::Mode;

use crate::rig::{Client, MS, Rig, config};

fn is_refused(rig: &mut Rig, client: &mut Client) -> bool {
    client.peer.write(Client::upgrade_request("/v1/ws", &[]).as_bytes());
    rig.settle();
    let head = client.head();
    assert_eq!(head.contains("Retry-After"), head.contains(" 503 "), "{head}");
    head.contains(" 503 ")
}

#[test]
fn the_last_slot_is_given_and_the_next_connection_refused() {
    let mut config = config(Mode::Development);
    config.connections_max = 3;
    let (mut rig, _router) = Rig::ready_with(config);
    let mut held: Vec<Client> = (0..3).map(|_| rig.upgraded("")).collect();
    let mut refused = rig.connect();
    assert!(is_refused(&mut rig, &mut refused));
    held.pop().unwrap().peer.reset();
    refused.peer.finish();
    rig.settle();
    let mut next = rig.connect();
    assert!(!is_refused(&mut rig, &mut next));
}

#[test]
fn an_address_has_its_share_of_handshakes_and_sessions_do_not_count() {
    let mut config = config(Mode::Development);
    config.handshakes_per_address_max = 2;
    let (mut rig, mut router) = Rig::ready_with(config);
    for n in 0..5 {
        let _session = rig.session(&mut router, &format!("user{n}"));
    }
    let _held = [rig.upgraded(""), rig.upgraded("")];
    let mut refused = rig.connect();
    assert!(is_refused(&mut rig, &mut refused));
    let mut other = rig.connect_from("10.0.0.2:4000");
    assert!(!is_refused(&mut rig, &mut other));
    assert_eq!(rig.snapshot().counters.refused, 1);
}

#[test]
fn refused_connections_that_stay_take_nobodys_place() {
    let mut config = config(Mode::Development);
    config.connections_max = 10;
    config.handshakes_per_address_max = 5;
    let (mut rig, _router) = Rig::ready_with(config);
    let _silent: Vec<Client> = (0..30).map(|_| rig.connect()).collect();
    assert_eq!(rig.snapshot().counters.refused, 25);
    let mut other = rig.connect_from("10.0.0.2:4000");
    assert!(!is_refused(&mut rig, &mut other));
    assert_eq!(rig.snapshot().gauges.connections, 6);
}

#[test]
fn so_many_refused_peers_are_told_and_the_next_is_only_closed() {
    let mut config = config(Mode::Development);
    config.connections_max = 1;
    let (mut rig, _router) = Rig::ready_with(config);
    let _held = rig.upgraded("");
    let mut told: Vec<Client> = (0..REFUSALS_LINGERING_MAX).map(|_| rig.connect()).collect();
    let not_told = rig.connect();
    assert!(!not_told.is_open() && not_told.peer.read().is_empty());
    for client in &mut told {
        assert!(client.head().contains(" 503 "));
        client.peer.finish();
    }
    rig.settle();
    assert!(rig.connect().head().contains(" 503 "), "there is room to tell again");
}

#[test]
fn failed_handshakes_count_against_their_address_until_they_are_gone() {
    let mut config = config(Mode::Development);
    config.handshakes_per_address_max = 2;
    let (mut rig, _router) = Rig::ready_with(config);
    let mut failed = [rig.connect(), rig.connect()];
    for client in &mut failed {
        client.peer.write(b"nonsense\r\n\r\n");
        rig.settle();
        assert!(client.head().contains(" 400 "));
    }
    let mut refused = rig.connect();
    assert!(is_refused(&mut rig, &mut refused));
    for client in &failed {
        client.peer.finish();
    }
    rig.settle();
    let mut next = rig.connect();
    assert!(!is_refused(&mut rig, &mut next));
}

#[test]
fn beyond_the_handshakes_of_a_shard_peers_wait_in_the_kernel() {
    let mut config = config(Mode::Development);
    config.handshakes_max = 4;
    let (mut rig, _router) = Rig::ready_with(config);
    let clients: Vec<Client> = (0..40).map(|_| rig.connect()).collect();
    let taken = rig.snapshot().gauges.handshakes;
    // What was accepted already when the door was shut still comes.
    assert!((4..40).contains(&taken), "{taken}");
    for client in &clients[..20] {
        client.peer.reset();
    }
    rig.pass(100 * MS);
    assert!(rig.snapshot().counters.accepted >= 20);
}

#[test]
fn the_last_handshake_of_a_shard_is_taken_and_the_next_peer_waits() {
    let mut config = config(Mode::Development);
    config.handshakes_max = 4;
    let (mut rig, _router) = Rig::ready_with(config);
    let clients: Vec<Client> = (0..5).map(|_| rig.connect()).collect();
    assert_eq!(rig.snapshot().counters.accepted, 4);
    clients[0].peer.reset();
    rig.pass(100 * MS);
    assert_eq!(rig.snapshot().counters.accepted, 5);
}

#[test]
fn as_many_connections_are_accepted_at_once_as_in_a_second_and_the_next_when_its_time_comes() {
    let mut config = config(Mode::Echo);
    config.accepts_per_s = 100;
    let mut rig = Rig::new(config, throng_ring::sim::SimConfig::default());
    let _clients: Vec<Client> = (0..101).map(|_| rig.connect()).collect();
    assert_eq!(rig.snapshot().counters.accepted, 100);
    rig.pass(100 * MS);
    assert_eq!(rig.snapshot().counters.accepted, 101);
}

#[test]
fn accepts_are_paced() {
    let mut config = config(Mode::Echo);
    config.accepts_per_s = 100;
    let mut rig = Rig::new(config, throng_ring::sim::SimConfig::default());
    let _clients: Vec<Client> = (0..250).map(|_| rig.connect()).collect();
    let first = rig.snapshot().counters.accepted;
    assert!((100..200).contains(&first), "{first}");
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.snapshot().counters.accepted, 250);
}
