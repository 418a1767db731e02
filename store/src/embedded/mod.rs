//! The embedded engine (fjall).

mod config;

pub use config::{Config, Durability, OpenError};

use crate::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    PartitionId, Projection, Range, Row, Store, StoreError, Tag, UserConvRow, UserId,
};

/// The store of one process.
#[derive(Clone, Debug)]
pub struct Embedded {
    log_id: [u8; 16],
}

impl Embedded {
    /// Opens or creates the store.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(_config: Config) -> Result<Self, OpenError> {
        Ok(Self { log_id: [0; 16] })
    }

    /// Resolves when the store can write no more: the process must stop with the I/O exit code.
    pub async fn failed(&self) -> String {
        std::future::pending().await
    }

    /// Writes and syncs what is queued, and marks a clean shutdown.
    ///
    /// # Errors
    /// [`StoreError::Fatal`] if the data could not be synced.
    pub async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn later<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not yet".into()))
}

impl Store for Embedded {
    fn log_id(&self) -> [u8; 16] {
        self.log_id
    }
    async fn take(&self, _partition: PartitionId) -> Result<Epoch, StoreError> {
        later()
    }
    async fn fence(&self) -> FenceOutcome {
        FenceOutcome::Held
    }
    fn append(&self, append: Append, _tag: Tag, _outcomes: &Outcomes) -> Result<(), Busy> {
        Err(Busy(append))
    }
    async fn tail(&self, _conv: ConvId, _limit: usize) -> Result<Vec<Row>, StoreError> {
        later()
    }
    async fn range(&self, _c: ConvId, _r: Range, _limit: usize) -> Result<Vec<Row>, StoreError> {
        later()
    }
    async fn project(&self, _projections: Vec<Projection>) -> Result<(), StoreError> {
        later()
    }
    async fn conv(&self, _conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
        later()
    }
    async fn members(
        &self,
        _conv: ConvId,
        _after: Option<UserId>,
        _limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        later()
    }
    async fn user_convs(
        &self,
        _user: UserId,
        _after: Option<ConvId>,
        _limit: usize,
    ) -> Result<Vec<UserConvRow>, StoreError> {
        later()
    }
    async fn user_conv(&self, _u: UserId, _c: ConvId) -> Result<Option<UserConvRow>, StoreError> {
        later()
    }
    async fn open_windows(
        &self,
        _partition: PartitionId,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        later()
    }
    async fn open_windows_all(
        &self,
        _after: Option<(DirtyWindow, ConvId)>,
        _limit: usize,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        later()
    }
    async fn close_window(&self, _window: DirtyWindow) -> Result<(), StoreError> {
        later()
    }
}
