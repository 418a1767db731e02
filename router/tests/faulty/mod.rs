//! A store with faults, for tests.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use throng_router::{Config, Router};
use throng_store::embedded::{self, Embedded};
use throng_store::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    OwnershipError, PageLimit, PartitionId, Projection, Range, Row, Store, StoreError, Tag,
    UserConvRow, UserId, Watermarks,
};
use tokio::sync::watch;

use crate::edge::Edge;

/// A store with faults that are made when they are wanted.
#[derive(Clone)]
pub(crate) struct Faulty {
    store: Embedded,
    /// The log of this conversation cannot be read.
    pub(crate) corrupt: Arc<Mutex<Option<ConvId>>>,
    /// No projection is written any more.
    pub(crate) ended: Arc<AtomicBool>,
    /// While this is true, reads of lists wait.
    pub(crate) holds_lists: watch::Sender<bool>,
    /// Whose lists were read, in the order in which the reads began.
    pub(crate) lists_read: Arc<Mutex<Vec<UserId>>>,
}

impl Faulty {
    pub(crate) fn open(dir: &std::path::Path) -> Self {
        Self::over(Embedded::open(embedded::Config::new(dir)).unwrap())
    }

    /// Without a fault so far.
    pub(crate) fn over(store: Embedded) -> Self {
        Self {
            store,
            corrupt: Arc::default(),
            ended: Arc::default(),
            holds_lists: watch::Sender::new(false),
            lists_read: Arc::default(),
        }
    }

    pub(crate) async fn start(&self) -> Router {
        let config = Config { workers: 2, ..Config::default() };
        Router::start(config, self.clone()).await.unwrap()
    }

    /// A router, and an edge at which alice has a session, 1.
    pub(crate) async fn start_with_alice(&self) -> (Router, Edge) {
        let router = self.start().await;
        let mut edge = Edge::connect(&router).await;
        edge.register(1, "alice", "phone", "").await;
        (router, edge)
    }
}

impl Store for Faulty {
    fn log_id(&self) -> [u8; 16] {
        self.store.log_id()
    }

    async fn take(&self, partition: PartitionId) -> Result<Epoch, OwnershipError> {
        self.store.take(partition).await
    }

    async fn fence(&self) -> FenceOutcome {
        self.store.fence().await
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        self.store.append(append, tag, outcomes)
    }

    async fn tail(&self, conv: ConvId, limit: PageLimit) -> Result<Vec<Row>, StoreError> {
        if *self.corrupt.lock().unwrap() == Some(conv) {
            return Err(StoreError::Corrupt("a row".to_owned()));
        }
        self.store.tail(conv, limit).await
    }

    async fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: PageLimit,
    ) -> Result<Vec<Row>, StoreError> {
        self.store.range(conv, range, limit).await
    }

    async fn project(&self, projections: Vec<Projection>) -> Result<(), StoreError> {
        if self.ended.load(Relaxed) {
            return Err(StoreError::Fatal("no disk".to_owned()));
        }
        self.store.project(projections).await
    }

    async fn conv(&self, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
        self.store.conv(conv).await
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.store.members(conv, after, limit).await
    }

    async fn member(&self, conv: ConvId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.store.member(conv, user).await
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Result<Vec<UserConvRow>, StoreError> {
        self.lists_read.lock().unwrap().push(user);
        let _ = self.holds_lists.subscribe().wait_for(|holds| !holds).await;
        self.store.user_convs(user, after, limit).await
    }

    async fn user_conv(
        &self,
        user: UserId,
        conv: ConvId,
    ) -> Result<Option<UserConvRow>, StoreError> {
        self.store.user_conv(user, conv).await
    }

    async fn watermarks(
        &self,
        conv: ConvId,
        users: Vec<UserId>,
    ) -> Result<Vec<Watermarks>, StoreError> {
        self.store.watermarks(conv, users).await
    }

    async fn open_windows(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        self.store.open_windows(partition).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        self.store.open_windows_all(after, limit).await
    }

    async fn moment(&self) -> Result<u64, StoreError> {
        self.store.moment().await
    }

    async fn record_moment(&self, moment_ms: u64) -> Result<(), StoreError> {
        self.store.record_moment(moment_ms).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Result<(), StoreError> {
        self.store.close_window(window).await
    }
}
