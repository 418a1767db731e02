//! I5: what an edge that does not read has missed is told to its connections when it reads again.

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_router::limits::HINT_BYTES_MAX;
use throng_wire::v1;

#[tokio::test]
async fn dropped_hints_are_repaired_by_the_changes_since() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut fast = Edge::connect(&router).await;
    let mut slow = Edge::connect(&router).await;
    fast.register(1, "alice", "phone", "").await;
    slow.register(2, "bob", "phone", "").await;
    let text = "x".repeat(16 * 1024);
    let first = fast.ack(1, "alice", send_to("bob", &uuid_v7(0), &text)).await;
    let count = 2 * HINT_BYTES_MAX / text.len();
    for _ in 0..count {
        let id = throng_wire::id::text(&throng_wire::id::make_v7(first.time_ms, rand()));
        fast.ack(1, "alice", send(&first.conv, &id, &text)).await;
    }
    let mut events = 0;
    let head = loop {
        match slow.pushed().await {
            (slots, v1::Body::Event(_)) => {
                assert_eq!(slots, [2]);
                events += 1;
            }
            (slots, v1::Body::Changes(changes)) => {
                assert_eq!((slots, &*changes.sync), (vec![2], "resumed"));
                break changes.items.iter().find(|item| item.conv == first.conv).unwrap().head;
            }
            other => panic!("not expected: {other:?}"),
        }
    };
    assert!(events < count, "nothing was dropped");
    assert_eq!(head, count as u64 + 2);
    router.shutdown().await;
}

fn rand() -> [u8; 10] {
    use std::hash::{BuildHasher, RandomState};
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&RandomState::new().hash_one(0).to_be_bytes());
    bytes
}
