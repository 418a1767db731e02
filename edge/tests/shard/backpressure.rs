//! What waits on the link is bounded in both directions (invariant I6): hints that the shard has
//! not served yet, and requests that have no credit.

use std::time::Duration;

use serde_json::json;
use throng_edge::limits::{
    FANOUT_BYTES_MAX, LINK_QUEUE_BYTES_MAX, LINK_QUEUE_REQUESTS_MAX, REQUESTS_IN_FLIGHT_MAX,
};
use throng_edge::shard::{Control, Mode};
use throng_ring::Arm;
use throng_ring::sim::SimConfig;
use throng_wire::limits::HINT_RECIPIENTS_MAX;
use throng_wire::link::{Hint, ToEdge};

use crate::rig::{Client, MS, Rig, Router, config, error_code, work_costs};

/// A slot that nobody has: hints for it are never encoded, only counted.
const NOBODY: u32 = 400;
const TARGET_BYTES: usize = size_of::<(u32, u32)>();
/// More would not fit into a frame of the link together with the targets.
const BODY_BYTES_MAX: usize = 48 * 1024;

/// A shard that serves one step of its hints per turn, and takes all that the router says in one.
fn slow_shard() -> (Rig, Router) {
    let sim = SimConfig {
        window_bytes: 1 << 25,
        receive_buffers: 32,
        receive_buffer_bytes: 1 << 20,
        ..SimConfig::default()
    };
    let mut rig = Rig::new(config(Mode::Development), sim);
    let router = rig.next_link();
    router.welcome(100, 1 << 20);
    rig.settle();
    work_costs(10 * MS);
    (rig, router)
}

/// One turn, and what waited in it. A hint takes more turns than a test looks at it for.
fn waiting(rig: &mut Rig) -> usize {
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    rig.handle.send(Control::Snapshot(sender)).unwrap();
    rig.turn(Duration::ZERO);
    receiver.try_recv().unwrap().gauges.fanout_bytes as usize
}

fn push(router: &Router, number: u64, body_bytes: usize) {
    let (slots, sessions) = (vec![NOBODY; HINT_RECIPIENTS_MAX], vec![1; HINT_RECIPIENTS_MAX]);
    let frame = vec![0; body_bytes].into();
    router.say(&ToEdge::Hint(Hint { number, slots, sessions, frame, ephemeral: false }));
}

/// What a hint takes beside its frame.
fn overhead() -> usize {
    let (mut rig, router) = slow_shard();
    push(&router, 1, 0);
    let bytes = waiting(&mut rig);
    assert!(bytes > HINT_RECIPIENTS_MAX * TARGET_BYTES);
    bytes
}

/// Lengths of the frames of hints that take exactly `bytes` while they wait.
fn bodies(bytes: usize, overhead: usize) -> Vec<usize> {
    let hints = bytes.div_ceil(overhead + BODY_BYTES_MAX);
    let in_bodies = bytes - hints * overhead;
    let longer = in_bodies % hints;
    (0..hints).map(|hint| in_bodies / hints + usize::from(hint < longer)).collect()
}

/// A slow shard in which hints wait that take so many bytes, one part after the other.
fn filled(parts: &[usize]) -> (Rig, Router) {
    let overhead = overhead();
    let (mut rig, router) = slow_shard();
    let bodies = parts.iter().flat_map(|bytes| bodies(*bytes, overhead));
    for (number, body_bytes) in (1..).zip(bodies) {
        push(&router, number, body_bytes);
    }
    waiting(&mut rig);
    assert_eq!(waiting(&mut rig), parts.iter().sum::<usize>());
    (rig, router)
}

#[test]
fn so_many_bytes_of_hints_may_wait_and_with_one_more_the_link_is_not_read() {
    for (bytes, arm) in [(FANOUT_BYTES_MAX, Arm::Hot), (FANOUT_BYTES_MAX + 1, Arm::Off)] {
        let (mut rig, router) = filled(&[bytes]);
        assert_eq!(router.peer.armed(), arm, "{bytes}");
        assert_eq!(rig.snapshot().counters.link_holds, u64::from(arm == Arm::Off));
    }
}

#[test]
fn a_link_that_is_not_read_is_read_again_at_half_of_that_and_not_with_one_byte_more() {
    for (rest, arm) in [(FANOUT_BYTES_MAX / 2, Arm::Hot), (FANOUT_BYTES_MAX / 2 + 1, Arm::Off)] {
        let (mut rig, router) = filled(&[FANOUT_BYTES_MAX + 1 - rest, rest]);
        while waiting(&mut rig) > rest {
            assert_eq!(router.peer.armed(), Arm::Off);
        }
        assert_eq!(waiting(&mut rig), rest);
        assert_eq!(router.peer.armed(), arm, "{rest}");
    }
}

/// So many sessions, and no credit left for anything they ask.
fn without_credit(sessions: usize) -> (Rig, Vec<Client>) {
    let mut rig = Rig::new(config(Mode::Development), SimConfig::default());
    let mut router = rig.next_link();
    router.welcome(sessions as u64, 1 << 30);
    rig.settle();
    let join = |n| rig.session(&mut router, &format!("user{n}")).0;
    let clients = (0..sessions).map(join).collect();
    (rig, clients)
}

fn say(rig: &mut Rig, client: &Client, text_bytes: usize) {
    client.say(&json!({"id": 7, "send": {"to": "bob", "text": "x".repeat(text_bytes)}}));
    rig.settle();
}

/// What waits after many sends and one more with this text, and how that one was answered.
fn after_sends(last_text_bytes: usize) -> (usize, Option<String>) {
    let (mut rig, mut clients) = without_credit(5);
    for client in &clients[..4] {
        for _ in 0..REQUESTS_IN_FLIGHT_MAX {
            say(&mut rig, client, 16_000);
        }
    }
    say(&mut rig, &clients[4], 16_000);
    say(&mut rig, &clients[4], last_text_bytes);
    let waiting = rig.snapshot().gauges.link_queue_bytes as usize;
    let answers: Vec<_> = clients.iter_mut().flat_map(Client::jsons).collect();
    assert!(answers.len() < 2, "{answers:?}");
    (waiting, answers.first().map(|answer| error_code(answer).to_owned()))
}

#[test]
fn so_many_bytes_of_requests_wait_for_credit_and_one_more_is_refused() {
    const SOME: usize = 500;
    let (waiting, refused) = after_sends(SOME);
    assert_eq!(refused, None);
    let most = SOME + LINK_QUEUE_BYTES_MAX - waiting;
    assert_eq!(after_sends(most), (LINK_QUEUE_BYTES_MAX, None));
    let (waiting, refused) = after_sends(most + 1);
    assert!(waiting < LINK_QUEUE_BYTES_MAX);
    assert_eq!(refused.as_deref(), Some("overloaded"));
}

#[test]
fn so_many_requests_wait_for_credit_and_one_more_is_refused() {
    let sessions = LINK_QUEUE_REQUESTS_MAX / usize::from(REQUESTS_IN_FLIGHT_MAX);
    let (mut rig, mut clients) = without_credit(sessions + 1);
    for client in &clients[..sessions] {
        for id in 0..REQUESTS_IN_FLIGHT_MAX {
            client.say(&json!({"id": id, "conversations": {}}));
        }
        rig.settle();
    }
    assert_eq!(clients.iter_mut().map(|client| client.received().len()).sum::<usize>(), 0);
    clients[sessions].say(&json!({"id": 99, "conversations": {}}));
    rig.settle();
    let refused = clients[sessions].json();
    assert_eq!((error_code(&refused), refused["id"].as_u64()), ("overloaded", Some(99)));
}
