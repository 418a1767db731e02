//! The trait's calls: writes go to the committer's queue, reads to blocking threads.

use super::queue::{JobKind, QueuedAppend};
use super::{Embedded, cells, reads};
use crate::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    OwnershipError, PageLimit, PartitionId, Projection, Range, Row, Store, StoreError, Tag,
    UserConvRow, UserId, Watermarks, limits,
};

impl Store for Embedded {
    fn log_id(&self) -> [u8; 16] {
        self.shared.log_id
    }

    async fn take(&self, _partition: PartitionId) -> Result<Epoch, OwnershipError> {
        self.shared.channel.failure.check()?;
        Ok(self.shared.epoch)
    }

    async fn fence(&self) -> FenceOutcome {
        match self.shared.channel.failure.get() {
            None => FenceOutcome::Held,
            Some(_) => FenceOutcome::Fenced,
        }
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        let queued = QueuedAppend { append, tag, outcomes: outcomes.clone() };
        self.shared.channel.queue.push_append(queued).map_err(|append| {
            self.shared.channel.counters.record_busy();
            Busy(append)
        })
    }

    async fn tail(&self, conv: ConvId, limit: PageLimit) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::tail(tables, conv, limit)).await
    }

    async fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: PageLimit,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::range(tables, conv, range, limit)).await
    }

    /// In jobs that each fit a commit: what one caller queues does not go before all appends.
    async fn project(&self, projections: Vec<Projection>) -> Result<(), StoreError> {
        let mut result = Ok(());
        for (projections, cells) in jobs(projections) {
            match self.job(JobKind::Project(projections), cells).await {
                Err(error @ StoreError::Corrupt(_)) => result = Err(error),
                other => other?,
            }
        }
        result
    }

    async fn conv(&self, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
        self.read(move |tables| reads::conv(tables, conv)).await
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.read(move |tables| reads::members(tables, conv, after, limit)).await
    }

    async fn member(&self, conv: ConvId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.read(move |tables| reads::member(tables, conv, user)).await
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Result<Vec<UserConvRow>, StoreError> {
        self.read(move |tables| reads::user_convs(tables, user, after, limit)).await
    }

    async fn user_conv(
        &self,
        user: UserId,
        conv: ConvId,
    ) -> Result<Option<UserConvRow>, StoreError> {
        self.read(move |tables| reads::user_conv(tables, user, conv)).await
    }

    async fn watermarks(
        &self,
        conv: ConvId,
        users: Vec<UserId>,
    ) -> Result<Vec<Watermarks>, StoreError> {
        self.read(move |tables| reads::watermarks(tables, conv, &users)).await
    }

    async fn open_windows(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let epoch = self.shared.epoch;
        self.read(move |tables| reads::open_windows(tables, partition, epoch)).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let epoch = self.shared.epoch;
        self.read(move |tables| reads::open_windows_all(tables, epoch, after, limit)).await
    }

    async fn moment(&self) -> Result<u64, StoreError> {
        self.read(reads::moment).await
    }

    async fn record_moment(&self, moment_ms: u64) -> Result<(), StoreError> {
        self.job(JobKind::RecordMoment(moment_ms), 1).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Result<(), StoreError> {
        self.job(JobKind::CloseWindow(window), 1).await
    }
}

/// Projections and the cells they write, parted into jobs: one at least.
fn jobs(projections: Vec<Projection>) -> Vec<(Vec<Projection>, usize)> {
    let mut jobs: Vec<(Vec<Projection>, usize)> = vec![(Vec::new(), 0)];
    for projection in projections {
        let cells = cells::count(&projection);
        match jobs.last_mut() {
            Some((job, count)) if job.is_empty() || *count + cells <= limits::COMMIT_CELLS => {
                job.push(projection);
                *count += cells;
            }
            _ => jobs.push((vec![projection], cells)),
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(users: usize) -> Projection {
        let users = vec![UserId([1; 16]); users].into();
        Projection::Touch { users, conv: ConvId([1; 16]), head_seq: 1, head_n: 1, head_at_ms: 1 }
    }

    #[test]
    fn a_job_has_the_cells_of_a_commit_and_not_one_more() {
        let sizes = |cells: &[usize]| {
            let jobs = jobs(cells.iter().map(|users| touch(*users)).collect());
            jobs.iter().map(|(job, cells)| (job.len(), *cells)).collect::<Vec<_>>()
        };
        let most = limits::COMMIT_CELLS;
        assert_eq!(sizes(&[most - 1, 1]), [(2, most)]);
        assert_eq!(sizes(&[most - 1, 2, 1]), [(1, most - 1), (2, 3)]);
        assert_eq!(sizes(&[most + 1, 1]), [(1, most + 1), (1, 1)]);
        assert_eq!(sizes(&[]), [(0, 0)]);
    }
}
