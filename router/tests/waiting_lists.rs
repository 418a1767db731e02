//! I6: a list that had to wait is made only if somebody still wants it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;
mod faulty;

use std::time::Duration;

use edge::Edge;
use faulty::Faulty;
use throng_router::Router;
use throng_wire::{Protobuf, v1};

/// Shorter than the patience of whoever asked first, and than that of these tests.
const DEADLINE_MS: u32 = 50;

/// A router whose store holds the reads of lists, and an edge at which alice has a session, 1.
async fn holding(dir: &std::path::Path) -> (Router, Edge, Faulty) {
    let store = Faulty::open(dir);
    let (router, edge) = store.start_with_alice().await;
    store.lists_read.lock().unwrap().clear();
    store.holds_lists.send_replace(true);
    (router, edge, store)
}

/// Waits until one list is being read: what its user asks for next waits for it.
async fn one_is_read(store: &Faulty) {
    while store.lists_read.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn conversations() -> v1::Op<'static> {
    v1::Op::Conversations(v1::ConversationsRequest::default())
}

/// The code of the error that an answer is, or nothing.
fn refusal((body, failed): (Vec<u8>, bool)) -> Option<String> {
    match v1::ServerFrame::decode(&body).unwrap().into_owned().body {
        Some(v1::Body::Error(error)) => Some(error.code.into_owned()),
        _ if failed => panic!("a failure that is no error"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_deadline_passes_while_it_waits_is_refused_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (router, mut edge, store) = holding(dir.path()).await;
    let first = edge.begin(1, "alice", conversations()).await;
    one_is_read(&store).await;
    let late = edge.begin_within(1, "alice", conversations(), (0, false), DEADLINE_MS).await;
    let patient = edge.begin(1, "alice", conversations()).await;
    tokio::time::sleep(Duration::from_millis(2 * u64::from(DEADLINE_MS))).await;
    store.holds_lists.send_replace(false);
    assert_eq!(refusal(edge.answer(first).await), None);
    assert_eq!(refusal(edge.answer(late).await).as_deref(), Some("unavailable"));
    assert_eq!(refusal(edge.answer(patient).await), None);
    assert_eq!(store.lists_read.lock().unwrap().len(), 2, "the late one is not read");
    router.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_gone_before_their_turn_have_no_list_read() {
    let dir = tempfile::tempdir().unwrap();
    let (router, mut edge, store) = holding(dir.path()).await;
    let cursor = edge.register(6, "bob", "watch", "").await.cursor;
    let first = edge.begin_session(2, "bob", "phone", &cursor).await;
    one_is_read(&store).await;
    let gone = edge.begin_session(3, "bob", "tablet", &cursor).await;
    let replaced = edge.begin_session(4, "bob", "laptop", &cursor).await;
    edge.unregister(3, "bob", "tablet").await;
    let newer = edge.begin_session(5, "bob", "laptop", &cursor).await;
    // Said after all that was asked before.
    assert_eq!(edge.evicted().await.0, 4);
    store.holds_lists.send_replace(false);
    assert_eq!(refusal(edge.answer(first).await), None);
    assert_eq!(refusal(edge.answer(gone).await).as_deref(), Some("unavailable"));
    assert_eq!(refusal(edge.answer(replaced).await).as_deref(), Some("unavailable"));
    assert_eq!(refusal(edge.answer(newer).await), None);
    assert_eq!(store.lists_read.lock().unwrap().len(), 2, "those of the first and of the newer");
    router.shutdown().await;
}
