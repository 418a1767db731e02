//! What a slow client may miss: receipts, which it can ask for, and never an event.

mod edge;

use edge::{Edge, router, send_to, uuid_v7};
use throng_wire::{Protobuf, v1};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_ephemeral_and_events_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (router, store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    edge.register(2, "bob", "phone", "").await;
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    for _ in 0..2 {
        let event = edge.hint().await;
        assert_eq!((event.slots, event.ephemeral), (vec![2], false));
    }
    let read = v1::Op::Read(v1::Mark { conv: ack.conv, seq: ack.seq });
    assert!(matches!(edge.ask(2, "bob", read).await, v1::Body::Ok(_)));
    let receipt = edge.hint().await;
    let frame = v1::ServerFrame::decode(&receipt.frame).unwrap();
    assert!(matches!(frame.body, Some(v1::Body::Receipt(_))));
    assert_eq!((receipt.slots, receipt.ephemeral), (vec![1], true));
    router.shutdown().await;
    store.close().await.unwrap();
}
