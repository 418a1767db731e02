//! I2: sends of one connection that are under way together are taken in their order.

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_wire::{Protobuf, v1};

#[tokio::test]
async fn a_pipeline_of_sends_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let conv = edge.ack(1, "alice", send_to("bob", &uuid_v7(0), "first")).await.conv.into_owned();
    let mut requests = Vec::new();
    for number in 1..=200_u8 {
        let op = send(&conv, &uuid_v7(number), "x");
        requests.push(edge.begin_ordered(1, "alice", op, (number.into(), number == 1)).await);
    }
    let mut seqs = Vec::new();
    for request in requests {
        let (body, failed) = edge.answer(request).await;
        assert!(!failed);
        let frame = v1::ServerFrame::decode(&body).unwrap();
        let Some(v1::Body::Ack(ack)) = frame.body else { panic!("not an ack") };
        seqs.push(ack.seq);
    }
    assert_eq!(seqs, (3..203).collect::<Vec<u64>>());
    router.shutdown().await;
}

#[tokio::test]
async fn a_gap_in_the_numbers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let conv = edge.ack(1, "alice", send_to("bob", &uuid_v7(0), "first")).await.conv.into_owned();
    let request = edge.begin_ordered(1, "alice", send(&conv, &uuid_v7(1), "x"), (7, false)).await;
    let (body, failed) = edge.answer(request).await;
    let frame = v1::ServerFrame::decode(&body).unwrap();
    assert!(
        failed
            && matches!(frame.body, Some(v1::Body::Error(error)) if error.code == "after_failed")
    );
    router.shutdown().await;
}

#[tokio::test]
async fn a_send_refused_for_good_does_not_hold_up_those_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let conv = edge.ack(1, "alice", send_to("bob", &uuid_v7(0), "first")).await.conv.into_owned();
    let too_long = "x".repeat(throng_router::limits::TEXT_BYTES_MAX + 1);
    let mut requests = Vec::new();
    for (number, text) in [(1, "one"), (2, too_long.as_str()), (3, "three")] {
        let op = send(&conv, &uuid_v7(number), text);
        requests.push(edge.begin_ordered(1, "alice", op, (number.into(), number == 1)).await);
    }
    let mut answers = Vec::new();
    for request in requests {
        let (body, _) = edge.answer(request).await;
        answers.push(match v1::ServerFrame::decode(&body).unwrap().body {
            Some(v1::Body::Ack(ack)) => ack.seq.to_string(),
            Some(v1::Body::Error(error)) => error.code.to_string(),
            other => panic!("not expected: {other:?}"),
        });
    }
    assert_eq!(answers, ["3", "too_large", "4"]);
    router.shutdown().await;
}
