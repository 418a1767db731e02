//! Pages go over the borders of buckets, and through many epochs of one seq, without a gap.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;
mod fixture;

use cluster::Keyspace;
use fixture::{append, conv, keys, write_here};
use throng_store::cql::Cql;
use throng_store::{
    AppendOutcome, Epoch, Ownership, PageLimit, Range, RouterId, Seq, Store, limits,
};

/// Seqs of a bucket.
const BUCKET: Seq = 1 << limits::BUCKET_BITS;

async fn router() -> Cql {
    let keyspace = Keyspace::shared().await;
    static LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    fixture::change_ids(u64::from(number));
    keyspace.open().await.register(RouterId(number), "127.0.0.1:1").await.unwrap()
}

async fn write(store: &Cql, first: Seq, last: Seq, epoch: Epoch) {
    let mut first = first;
    while first <= last {
        let end = last.min(first + limits::APPEND_ROWS_MAX as Seq - 1);
        assert_eq!(write_here(store, append(1, first..=end, epoch)).await, AppendOutcome::Ok);
        first = end + 1;
    }
}

async fn seqs(store: &Cql, range: Range, limit: usize) -> Vec<Seq> {
    let rows = store.range(conv(1), range, limit.into()).await.unwrap();
    rows.iter().map(|row| row.seq).collect()
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn the_tail_is_found_on_both_sides_of_a_border() {
    let store = router().await;
    write(&store, BUCKET - 3, BUCKET - 1, 1).await;
    let tail = async |limit: usize| keys(&store.tail(conv(1), limit.into()).await.unwrap());
    assert_eq!(tail(2).await, [(BUCKET - 1, 1), (BUCKET - 2, 1)]);
    write(&store, BUCKET, BUCKET, 1).await;
    assert_eq!(tail(2).await, [(BUCKET, 1), (BUCKET - 1, 1)]);
    write(&store, BUCKET + 1, BUCKET + 1, 1).await;
    assert_eq!(tail(1).await, [(BUCKET + 1, 1)]);
    assert_eq!(tail(9).await.len(), 5);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn one_append_may_span_a_border() {
    let store = router().await;
    assert_eq!(write_here(&store, append(1, BUCKET - 1..=BUCKET, 1)).await, AppendOutcome::Ok);
    let tail = keys(&store.tail(conv(1), 9.into()).await.unwrap());
    assert_eq!(tail, [(BUCKET, 1), (BUCKET - 1, 1)]);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn pages_meet_at_a_border_in_both_directions() {
    let store = router().await;
    write(&store, BUCKET - 4, BUCKET + 4, 1).await;
    for (before, expected) in [
        (BUCKET - 1, [BUCKET - 2, BUCKET - 3]),
        (BUCKET, [BUCKET - 1, BUCKET - 2]),
        (BUCKET + 1, [BUCKET, BUCKET - 1]),
        (BUCKET + 2, [BUCKET + 1, BUCKET]),
        (u64::MAX, [BUCKET + 4, BUCKET + 3]),
        (9 * BUCKET, [BUCKET + 4, BUCKET + 3]),
    ] {
        assert_eq!(seqs(&store, Range::Before(before), 2).await, expected, "before {before}");
    }
    for (after, expected) in [
        (BUCKET - 3, [BUCKET - 2, BUCKET - 1]),
        (BUCKET - 2, [BUCKET - 1, BUCKET]),
        (BUCKET - 1, [BUCKET, BUCKET + 1]),
        (BUCKET, [BUCKET + 1, BUCKET + 2]),
    ] {
        assert_eq!(seqs(&store, Range::After(after), 2).await, expected, "after {after}");
    }
    assert_eq!(seqs(&store, Range::After(BUCKET + 3), 2).await, [BUCKET + 4]);
    assert!(seqs(&store, Range::After(BUCKET + 4), 2).await.is_empty());
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn many_epochs_of_one_seq_come_whole_and_in_order() {
    let store = router().await;
    // More than one query of a page: the tail that many owners proposed again.
    let epochs = limits::CHUNK_ROWS as Epoch * 2 + 3;
    for epoch in 1..=epochs {
        write(&store, 5, 6, epoch).await;
    }
    write(&store, 1, 4, 1).await;
    let page = store.range(conv(1), Range::After(3), 2.into()).await.unwrap();
    let mut expected = vec![(4, 1)];
    expected.extend((1..=epochs).map(|epoch| (5, epoch)));
    assert_eq!(keys(&page), expected);
    let tail = store.tail(conv(1), limits::PAGE_ROWS_MAX.into()).await.unwrap();
    let mut expected: Vec<_> = (1..=epochs).rev().map(|epoch| (6, epoch)).collect();
    expected.extend((1..=epochs).rev().map(|epoch| (5, epoch)));
    expected.extend((1..=4).rev().map(|seq| (seq, 1)));
    assert_eq!(keys(&tail), expected);
    // A descending page may end between them: the next goes on from its seq.
    let limit = PageLimit { rows: epochs as usize - 1, bytes: limits::PAGE_BYTES_MAX };
    assert_eq!(store.tail(conv(1), limit).await.unwrap().len(), epochs as usize - 1);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn outcomes_of_a_conversation_come_in_the_order_of_its_appends() {
    let store = router().await;
    let (queue, receiver) = fixture::outcomes();
    for tag in 0..300_u64 {
        store.append(append(tag % 3, tag + 1..=tag + 1, 1), tag, &queue).unwrap();
    }
    let received = tokio::task::spawn_blocking(move || {
        let mut tags = Vec::new();
        while tags.len() < 300 {
            tags.extend(receiver.recv_timeout(fixture::PATIENCE).unwrap());
        }
        tags
    });
    let received = received.await.unwrap();
    assert!(received.iter().all(|(_, outcome)| *outcome == AppendOutcome::Ok));
    for index in 0..3 {
        let of_one: Vec<_> =
            received.iter().map(|it| it.0).filter(|tag| tag % 3 == index).collect();
        assert!(of_one.is_sorted(), "{of_one:?}");
    }
}
