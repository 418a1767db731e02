//! Two users chat over one link, a real embedded store and real actors; a restart changes nothing.

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_wire::v1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_acknowledged_delivered_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let id = uuid_v7(1);
    let (conv, first) = {
        let (router, store) = router(dir.path()).await;
        let mut edge = Edge::connect(&router).await;
        let welcome = edge.register(1, "alice", "phone", "").await;
        assert_eq!((&*welcome.sync, &*welcome.user), ("resync", "alice"));
        edge.register(2, "bob", "phone", "").await;

        let ack = edge.ack(1, "alice", send_to("bob", &id, "hi")).await;
        assert_eq!((ack.seq, ack.duplicate), (2, false));
        let (targets, created) = edge.event().await;
        assert_eq!((targets, created.seq), (vec![2], 1));
        let (targets, event) = edge.event().await;
        assert_eq!((targets, event.seq, &*event.conv), (vec![2], 2, &*ack.conv));
        assert!(matches!(event.what, Some(v1::What::Message(_))));

        let again = edge.ack(1, "alice", send_to("bob", &id, "hi")).await;
        assert_eq!((again.seq, again.time_ms, again.duplicate), (2, ack.time_ms, true));
        router.shutdown().await;
        store.close().await.unwrap();
        (ack.conv.into_owned(), ack.time_ms)
    };
    let (router, store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let again = edge.ack(1, "alice", send_to("bob", &id, "hi")).await;
    assert_eq!((again.seq, again.time_ms, again.duplicate), (2, first, true));
    let next = edge.ack(1, "alice", send(&conv, &uuid_v7(2), "more")).await;
    assert_eq!((next.seq, next.duplicate), (3, false));
    router.shutdown().await;
    store.close().await.unwrap();
}
