//! What was appended is read back whole, in the order asked for, within the bounds asked for.

mod fixture;

use bytes::Bytes;
use fixture::{append, conv, keys, open, row, write};
use throng_store::{Append, AppendOutcome, PageLimit, Range, Row, Seq, Store, limits};

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let epoch = store.epoch();
    assert_eq!(write(&store, append(1, 1..=3, epoch)), AppendOutcome::Ok);
    let rows = store.tail(conv(1), 10.into()).await.unwrap();
    assert_eq!(rows, [row(3, epoch), row(2, epoch), row(1, epoch)]);
}

#[tokio::test]
async fn conversations_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for index in [1, 2, 3] {
        write(&store, append(index, index..=index, store.epoch()));
    }
    assert_eq!(keys(&store.tail(conv(2), 10.into()).await.unwrap()), [(2, store.epoch())]);
    assert!(store.tail(conv(4), 10.into()).await.unwrap().is_empty());
}

#[tokio::test]
async fn ranges_leave_out_their_bound_and_keep_their_direction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, append(1, 1..=5, store.epoch()));
    let cases = [
        (Range::Before(4), 2, vec![3, 2]),
        (Range::Before(1), 2, vec![]),
        (Range::Before(0), 2, vec![]),
        (Range::Before(u64::MAX), 9, vec![5, 4, 3, 2, 1]),
        (Range::After(2), 2, vec![3, 4]),
        (Range::After(0), 9, vec![1, 2, 3, 4, 5]),
        (Range::After(5), 9, vec![]),
        (Range::After(u64::MAX), 9, vec![]),
        (Range::After(0), 0, vec![]),
    ];
    for (range, limit, expected) in cases {
        let rows = store.range(conv(1), range, limit.into()).await.unwrap();
        let seqs: Vec<_> = rows.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, expected, "{range:?}");
    }
}

#[tokio::test]
async fn all_epochs_of_a_seq_come_and_ranges_cut_between_seqs() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = open(dir.path());
        write(&store, append(1, 1..=3, store.epoch()));
    }
    let store = open(dir.path());
    let tail = store.tail(conv(1), 3.into()).await.unwrap();
    assert_eq!(keys(&tail), [(3, 2), (3, 1), (2, 2)]);
    let before = store.range(conv(1), Range::Before(3), 9.into()).await.unwrap();
    assert_eq!(keys(&before), [(2, 2), (2, 1), (1, 2), (1, 1)]);
    let after = store.range(conv(1), Range::After(1), 9.into()).await.unwrap();
    assert_eq!(keys(&after), [(2, 1), (2, 2), (3, 1), (3, 2)]);
}

#[tokio::test]
async fn an_ascending_page_ends_with_the_highest_epoch_of_its_last_seq() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = open(dir.path());
        write(&store, append(1, 1..=3, store.epoch()));
    }
    let store = open(dir.path());
    for (asked, given) in
        [(1, &[(1, 1), (1, 2)][..]), (2, &[(1, 1), (1, 2)]), (3, &[(1, 1), (1, 2), (2, 1), (2, 2)])]
    {
        let page = store.range(conv(1), Range::After(0), asked.into()).await.unwrap();
        assert_eq!(keys(&page), given, "{asked}");
    }
}

/// Ten rows with bodies of 100 bytes.
fn ten_of_a_hundred_bytes(epoch: u32) -> Append {
    let body = Bytes::from_static(&[b'x'; 100]);
    let rows = (1..=10).map(|seq| Row { body: body.clone(), ..row(seq, epoch) }).collect();
    Append { conv: conv(1), epoch, rows, dirty: None }
}

#[tokio::test]
async fn a_page_ends_with_the_row_that_reaches_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, ten_of_a_hundred_bytes(store.epoch()));
    let seqs = |rows: &[Row]| rows.iter().map(|row| row.seq).collect::<Vec<Seq>>();
    for (bytes, given) in [(300, 3), (301, 4), (1, 1), (0, 1), (1_000, 10), (1_001, 10)] {
        let limit = PageLimit { rows: 10, bytes };
        let ascending = store.range(conv(1), Range::After(0), limit).await.unwrap();
        assert_eq!(seqs(&ascending), (1..=given).collect::<Vec<_>>(), "{bytes}");
        let descending = store.range(conv(1), Range::Before(11), limit).await.unwrap();
        assert_eq!(seqs(&descending), (11 - given..=10).rev().collect::<Vec<_>>(), "{bytes}");
        assert_eq!(store.tail(conv(1), limit).await.unwrap(), descending);
    }
}

#[tokio::test]
async fn a_page_says_whether_there_may_be_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, ten_of_a_hundred_bytes(store.epoch()));
    for (rows, bytes, ended) in
        [(10, 2_000, true), (11, 2_000, false), (11, 1_000, true), (11, 1_001, false)]
    {
        let limit = PageLimit { rows, bytes };
        assert_eq!(limit.ended(&store.tail(conv(1), limit).await.unwrap()), ended, "{limit:?}");
    }
}

#[tokio::test]
async fn a_page_has_at_most_the_bytes_of_a_page_whatever_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let body = Bytes::from(vec![b'x'; limits::APPEND_BYTES_MAX]);
    let fit = limits::PAGE_BYTES_MAX.div_ceil(body.len());
    for seq in 1..=fit as u64 + 1 {
        let rows = vec![Row { body: body.clone(), ..row(seq, store.epoch()) }];
        write(&store, Append { conv: conv(1), epoch: store.epoch(), rows, dirty: None });
    }
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    assert_eq!(store.tail(conv(1), limit).await.unwrap().len(), fit);
}

#[tokio::test]
async fn a_page_has_at_most_its_limit_of_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let last = limits::PAGE_ROWS_MAX as u64 + 1;
    write(&store, append(1, 1..=last, store.epoch()));
    for (asked, given) in [
        (limits::PAGE_ROWS_MAX - 1, limits::PAGE_ROWS_MAX - 1),
        (limits::PAGE_ROWS_MAX, limits::PAGE_ROWS_MAX),
        (limits::PAGE_ROWS_MAX + 1, limits::PAGE_ROWS_MAX),
    ] {
        assert_eq!(store.tail(conv(1), asked.into()).await.unwrap().len(), given);
    }
}

#[tokio::test]
async fn reads_from_many_tasks_all_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, append(1, 1..=3, store.epoch()));
    let reads: Vec<_> = (0..4 * limits::READS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.tail(conv(1), 9.into()).await.unwrap().len() })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), 3);
    }
}
