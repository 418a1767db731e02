//! Counts that a metrics page or a benchmark reads while the store works.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets of a histogram: upper bounds 1, 2, 4 … 2^22, then everything above.
pub const BUCKETS: usize = 24;

/// Counts of values by powers of two.
#[derive(Debug, Default)]
pub(super) struct Counts {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Counts {
    pub(super) fn record(&self, value: u64) {
        self.buckets[bucket(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn read(&self) -> Histogram {
        Histogram {
            buckets: self.buckets.each_ref().map(|count| count.load(Relaxed)),
            sum: self.sum.load(Relaxed),
        }
    }
}

/// The first bucket whose bound is not below the value.
fn bucket(value: u64) -> usize {
    let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

/// A copy of a histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Values in each bucket, not cumulative; bounds in [`Histogram::bound`].
    pub buckets: [u64; BUCKETS],
    /// All values together.
    pub sum: u64,
}

impl Histogram {
    /// The largest value that a bucket counts; `None` for the last, which has no bound.
    #[must_use]
    pub fn bound(bucket: usize) -> Option<u64> {
        (bucket + 1 < BUCKETS).then(|| 1 << bucket)
    }

    /// Values counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// What the committer did since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commit_appends: Counts,
    pub(super) commit_rows: Counts,
    pub(super) commit_us: Counts,
    pub(super) project_cells: Counts,
    busy: AtomicU64,
}

impl Counters {
    pub(super) fn record_commit(&self, appends: usize, rows: usize, took: Duration) {
        self.commit_appends.record(appends as u64);
        self.commit_rows.record(rows as u64);
        self.commit_us.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn record_busy(&self) {
        self.busy.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Stats {
        Stats {
            commit_appends: self.commit_appends.read(),
            commit_rows: self.commit_rows.read(),
            commit_us: self.commit_us.read(),
            project_cells: self.project_cells.read(),
            busy: self.busy.load(Relaxed),
        }
    }
}

/// A copy of the store's counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Appends in each commit: the batch sizes that the load led to.
    pub commit_appends: Histogram,
    /// Rows in each commit.
    pub commit_rows: Histogram,
    /// Microseconds that each commit of appends took, its sync included.
    pub commit_us: Histogram,
    /// Cells that each batch of projections changed.
    pub project_cells: Histogram,
    /// Appends refused because the queue was full.
    pub busy: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_is_in_its_bucket_and_one_above_in_the_next() {
        for index in 1..BUCKETS - 1 {
            let bound = Histogram::bound(index).unwrap();
            assert_eq!((bucket(bound), bucket(bound + 1)), (index, index + 1));
        }
        assert_eq!((bucket(0), bucket(1), bucket(u64::MAX)), (0, 0, BUCKETS - 1));
    }
}
