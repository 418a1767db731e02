//! A store on a real cluster does what every store does.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;
mod conformance;
mod fixture;

use std::sync::atomic::{AtomicU64, Ordering};

use cluster::Keyspace;
use conformance::Subject;
use throng_store::cql::Cql;
use throng_store::{Epoch, Ownership, RouterId, Store};

/// Partitions that a test of windows writes to.
const PARTITIONS: [u16; 6] = [0, 3, 4, 5, 7, 16_383];

struct Registered {
    router: RouterId,
    store: Cql,
    runs: Epoch,
    owns: bool,
}

impl Registered {
    async fn begin(router: RouterId, owns: bool, keyspace: Keyspace) -> Self {
        let store = keyspace.open().await.register(router, "127.0.0.1:1").await.unwrap();
        let mut registered = Self { router, store, runs: 0, owns };
        registered.take().await;
        registered
    }

    async fn take(&mut self) {
        self.runs += 1;
        if self.owns {
            for (_, epoch) in self.store.take_many(PARTITIONS.into()).await {
                assert_eq!(epoch, Ok(self.runs));
            }
        }
    }
}

impl Subject for Registered {
    type Store = Cql;

    fn store(&self) -> Cql {
        self.store.clone()
    }

    fn epoch(&self) -> Epoch {
        self.runs
    }

    async fn restart(&mut self) {
        self.store = self.store.register(self.router, "127.0.0.1:1").await.unwrap();
        self.take().await;
    }
}

/// A subject in the keyspace that the tests share, with ids of its own.
async fn sharing() -> Registered {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    fixture::change_ids(number);
    Registered::begin(RouterId(number as u32), false, Keyspace::shared().await).await
}

/// A subject in a keyspace of its own, which owns partitions.
async fn alone() -> Registered {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let name = format!("own{}", LAST.fetch_add(1, Ordering::Relaxed));
    Registered::begin(RouterId(1), true, Keyspace::create(&name).await).await
}

reads_conform! { super::sharing(), [ignore = "needs a cluster: tests/run cassandra"] }
projections_conform! { super::sharing(), [ignore = "needs a cluster: tests/run cassandra"] }

windows_conform! { super::alone(), [ignore = "needs a cluster: tests/run cassandra"] }

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn the_recorded_moment_only_grows() {
    let subject = alone().await;
    let store = subject.store();
    let mut expected = 0;
    for recorded in [5, 4, 6, 1 << 60, 7] {
        assert_eq!(store.moment().await.unwrap(), expected);
        store.record_moment(recorded).await.unwrap();
        expected = expected.max(recorded);
        assert_eq!(store.moment().await.unwrap(), expected);
    }
}
