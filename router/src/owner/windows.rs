//! Dirty windows: spans of time in which a partition had appends whose after-work may be undone.
//!
//! The first append of a conversation in a window names the window, durably with the rows. Once the
//! window is over and all after-work of its appends is done it is closed; whoever owns the
//! partition next does the after-work of the windows that were not closed again.

use std::collections::BTreeMap;

use throng_store::{DirtyWindow, Epoch, PartitionId};

use crate::limits::WINDOW_MS;

/// Open windows of all partitions.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Per partition: its term, and the appends in each window whose after-work is not done.
    open: BTreeMap<PartitionId, (Epoch, BTreeMap<u32, u32>)>,
}

/// The window of a moment.
pub(crate) fn window_at(mono_ms: u64) -> u32 {
    u32::try_from(mono_ms / WINDOW_MS).unwrap_or(u32::MAX)
}

impl Windows {
    /// An append begins.
    pub(crate) fn begin(&mut self, partition: PartitionId, epoch: Epoch, mono_ms: u64) -> u32 {
        let window = window_at(mono_ms);
        let (_, windows) = self.open.entry(partition).or_insert((epoch, BTreeMap::new()));
        *windows.entry(window).or_insert(0) += 1;
        window
    }

    /// The after-work of an append is done.
    pub(crate) fn done(&mut self, partition: PartitionId, window: u32) {
        if let Some((_, windows)) = self.open.get_mut(&partition)
            && let Some(appends) = windows.get_mut(&window)
        {
            *appends = appends.saturating_sub(1);
        }
    }

    /// Takes the windows that can be closed: all that are over, or every one when `all`.
    pub(crate) fn close(&mut self, mono_ms: u64, all: bool) -> Vec<DirtyWindow> {
        let now = window_at(mono_ms);
        let mut closed = Vec::new();
        self.open.retain(|partition, (epoch, windows)| {
            windows.retain(|window, appends| {
                let closes = *appends == 0 && (all || *window < now);
                if closes {
                    let (partition, epoch, window) = (*partition, *epoch, *window);
                    closed.push(DirtyWindow { partition, epoch, window });
                }
                !closes
            });
            !windows.is_empty()
        });
        closed
    }

    /// The partition is not ours any more: its windows stay open for the next owner.
    pub(crate) fn lose(&mut self, partition: PartitionId) {
        self.open.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_when_it_is_over_and_its_work_is_done() {
        let mut windows = Windows::default();
        let first = windows.begin(3, 1, WINDOW_MS - 1);
        assert_eq!(first, 0);
        windows.done(3, first);
        assert_eq!(windows.close(WINDOW_MS - 1, false), []);
        let closed = DirtyWindow { partition: 3, epoch: 1, window: 0 };
        assert_eq!(windows.close(WINDOW_MS, false), [closed]);
        assert_eq!(windows.close(WINDOW_MS, false), []);
    }

    #[test]
    fn undone_work_keeps_a_window_open() {
        let mut windows = Windows::default();
        windows.begin(3, 1, 0);
        windows.begin(3, 1, 0);
        windows.done(3, 0);
        assert_eq!(windows.close(10 * WINDOW_MS, false), []);
        windows.done(3, 0);
        assert_eq!(windows.close(10 * WINDOW_MS, false).len(), 1);
    }

    #[test]
    fn a_lost_partition_leaves_its_windows_to_the_next_owner() {
        let mut windows = Windows::default();
        windows.begin(3, 1, 0);
        windows.done(3, 0);
        windows.lose(3);
        assert_eq!(windows.close(10 * WINDOW_MS, false), []);
    }
}
