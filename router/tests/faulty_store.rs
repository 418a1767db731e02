//! I7: what the store cannot do harms what it cannot do, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;
mod faulty;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use edge::{send, send_to, uuid_v7};
use faulty::Faulty;
use throng_router::Router;
use throng_store::ConvId;
use throng_store::embedded::{self, Embedded};
use throng_wire::{id, v1};

fn failed_recoveries(router: &Router) -> f64 {
    let metrics = router.metrics();
    metrics.iter().find(|metric| metric.name == "router_recoveries_failed").unwrap().value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    let mut convs = Vec::new();
    for (number, peer) in ["bob", "carol"].into_iter().enumerate() {
        let ack = edge.ack(1, "alice", send_to(peer, &uuid_v7(number as u8), "hi")).await;
        convs.push(ack.conv.to_string());
    }
    router.shutdown().await;
    *store.corrupt.lock().unwrap() = id::parse(&convs[0]).map(ConvId);
    let (router, mut edge) = store.start_with_alice().await;
    let v1::Body::Error(error) = edge.ask(1, "alice", send(&convs[0], &uuid_v7(7), "hi")).await
    else {
        panic!("it is not read")
    };
    assert_eq!(error.code, "unavailable");
    assert_eq!(edge.ack(1, "alice", send(&convs[1], &uuid_v7(8), "hi")).await.seq, 3);
    assert!(failed_recoveries(&router).abs() < 0.5);
    router.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_whose_store_can_write_no_more_does_not_wait_for_it_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    store.ended.store(true, Relaxed);
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    assert_eq!(ack.seq, 2);
    drop(edge);
    let half = Duration::from_millis(throng_router::limits::STOP_MS / 2);
    tokio::time::timeout(half, router.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_a_start_could_not_bring_up_to_date_are_counted_and_done_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    store.ended.store(true, Relaxed);
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    let conv = id::parse(&ack.conv).map(ConvId);
    drop(edge);
    router.shutdown().await;
    drop((router, store));
    for (corrupt, failed) in [(conv, 1.0), (None, 0.0)] {
        // The router's tasks may still hold the directory for a moment.
        let store = loop {
            match Embedded::open(embedded::Config::new(dir.path())) {
                Ok(store) => break store,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let store = Faulty::over(store);
        *store.corrupt.lock().unwrap() = corrupt;
        let router = store.start().await;
        assert!((failed_recoveries(&router) - failed).abs() < 0.5);
        router.shutdown().await;
    }
}
