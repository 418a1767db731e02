//! I5: a clock that is set back hides nothing from who resumes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge::{Edge, router_with, send, send_to};
use throng_router::{Config, Router};
use throng_store::embedded::Embedded;
use throng_wire::{id, v1};

const HOUR_S: u64 = 60 * 60;

/// Members of a group that is too big for every member's list to be touched.
const BIG: usize = throng_router::limits::TOUCH_MEMBERS_MAX + 1;

/// A clock that can be set back, each test its own.
macro_rules! clock {
    ($behind_s:ident, $wall:ident) => {
        static $behind_s: AtomicU64 = AtomicU64::new(0);
        fn $wall() -> SystemTime {
            SystemTime::now() - Duration::from_secs($behind_s.load(SeqCst))
        }
    };
}

clock!(RUNNING_BEHIND_S, running_wall);
clock!(RESTARTED_BEHIND_S, restarted_wall);

async fn start(dir: &Path, wall: fn() -> SystemTime) -> (Router, Embedded) {
    router_with(dir, Config { workers: 2, wall, ..Config::default() }).await
}

/// An id of a client whose clock agrees with the server's.
fn msg_id(wall: fn() -> SystemTime, number: u8) -> String {
    let now = wall().duration_since(UNIX_EPOCH).unwrap();
    id::text(&id::make_v7(now.as_millis() as u64, [number; 10]))
}

/// A group of `BIG` members, among them Alice and Bob.
async fn big_group(edge: &mut Edge, client_msg_id: &str) -> String {
    let others = (2..BIG).map(|user| format!("user{user}").into());
    let group = v1::CreateGroup {
        name: "big".into(),
        members: others.chain(["bob".into()]).collect(),
        client_msg_id: client_msg_id.to_owned().into(),
        history: "".into(),
    };
    edge.ack(1, "alice", v1::Op::CreateGroup(group)).await.conv.into_owned()
}

/// Alice writes to Bob, and to the big group.
async fn write(edge: &mut Edge, wall: fn() -> SystemTime, big: &str, numbers: [u8; 2]) -> String {
    let sent = edge.ack(1, "alice", send_to("bob", &msg_id(wall, numbers[0]), "hi")).await;
    edge.told(&sent.conv, sent.seq).await;
    let sent_to_big = edge.ack(1, "alice", send(big, &msg_id(wall, numbers[1]), "hi")).await;
    edge.told(big, sent_to_big.seq).await;
    sent.conv.into_owned()
}

async fn connect(router: &Router) -> Edge {
    let mut edge = Edge::connect(router).await;
    edge.register(1, "alice", "phone", "").await;
    edge.register(9, "alice", "laptop", "").await;
    edge
}

/// Bob's changes since his cursor, and his next one.
async fn changes(edge: &mut Edge, cursor: &str) -> (Vec<String>, String) {
    let welcome = edge.register(2, "bob", "phone", cursor).await;
    assert_eq!(&*welcome.sync, "resumed");
    edge.unregister(2, "bob", "phone").await;
    let convs = welcome.changes.iter().map(|change| change.conv.to_string());
    (convs.collect(), welcome.cursor.into_owned())
}

#[tokio::test]
async fn set_back_while_the_router_runs() {
    let dir = tempfile::tempdir().unwrap();
    let wall = running_wall;
    let (router, _store) = start(dir.path(), wall).await;
    let mut edge = connect(&router).await;
    let big = big_group(&mut edge, &msg_id(wall, 1)).await;
    let cursor = edge.register(2, "bob", "phone", "").await.cursor.into_owned();
    edge.unregister(2, "bob", "phone").await;
    RUNNING_BEHIND_S.store(HOUR_S, SeqCst);
    let direct = write(&mut edge, wall, &big, [2, 3]).await;
    let (heard, cursor) = changes(&mut edge, &cursor).await;
    assert!(heard.contains(&direct) && heard.contains(&big), "{heard:?}");
    write(&mut edge, wall, &big, [4, 5]).await;
    RUNNING_BEHIND_S.store(0, SeqCst);
    let (heard, _) = changes(&mut edge, &cursor).await;
    assert!(heard.contains(&direct) && heard.contains(&big), "{heard:?}");
    router.shutdown().await;
}

#[tokio::test]
async fn set_back_while_the_router_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let wall = restarted_wall;
    let (cursor, big) = {
        let (router, _store) = start(dir.path(), wall).await;
        let mut edge = connect(&router).await;
        let big = big_group(&mut edge, &msg_id(wall, 1)).await;
        let cursor = edge.register(2, "bob", "phone", "").await.cursor.into_owned();
        router.shutdown().await;
        (cursor, big)
    };
    RESTARTED_BEHIND_S.store(HOUR_S, SeqCst);
    let (router, _store) = start(dir.path(), wall).await;
    let mut edge = connect(&router).await;
    let direct = write(&mut edge, wall, &big, [2, 3]).await;
    let (heard, _) = changes(&mut edge, &cursor).await;
    assert!(heard.contains(&direct) && heard.contains(&big), "{heard:?}");
    router.shutdown().await;
}
