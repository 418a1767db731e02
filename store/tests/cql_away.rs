//! While the store is away outcomes are unknown, and the same calls made again find out.
//!
//! One test, alone in its file: it stops the node that all tests share.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;
mod fixture;

use std::time::Duration;

use cluster::{Keyspace, Stopped};
use fixture::{append, conv, keys, write_here};
use throng_store::cql::Cql;
use throng_store::{AppendOutcome, FenceOutcome, Ownership, OwnershipError, RouterId, Store};

/// Until it is known: connections to the node come back by themselves, after some seconds.
async fn until<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let tries = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tries).await.unwrap()
}

/// An append that the node may or may not have got. Gives its outcome.
async fn append_while_stopped(store: &Cql) -> AppendOutcome {
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for seq in 2..=200 {
                outcomes.push(write_here(&store, append(1, seq..=seq, 1)).await);
                if outcomes.last() != Some(&AppendOutcome::Ok) {
                    break;
                }
            }
            outcomes
        })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    let stopped = Stopped::first_node();
    let outcomes = writing.await.unwrap();
    drop(stopped);
    assert!(!outcomes.contains(&AppendOutcome::Fenced));
    outcomes.last().copied().unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn what_was_unknown_is_known_after_it_was_made_again() {
    let keyspace = Keyspace::create("away").await;
    let first = keyspace.open().await.register(RouterId(1), "127.0.0.1:1").await.unwrap();
    let second = keyspace.open().await.register(RouterId(2), "127.0.0.1:2").await.unwrap();
    assert_eq!(first.take(3).await, Ok(1));
    assert_eq!(write_here(&first, append(1, 1..=1, 1)).await, AppendOutcome::Ok);

    // In the midst of appends: the last is not known, and can be made again until it is.
    assert_eq!(append_while_stopped(&first).await, AppendOutcome::Unknown);
    until(async || {
        let outcome = write_here(&first, append(1, 2..=200, 1)).await;
        (outcome == AppendOutcome::Ok).then_some(())
    })
    .await;
    let tail = until(async || first.tail(conv(1), 1_000.into()).await.ok()).await;
    assert_eq!(keys(&tail), (1..=200).rev().map(|seq| (seq, 1)).collect::<Vec<_>>());

    // A fence read that fails says so, and releases nothing.
    let stopped = Stopped::first_node();
    assert_eq!(first.fence().await, FenceOutcome::Unknown);
    drop(stopped);
    until(async || (first.fence().await == FenceOutcome::Held).then_some(())).await;

    // So do changes of ownership; made again, they are done once.
    until(async || second.routers().await.ok()).await;
    let stopped = Stopped::first_node();
    let owner = first.incarnation().unwrap();
    let (fencing, taking) = tokio::join!(second.fence_off(owner), first.take(4));
    for outcome in [fencing, taking.map(drop)] {
        let away = matches!(outcome, Err(OwnershipError::Unknown(_) | OwnershipError::Store(_)));
        assert!(away, "{outcome:?}");
    }
    drop(stopped);
    until(async || second.fence_off(owner).await.ok()).await;
    assert_eq!(until(async || second.take(3).await.ok()).await, 2);
    until(async || (first.fence().await == FenceOutcome::Fenced).then_some(())).await;
    let later = write_here(&first, append(1, 201..=201, 1)).await;
    assert_eq!(later, AppendOutcome::Fenced);
}
