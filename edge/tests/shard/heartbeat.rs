//! A silent peer is found within two intervals; one that is heard in any way stays.

use serde_json::json;
use throng_edge::limits::{CLOSE_DEADLINE, COLD_AFTER};
use throng_ring::Arm;
use throng_wire::ws::Opcode;

use crate::rig::{Got, HEARTBEAT, Rig, TICK};

#[test]
fn a_silent_peer_is_pinged_and_given_up_after_two_intervals() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    rig.pass(HEARTBEAT);
    assert_eq!(client.received(), []);
    rig.pass(HEARTBEAT / 2 + TICK);
    assert_eq!(client.received(), [Got::Ping]);
    rig.pass(HEARTBEAT / 2 - 3 * TICK);
    assert_eq!(client.received(), []);
    rig.pass(4 * TICK);
    assert_eq!(client.closed(), Some(4002));
    assert_eq!(rig.snapshot().gauges.sessions, 0);
}

#[test]
fn a_peer_that_never_answers_the_close_is_reset() {
    let (mut rig, mut router) = Rig::ready();
    let (_client, _) = rig.session(&mut router, "alice");
    rig.pass(2 * HEARTBEAT + TICK);
    rig.pass(CLOSE_DEADLINE - 2 * TICK);
    assert_eq!(rig.snapshot().gauges.connections, 1);
    rig.pass(4 * TICK);
    assert_eq!(rig.snapshot().gauges.connections, 0);
}

#[test]
fn whatever_is_heard_keeps_a_peer() {
    let op = json!({"id": 2, "ping": {}}).to_string();
    for (opcode, payload) in
        [(Opcode::Text, op.as_bytes()), (Opcode::Ping, b"x"), (Opcode::Pong, b"")]
    {
        let (mut rig, mut router) = Rig::ready();
        let (mut client, _) = rig.session(&mut router, "alice");
        for _ in 0..10 {
            rig.pass(HEARTBEAT);
            client.write(opcode, payload);
            rig.settle();
        }
        let got = client.received();
        assert!(client.is_open(), "{opcode:?}");
        assert!(!got.contains(&Got::Ping), "who keeps the heartbeat is not pinged: {got:?}");
    }
}

#[test]
fn pings_are_answered_with_their_payload_and_the_op_with_the_time() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    client.write(Opcode::Ping, b"payload");
    client.say(&json!({"id": 2, "ping": {}}));
    rig.settle();
    let got = client.received();
    assert_eq!(got[0], Got::Pong(b"payload".to_vec()));
    let Got::Text(pong) = &got[1] else { panic!("{got:?}") };
    assert_eq!(pong["id"], 2);
    assert!(pong["pong"]["time_ms"].as_u64() >= Some(crate::rig::WALL_S * 1000));
}

#[test]
fn a_session_waits_in_the_cheap_way_and_its_own_heartbeats_do_not_change_that() {
    let (mut rig, mut router) = Rig::ready();
    let (mut client, _) = rig.session(&mut router, "alice");
    assert_eq!(client.peer.armed(), Arm::Cold, "from the welcome on");
    for id in 0..4 {
        rig.pass(HEARTBEAT);
        client.say(&json!({"id": id, "ping": {}}));
        rig.settle();
        assert_eq!(client.json()["id"], id);
        assert_eq!(client.peer.armed(), Arm::Cold);
    }
}

#[test]
fn a_session_that_talks_turns_hot_and_cold_again_after_its_silence_and_not_before() {
    let (mut rig, mut router) = Rig::ready();
    let (client, _) = rig.session(&mut router, "alice");
    for id in 0..2 {
        rig.pass(COLD_AFTER / 2);
        client.say(&json!({"id": id, "ping": {}}));
        rig.settle();
    }
    assert_eq!(client.peer.armed(), Arm::Hot);
    rig.pass(COLD_AFTER - TICK);
    assert_eq!(client.peer.armed(), Arm::Hot);
    rig.pass(2 * TICK);
    assert_eq!(client.peer.armed(), Arm::Cold);
}
