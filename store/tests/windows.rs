//! Dirty windows name every conversation written in a window that was never closed.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod fixture;

use fixture::{append, conv, open, window, write};
use throng_store::embedded::Embedded;
use throng_store::{Append, Store};

/// Appends one row to each conversation in the window.
fn dirty(store: &Embedded, partition: u16, number: u32, conversations: &[u64]) {
    let dirty = Some(window(partition, store.epoch(), number));
    for index in conversations {
        write(store, Append { dirty, ..append(*index, 1..=1, store.epoch()) });
    }
}

#[tokio::test]
async fn windows_of_earlier_runs_are_open_and_those_of_this_one_are_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    dirty(&store, 3, 1, &[1, 2]);
    dirty(&store, 3, 2, &[2]);
    dirty(&store, 4, 1, &[9]);
    assert!(store.open_windows(3).await.unwrap().is_empty());
    assert!(store.open_windows_all(None, 9).await.unwrap().is_empty());
    drop(store);

    let store = open(dir.path());
    dirty(&store, 3, 1, &[5]);
    let (first, second) = (window(3, 1, 1), window(3, 1, 2));
    let third = [(first, conv(1)), (first, conv(2)), (second, conv(2))];
    assert_eq!(store.open_windows(3).await.unwrap(), third);
    assert_eq!(store.open_windows(4).await.unwrap(), [(window(4, 1, 1), conv(9))]);
    assert!(store.open_windows(5).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_window_is_gone_for_good_and_its_neighbours_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    dirty(&store, 3, 1, &[1]);
    dirty(&store, 3, 2, &[2, 3]);
    dirty(&store, 3, 3, &[4]);
    store.close_window(window(3, store.epoch(), 2)).await.unwrap();
    store.close_window(window(3, store.epoch(), 7)).await.unwrap();
    drop(store);
    let store = open(dir.path());
    let open = [(window(3, 1, 1), conv(1)), (window(3, 1, 3), conv(4))];
    assert_eq!(store.open_windows(3).await.unwrap(), open);
}

#[tokio::test]
async fn pages_over_all_partitions_meet_without_a_gap_or_a_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for partition in [0, 7, u16::MAX] {
        dirty(&store, partition, 1, &[1, 2, 3]);
    }
    drop(store);
    let store = open(dir.path());
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
