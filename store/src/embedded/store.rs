//! The trait's calls: writes go to the committer's queue, reads to blocking threads.

use super::queue::{JobKind, QueuedAppend};
use super::{Embedded, cells, reads};
use crate::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    PartitionId, Projection, Range, Row, Store, StoreError, Tag, UserConvRow, UserId,
};

impl Store for Embedded {
    fn log_id(&self) -> [u8; 16] {
        self.shared.log_id
    }

    async fn take(&self, _partition: PartitionId) -> Result<Epoch, StoreError> {
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

    async fn tail(&self, conv: ConvId, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::tail(tables, conv, limit)).await
    }

    async fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(move |tables| reads::range(tables, conv, range, limit)).await
    }

    async fn project(&self, projections: Vec<Projection>) -> Result<(), StoreError> {
        let cells = projections.iter().map(cells::count).sum();
        self.job(JobKind::Project(projections), cells).await
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

    async fn close_window(&self, window: DirtyWindow) -> Result<(), StoreError> {
        self.job(JobKind::CloseWindow(window), 1).await
    }
}
