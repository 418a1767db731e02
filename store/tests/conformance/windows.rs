//! Dirty windows name every conversation written in a window that was never closed.

use crate::conformance::Subject;
use crate::fixture::{append, conv, window, write_here};
use throng_store::{Append, Store};

/// Appends one row to each conversation in the window.
async fn dirty<S: Subject>(subject: &S, partition: u16, number: u32, conversations: &[u64]) {
    let dirty = Some(window(partition, subject.epoch(), number));
    for index in conversations {
        let append = Append { dirty, ..append(*index, 1..=1, subject.epoch()) };
        write_here(&subject.store(), append).await;
    }
}

pub async fn windows_of_earlier_runs_are_open_and_those_of_this_one_are_not_listed<S: Subject>(
    mut subject: S,
) {
    dirty(&subject, 3, 1, &[1, 2]).await;
    dirty(&subject, 3, 2, &[2]).await;
    dirty(&subject, 4, 1, &[9]).await;
    assert!(subject.store().open_windows(3).await.unwrap().is_empty());
    assert!(subject.store().open_windows_all(None, 9).await.unwrap().is_empty());

    subject.restart().await;
    dirty(&subject, 3, 1, &[5]).await;
    let (first, second) = (window(3, 1, 1), window(3, 1, 2));
    let third = [(first, conv(1)), (first, conv(2)), (second, conv(2))];
    let store = subject.store();
    assert_eq!(store.open_windows(3).await.unwrap(), third);
    assert_eq!(store.open_windows(4).await.unwrap(), [(window(4, 1, 1), conv(9))]);
    assert!(store.open_windows(5).await.unwrap().is_empty());
}

pub async fn a_closed_window_is_gone_for_good_and_its_neighbours_stay<S: Subject>(mut subject: S) {
    dirty(&subject, 3, 1, &[1]).await;
    dirty(&subject, 3, 2, &[2, 3]).await;
    dirty(&subject, 3, 3, &[4]).await;
    subject.store().close_window(window(3, subject.epoch(), 2)).await.unwrap();
    subject.store().close_window(window(3, subject.epoch(), 7)).await.unwrap();
    subject.restart().await;
    let open = [(window(3, 1, 1), conv(1)), (window(3, 1, 3), conv(4))];
    assert_eq!(subject.store().open_windows(3).await.unwrap(), open);
    // Now by a later run.
    for (window, _) in open {
        subject.store().close_window(window).await.unwrap();
    }
    subject.restart().await;
    assert!(subject.store().open_windows(3).await.unwrap().is_empty());
}

pub async fn pages_over_all_partitions_meet_without_a_gap_or_a_repeat<S: Subject>(mut subject: S) {
    for partition in [0, 7, 16_383] {
        dirty(&subject, partition, 1, &[1, 2, 3]).await;
    }
    subject.restart().await;
    let store = subject.store();
    let all = store.open_windows_all(None, 100).await.unwrap();
    assert_eq!(all.len(), 9);
    let mut paged = Vec::new();
    loop {
        let page = store.open_windows_all(paged.last().copied(), 2).await.unwrap();
        let last = page.len() < 2;
        paged.extend(page);
        if last {
            break;
        }
    }
    assert_eq!(paged, all);
}
