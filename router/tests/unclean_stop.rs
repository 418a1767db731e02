//! I1, I4: a process that ends without a word leaves nothing that the next one does not mend.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_wire::v1;

/// Runs as a process of its own would: at the end nothing is finished, everything is dropped.
fn cut_off<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    result
}

#[test]
fn lists_and_logs_agree_after_every_unclean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut sent: Vec<(String, u64)> = Vec::new();
    let mut conv = String::new();
    for round in 0..5_u8 {
        cut_off(async {
            let (router, _store) = router(dir.path()).await;
            let mut edge = Edge::connect(&router).await;
            edge.register(1, "alice", "phone", "").await;
            let id = uuid_v7(round);
            let ack = edge.ack(1, "alice", send_to("bob", &id, "hi")).await;
            conv = ack.conv.to_string();
            for (id, seq) in &sent {
                let again = edge.ack(1, "alice", send_to("bob", id, "hi")).await;
                assert_eq!((again.seq, again.duplicate), (*seq, true));
            }
            sent.push((id, ack.seq));
            // Under way when the process ends.
            edge.begin(1, "alice", send(&conv, &uuid_v7(100 + round), "lost?")).await;
        });
    }
    assert!(sent.is_sorted_by(|one, other| one.1 < other.1));
    cut_off(async {
        let (router, _store) = router(dir.path()).await;
        let mut edge = Edge::connect(&router).await;
        edge.register(1, "bob", "phone", "").await;
        let history =
            v1::HistoryRequest { conv: conv.clone().into(), after: 1, ..Default::default() };
        let v1::Body::History(page) = edge.ask(1, "bob", v1::Op::History(history)).await else {
            panic!("not a page")
        };
        let seqs: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (2..=page.head).collect::<Vec<_>>());
        let request = v1::Op::Conversations(v1::ConversationsRequest::default());
        let v1::Body::Conversations(list) = edge.ask(1, "bob", request).await else {
            panic!("not a list")
        };
        let item = &list.items[0];
        assert_eq!((item.head, item.unread), (page.head, page.head - 1));
        router.shutdown().await;
    });
}
