//! Messages that are not whole cost a bounded amount, whoever sends them (invariant I6).

use serde_json::json;
use throng_edge::limits::HELLO_BYTES_MAX;
use throng_edge::shard::Mode;
use throng_wire::ws::Opcode;

use crate::rig::{Client, Rig, Router, config};

fn rig(input_shard_bytes: usize) -> (Rig, Router) {
    let mut config = config(Mode::Development);
    config.input_shard_bytes = input_shard_bytes;
    Rig::ready_with(config)
}

/// All but the last byte of a message of so many bytes.
fn send_part(rig: &mut Rig, client: &Client, bytes: usize) {
    let frame = Client::frame(Opcode::Text, &vec![b' '; bytes]);
    client.peer.write(&frame[..frame.len() - 1]);
    rig.settle();
}

fn input_bytes(rig: &mut Rig) -> usize {
    rig.snapshot().gauges.input_bytes as usize
}

/// Three sessions that each sent part of a message, in this order.
fn three_parts(input_shard_bytes: usize) -> (Rig, [Client; 3]) {
    let (mut rig, mut router) = rig(input_shard_bytes);
    let clients = ["ann", "bob", "carol"].map(|user| rig.session(&mut router, user).0);
    for client in &clients {
        send_part(&mut rig, client, 20_000);
    }
    (rig, clients)
}

#[test]
fn at_the_bound_all_are_waited_for_and_above_it_the_longest_is_closed() {
    let (mut free, _clients) = three_parts(usize::MAX);
    let bound = input_bytes(&mut free);
    assert!((60_000..62_000).contains(&bound), "{bound}");
    for (bound, closed) in [(bound, None), (bound - 1, Some(4005))] {
        let (mut rig, [mut first, mut second, mut third]) = three_parts(bound);
        assert!(input_bytes(&mut rig) <= bound);
        assert_eq!(first.closed(), closed, "{bound}");
        assert_eq!((second.closed(), third.closed()), (None, None));
        assert_eq!(rig.snapshot().gauges.sessions, if closed.is_some() { 2 } else { 3 });
    }
}

#[test]
fn who_ends_one_message_and_begins_the_next_is_not_who_is_waited_for_longest() {
    let (mut free, _clients) = three_parts(usize::MAX);
    let bound = input_bytes(&mut free);
    let (mut rig, [first, mut second, third]) = three_parts(bound);
    let next = Client::frame(Opcode::Text, &[b' '; 20_000]);
    first.peer.write(&[&[b' ' ^ 4][..], &next[..next.len() - 1]].concat());
    rig.settle();
    assert_eq!(input_bytes(&mut rig), bound);
    let fourth = rig.upgraded("");
    send_part(&mut rig, &fourth, 100);
    assert_eq!(second.closed(), Some(4005));
    assert!(first.is_open() && third.is_open() && fourth.is_open());
}

#[test]
fn what_is_whole_or_gone_is_not_counted() {
    let (mut rig, clients) = three_parts(usize::MAX);
    for (client, is_ended) in clients.iter().zip([true, false, true]) {
        match is_ended {
            true => drop(client.peer.write(b"x")),
            false => client.peer.reset(),
        }
    }
    rig.settle();
    assert_eq!(input_bytes(&mut rig), 0);
}

#[test]
fn parts_of_requests_count_and_go_without_a_word() {
    let (mut rig, _router) = rig(300);
    let head = Client::upgrade_request("/v1/ws", &[("Cookie", &"c".repeat(100))]);
    let clients = [(); 2].map(|()| {
        let client = rig.connect();
        client.peer.write(&head.as_bytes()[..200]);
        rig.settle();
        client
    });
    assert_eq!((clients[0].is_open(), clients[1].is_open()), (false, true));
    assert_eq!(input_bytes(&mut rig), 200);
}

#[test]
fn before_the_welcome_a_message_is_shorter_and_after_it_not() {
    let hello = json!({"id": 1, "hello": {"user": "alice", "device": "phone"}}).to_string();
    let limit = HELLO_BYTES_MAX as usize;
    for (bytes, closed) in [(limit, None), (limit + 1, Some(1009))] {
        let (mut rig, mut router) = Rig::ready();
        let mut client = rig.upgraded("");
        client.write(Opcode::Text, format!("{hello:bytes$}").as_bytes());
        rig.settle();
        assert_eq!(client.closed(), closed, "{bytes}");
        for register in router.registers() {
            let next = format!("{:1$}", json!({"id": 2, "ping": {}}), limit + 1);
            let frame = Client::frame(Opcode::Text, next.as_bytes());
            router.confirm(&register);
            rig.settle();
            client.peer.write(&frame);
            rig.settle();
            assert_eq!(client.jsons()[1]["id"], 2);
        }
    }
}
