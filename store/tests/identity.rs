//! What rises from run to run: epochs, and the recorded moment. The log keeps its identity as long
//! as nothing that was acknowledged can be missing.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod fixture;

use std::path::Path;
use std::time::Duration;

use fixture::open;
use throng_store::embedded::{Config, Durability, Embedded};
use throng_store::{FenceOutcome, Store};

fn open_with(dir: &Path, durability: Durability) -> Embedded {
    Embedded::open(Config { durability, ..Config::new(dir) }).unwrap()
}

#[tokio::test]
async fn every_run_has_a_higher_epoch_and_owns_every_partition_with_it() {
    let dir = tempfile::tempdir().unwrap();
    for run in 1..4 {
        let store = open(dir.path());
        assert_eq!(store.epoch(), run);
        for partition in [0, 16_383] {
            assert_eq!(store.take(partition).await.unwrap(), run);
        }
        assert_eq!(store.fence().await, FenceOutcome::Held);
    }
}

#[test]
fn two_logs_have_different_identities() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    assert_ne!(open(dirs[0].path()).log_id(), open(dirs[1].path()).log_id());
}

#[test]
fn a_graceful_stop_keeps_the_identity_whatever_the_durability() {
    let dir = tempfile::tempdir().unwrap();
    let log_id = open(dir.path()).log_id();
    let interval = Durability::Interval(Duration::from_millis(50));
    for durability in [Durability::Os, interval, Durability::Sync, Durability::Os] {
        assert_eq!(open_with(dir.path(), durability).log_id(), log_id, "{durability:?}");
    }
}

#[test]
fn a_restored_copy_gets_a_new_identity_once() {
    let dir = tempfile::tempdir().unwrap();
    let log_id = open(dir.path()).log_id();
    let config = Config { restored: true, ..Config::new(dir.path()) };
    let restored = Embedded::open(config).unwrap().log_id();
    assert_ne!(restored, log_id);
    assert_eq!(open(dir.path()).log_id(), restored);
}

#[tokio::test]
async fn the_recorded_moment_only_grows_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for recorded in [5, 4, 6, u64::MAX, 7] {
        let store = open(dir.path());
        assert_eq!(store.moment().await.unwrap(), expected);
        store.record_moment(recorded).await.unwrap();
        expected = expected.max(recorded);
        assert_eq!(store.moment().await.unwrap(), expected);
    }
}
