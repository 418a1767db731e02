//! What was appended is read back whole, in the order asked for, within the bounds asked for.

use crate::conformance::Subject;
use crate::fixture::{append, conv, keys, row, write_here};
use bytes::Bytes;
use throng_store::{Append, AppendOutcome, PageLimit, Range, Row, Seq, Store, limits};

pub async fn rows_come_back_as_they_were_written<S: Subject>(subject: S) {
    let store = subject.store();
    let epoch = subject.epoch();
    assert_eq!(write_here(&store, append(1, 1..=3, epoch)).await, AppendOutcome::Ok);
    let rows = store.tail(conv(1), 10.into()).await.unwrap();
    assert_eq!(rows, [row(3, epoch), row(2, epoch), row(1, epoch)]);
}

pub async fn conversations_do_not_see_each_other<S: Subject>(subject: S) {
    let store = subject.store();
    for index in [1, 2, 3] {
        write_here(&store, append(index, index..=index, subject.epoch())).await;
    }
    assert_eq!(keys(&store.tail(conv(2), 10.into()).await.unwrap()), [(2, subject.epoch())]);
    assert!(store.tail(conv(4), 10.into()).await.unwrap().is_empty());
}

pub async fn ranges_leave_out_their_bound_and_keep_their_direction<S: Subject>(subject: S) {
    let store = subject.store();
    write_here(&store, append(1, 1..=5, subject.epoch())).await;
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

pub async fn all_epochs_of_a_seq_come_and_ranges_cut_between_seqs<S: Subject>(mut subject: S) {
    for _ in 0..2 {
        write_here(&subject.store(), append(1, 1..=3, subject.epoch())).await;
        subject.restart().await;
    }
    let store = subject.store();
    let tail = store.tail(conv(1), 3.into()).await.unwrap();
    assert_eq!(keys(&tail), [(3, 2), (3, 1), (2, 2)]);
    let before = store.range(conv(1), Range::Before(3), 9.into()).await.unwrap();
    assert_eq!(keys(&before), [(2, 2), (2, 1), (1, 2), (1, 1)]);
    let after = store.range(conv(1), Range::After(1), 9.into()).await.unwrap();
    assert_eq!(keys(&after), [(2, 1), (2, 2), (3, 1), (3, 2)]);
}

pub async fn an_ascending_page_ends_with_the_highest_epoch_of_its_last_seq<S: Subject>(
    mut subject: S,
) {
    for _ in 0..2 {
        write_here(&subject.store(), append(1, 1..=3, subject.epoch())).await;
        subject.restart().await;
    }
    let store = subject.store();
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

pub async fn a_page_ends_with_the_row_that_reaches_its_bytes<S: Subject>(subject: S) {
    let store = subject.store();
    write_here(&store, ten_of_a_hundred_bytes(subject.epoch())).await;
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

pub async fn a_page_says_whether_there_may_be_more<S: Subject>(subject: S) {
    let store = subject.store();
    write_here(&store, ten_of_a_hundred_bytes(subject.epoch())).await;
    for (rows, bytes, ended) in
        [(10, 2_000, true), (11, 2_000, false), (11, 1_000, true), (11, 1_001, false)]
    {
        let limit = PageLimit { rows, bytes };
        assert_eq!(limit.ended(&store.tail(conv(1), limit).await.unwrap()), ended, "{limit:?}");
    }
}

pub async fn a_page_has_at_most_the_bytes_of_a_page_whatever_is_asked<S: Subject>(subject: S) {
    let store = subject.store();
    let body = Bytes::from(vec![b'x'; limits::APPEND_BYTES_MAX]);
    let fit = limits::PAGE_BYTES_MAX.div_ceil(body.len());
    for seq in 1..=fit as u64 + 1 {
        let rows = vec![Row { body: body.clone(), ..row(seq, subject.epoch()) }];
        write_here(&store, Append { conv: conv(1), epoch: subject.epoch(), rows, dirty: None })
            .await;
    }
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    assert_eq!(store.tail(conv(1), limit).await.unwrap().len(), fit);
}

pub async fn a_page_has_at_most_its_limit_of_rows<S: Subject>(subject: S) {
    let store = subject.store();
    let last = limits::PAGE_ROWS_MAX as u64 + 1;
    write_here(&store, append(1, 1..=last, subject.epoch())).await;
    for (asked, given) in [
        (limits::PAGE_ROWS_MAX - 1, limits::PAGE_ROWS_MAX - 1),
        (limits::PAGE_ROWS_MAX, limits::PAGE_ROWS_MAX),
        (limits::PAGE_ROWS_MAX + 1, limits::PAGE_ROWS_MAX),
    ] {
        assert_eq!(store.tail(conv(1), asked.into()).await.unwrap().len(), given);
    }
}

pub async fn reads_from_many_tasks_all_end<S: Subject>(subject: S) {
    let store = subject.store();
    write_here(&store, append(1, 1..=3, subject.epoch())).await;
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
