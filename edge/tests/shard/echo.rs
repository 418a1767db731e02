//! Echo mode.

use std::time::Duration;

use throng_edge::limits::ECHO_HOLD_BYTES;
use throng_edge::shard::{Control, Mode};
use throng_ring::Arm;
use throng_ring::sim::{Faults, SimConfig};
use throng_wire::ws::Opcode;

use crate::rig::{Client, Got, Rig, config};

fn rig() -> Rig {
    rig_over(SimConfig::default())
}

fn rig_over(sim: SimConfig) -> Rig {
    let mut config = config(Mode::Echo);
    config.frame_bytes_max = 1 << 24;
    config.output_burst_bytes = 1 << 25;
    Rig::new(config, sim)
}

fn echoing(rig: &mut Rig) -> Client {
    let mut client = rig.connect();
    client.upgrade(rig, "/anything?x=1", &[("Sec-WebSocket-Protocol", "some, other")]);
    client
}

#[test]
fn any_path_is_upgraded_with_the_first_subprotocol_offered() {
    let mut rig = rig();
    let mut client = rig.connect();
    let headers = [("Sec-WebSocket-Protocol", "some, other")];
    client.peer.write(Client::upgrade_request("/anything", &headers).as_bytes());
    rig.settle();
    assert!(client.head().contains("Sec-WebSocket-Protocol: some\r\n"));
}

#[test]
fn each_message_comes_back_as_its_kind() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    client.write(Opcode::Text, b"\"text\"");
    client.write(Opcode::Binary, b"bytes");
    client.write(Opcode::Ping, b"ping");
    rig.settle();
    let expected =
        [Got::Text("text".into()), Got::Binary(b"bytes".to_vec()), Got::Pong(b"ping".to_vec())];
    assert_eq!(client.received(), expected);
}

#[test]
fn what_one_turn_brings_leaves_in_one_send() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    let before = rig.snapshot().counters.sends;
    let frames: Vec<u8> = (0..16).flat_map(|n| Client::frame(Opcode::Binary, &[n; 64])).collect();
    client.peer.write(&frames);
    rig.settle();
    assert_eq!(client.received().len(), 16);
    assert_eq!(rig.snapshot().counters.sends - before, 1);
}

#[test]
fn messages_survive_short_sends_late_completions_and_missing_buffers() {
    let faults = Faults {
        short_send: 300,
        delay: 200,
        delay_max: Duration::from_millis(5),
        reorder: 100,
        no_buffers: 200,
        overflow: 50,
        cancel_miss: 100,
        ..Faults::default()
    };
    for seed in 0..20 {
        let mut rig = rig_over(SimConfig { seed, ..SimConfig::default() });
        let mut client = echoing(&mut rig);
        rig.sim.set_faults(faults);
        let mut got = Vec::new();
        for n in 0..50_usize {
            client.write(Opcode::Binary, &vec![n as u8; n * 97]);
            rig.pass(Duration::from_millis(7));
            got.extend(client.received());
        }
        rig.pass(Duration::from_millis(200));
        got.extend(client.received());
        let expected: Vec<_> = (0..50_usize).map(|n| Got::Binary(vec![n as u8; n * 97])).collect();
        assert!(got == expected, "seed {seed}: {} messages", got.len());
    }
}

#[test]
fn a_peer_is_read_while_so_much_waits_for_it_and_not_with_one_byte_more() {
    const HEADER_BYTES: usize = 4;
    for (bytes, arm) in [(ECHO_HOLD_BYTES, Arm::Hot), (ECHO_HOLD_BYTES + 1, Arm::Off)] {
        let mut rig = rig();
        let client = echoing(&mut rig);
        client.peer.set_window(0);
        for _ in 0..bytes / 60_000 {
            client.write(Opcode::Binary, &[7; 60_000 - HEADER_BYTES]);
            rig.settle();
        }
        client.write(Opcode::Binary, &vec![7; bytes % 60_000 - HEADER_BYTES]);
        rig.settle();
        assert_eq!(rig.snapshot().gauges.output_bytes, bytes as u64);
        assert_eq!(client.peer.armed(), arm, "{bytes}");
    }
}

#[test]
fn a_held_back_peer_that_reads_again_gets_everything() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    client.peer.set_window(0);
    let frame = Client::frame(Opcode::Binary, &[7; 60_000]);
    let mut written = 0;
    while client.peer.write(&frame) == frame.len() {
        written += 1;
        rig.settle();
        assert!(written < 1000);
    }
    client.peer.set_window(1 << 30);
    let mut got = 0;
    for _ in 0..100 {
        rig.settle();
        got += client.received().len();
    }
    assert_eq!(got, written);
}

#[test]
fn an_idle_connection_goes_cold_and_still_echoes() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    rig.pass(Duration::from_secs(60));
    for _ in 0..3 {
        client.write(Opcode::Text, b"1");
        rig.pass(Duration::from_millis(10));
        assert_eq!(client.received(), [Got::Text(1.into())]);
    }
    rig.pass(Duration::from_secs(60));
    client.write(Opcode::Text, b"2");
    rig.settle();
    assert_eq!(client.received(), [Got::Text(2.into())]);
}

#[test]
fn a_close_is_answered_with_its_code_and_the_broken_rule_with_1002() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    client.write(Opcode::Close, &[3, 233, b'b', b'y', b'e']);
    rig.settle();
    assert_eq!(client.closed(), Some(1001));
    assert!(!client.is_open());
    let mut rude = echoing(&mut rig);
    rude.peer.write(&[0x81, 0x01, b'x']);
    rig.settle();
    assert_eq!(rude.closed(), Some(1002));
}

#[test]
fn drain_says_going_away() {
    let mut rig = rig();
    let mut client = echoing(&mut rig);
    rig.handle.send(Control::Drain).unwrap();
    rig.pass(Duration::from_millis(50));
    assert_eq!(client.closed(), Some(1001));
    client.peer.finish();
    rig.pass(Duration::from_millis(100));
    assert!(!rig.is_alive);
}
