//! I7: what the store cannot do harms what it cannot do, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::{Edge, send, send_to, uuid_v7};
use throng_router::{Config, Router};
use throng_store::embedded::{self, Embedded};
use throng_store::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow, Outcomes,
    OwnershipError, PageLimit, PartitionId, Projection, Range, Row, Store, StoreError, Tag,
    UserConvRow, UserId, Watermarks,
};
use throng_wire::{id, v1};

/// A store with faults that are made when they are wanted.
#[derive(Clone)]
struct Faulty {
    store: Embedded,
    /// The log of this conversation cannot be read.
    corrupt: Arc<Mutex<Option<ConvId>>>,
    /// No projection is written any more.
    ended: Arc<AtomicBool>,
}

impl Faulty {
    fn open(dir: &std::path::Path) -> Self {
        let store = Embedded::open(embedded::Config::new(dir)).unwrap();
        Self { store, corrupt: Arc::default(), ended: Arc::default() }
    }

    async fn start(&self) -> Router {
        let config = Config { workers: 2, ..Config::default() };
        Router::start(config, self.clone()).await.unwrap()
    }

    /// A router, and an edge at which alice has a session, 1.
    async fn start_with_alice(&self) -> (Router, Edge) {
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

fn failed_recoveries(router: &Router) -> f64 {
    let metrics = router.metrics();
    metrics.iter().find(|metric| metric.name == "router_recoveries_failed").unwrap().value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    let mut convs = Vec::new();
    for (number, peer) in ["bob", "carol"].into_iter().enumerate() {
        let ack = edge.ack(1, "alice", send_to(peer, &uuid_v7(number as u8), "hi")).await;
        convs.push(ack.conv.to_string());
    }
    router.shutdown().await;
    *store.corrupt.lock().unwrap() = id::parse(&convs[0]).map(ConvId);
    let (router, mut edge) = store.start_with_alice().await;
    let v1::Body::Error(error) = edge.ask(1, "alice", send(&convs[0], &uuid_v7(7), "hi")).await
    else {
        panic!("it is not read")
    };
    assert_eq!(error.code, "unavailable");
    assert_eq!(edge.ack(1, "alice", send(&convs[1], &uuid_v7(8), "hi")).await.seq, 3);
    assert!(failed_recoveries(&router).abs() < 0.5);
    router.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_whose_store_can_write_no_more_does_not_wait_for_it_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    store.ended.store(true, Relaxed);
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    assert_eq!(ack.seq, 2);
    drop(edge);
    let half = Duration::from_millis(throng_router::limits::STOP_MS / 2);
    tokio::time::timeout(half, router.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_a_start_could_not_bring_up_to_date_are_counted_and_done_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::open(dir.path());
    let (router, mut edge) = store.start_with_alice().await;
    store.ended.store(true, Relaxed);
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    let conv = id::parse(&ack.conv).map(ConvId);
    drop(edge);
    router.shutdown().await;
    drop((router, store));
    for (corrupt, failed) in [(conv, 1.0), (None, 0.0)] {
        // The router's tasks may still hold the directory for a moment.
        let store = loop {
            match Embedded::open(embedded::Config::new(dir.path())) {
                Ok(store) => break store,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let corrupt = Arc::new(Mutex::new(corrupt));
        let store = Faulty { store, corrupt, ended: Arc::default() };
        let router = store.start().await;
        assert!((failed_recoveries(&router) - failed).abs() < 0.5);
        router.shutdown().await;
    }
}
