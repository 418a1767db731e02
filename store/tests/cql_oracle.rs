//! Plain writes that harm nobody give the log that conditional ones give, which let nobody in.
//!
//! The plain store lets a stale owner write rows; whoever reads leaves out what is dead. The oracle
//! refuses them. Schedules of two owners, one of which was replaced without knowing it, must come
//! to the same log on both.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;
mod fixture;
mod oracle;

use std::collections::BTreeMap;

use cluster::Keyspace;
use fixture::{append, conv, row, write_here};
use oracle::Conditional;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, TestRunner};
use throng_store::{Append, AppendOutcome, Epoch, Ownership, RouterId, Row, Seq, Store, limits};

/// The log: of every seq the highest epoch that no later owner's base declares dead.
fn chosen(rows: &[Row]) -> BTreeMap<Seq, Row> {
    let dead =
        |row: &Row| rows.iter().any(|later| later.epoch > row.epoch && later.base <= row.seq);
    let mut log: BTreeMap<Seq, Row> = BTreeMap::new();
    for row in rows.iter().filter(|row| !dead(row)) {
        let kept = log.entry(row.seq).or_insert_with(|| row.clone());
        if row.epoch > kept.epoch {
            *kept = row.clone();
        }
    }
    log
}

async fn log_of<S: Store>(store: &S) -> Vec<Row> {
    let rows = store.tail(conv(1), limits::PAGE_ROWS_MAX.into()).await.unwrap();
    chosen(&rows).into_values().collect()
}

/// Rows that an owner assigned itself, from `base` on.
fn own(epoch: Epoch, base: Seq, seq: Seq) -> Append {
    let rows = vec![Row { base, ..row(seq, epoch) }];
    Append { conv: conv(1), epoch, rows, dirty: None }
}

/// The first owner writes 1..=`first`; the second takes over, reads the tail and goes on behind it,
/// while the first goes on, too: `turns` says whose turn it is.
async fn schedule<S: Store>(store: &S, first: Seq, turns: &[bool]) -> Vec<AppendOutcome> {
    for seq in 1..=first {
        assert_eq!(write_here(store, own(1, 1, seq)).await, AppendOutcome::Ok);
    }
    let base = first + 1;
    // Its first act: what it found above the acknowledged is written again under its epoch.
    let again = Append { rows: vec![Row { base, ..row(first, 2) }], ..own(2, base, first) };
    assert_eq!(write_here(store, again).await, AppendOutcome::Ok);
    let mut heads = [first, first];
    let mut stale = Vec::new();
    for newer in turns {
        let head = &mut heads[usize::from(*newer)];
        *head += 1;
        let write = if *newer { own(2, base, *head) } else { own(1, 1, *head) };
        let outcome = write_here(store, write).await;
        match newer {
            true => assert_eq!(outcome, AppendOutcome::Ok),
            false => stale.push(outcome),
        }
    }
    stale
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_stale_owner_changes_neither_log() {
    let keyspace = Keyspace::create("oracle").await;
    let plain = keyspace.open().await.register(RouterId(1), "127.0.0.1:1").await.unwrap();
    let oracle = Conditional::new(&keyspace, plain.clone()).await;
    let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::default() });
    for case in 0..24 {
        let (first, turns) =
            (1..6_u64, vec(any::<bool>(), 1..12)).new_tree(&mut runner).unwrap().current();
        fixture::change_ids(2 * case + 1);
        let let_in = schedule(&plain, first, &turns).await;
        assert!(let_in.iter().all(|outcome| *outcome == AppendOutcome::Ok));
        let seen = log_of(&plain).await;
        fixture::change_ids(2 * case + 2);
        let refused = schedule(&oracle, first, &turns).await;
        assert!(refused.iter().all(|outcome| *outcome == AppendOutcome::Fenced));
        let expected = log_of(&oracle).await;
        let content = |rows: &[Row]| {
            rows.iter().map(|row| (row.seq, row.epoch, row.body.clone())).collect::<Vec<_>>()
        };
        assert_eq!(content(&seen), content(&expected), "{first} {turns:?}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn what_the_oracle_refuses_it_leaves_out_as_a_whole() {
    let keyspace = Keyspace::create("refuses").await;
    let plain = keyspace.open().await.register(RouterId(1), "127.0.0.1:1").await.unwrap();
    let oracle = Conditional::new(&keyspace, plain).await;
    assert_eq!(write_here(&oracle, append(1, 1..=3, 2)).await, AppendOutcome::Ok);
    assert_eq!(write_here(&oracle, append(1, 2..=9, 1)).await, AppendOutcome::Fenced);
    assert_eq!(write_here(&oracle, append(1, 4..=5, 2)).await, AppendOutcome::Ok);
    let rows = oracle.tail(conv(1), 99.into()).await.unwrap();
    assert_eq!(rows, (1..=5).rev().map(|seq| row(seq, 2)).collect::<Vec<_>>());
}
