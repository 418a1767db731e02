//! The schema is made by a command and checked by every start, which changes nothing.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;

use cluster::{Keyspace, replication};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use throng_store::Store;
use throng_store::cql::{self, Cql, OpenError};

async fn operator(keyspace: &Keyspace) -> Session {
    SessionBuilder::new().known_nodes(&keyspace.config.nodes).build().await.unwrap()
}

async fn refusal(keyspace: &Keyspace) -> String {
    match Cql::open(&keyspace.config).await {
        Err(error @ OpenError::Schema(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_start_says_what_is_missing_and_what_to_run() {
    let keyspace = Keyspace::named("missing");
    let told = refusal(&keyspace).await;
    assert!(told.contains("there is no such keyspace"), "{told}");
    assert!(told.ends_with("Run: throng-router schema --apply"), "{told}");

    let done = cql::apply_schema(&keyspace.config, &replication()).await.unwrap();
    assert!(done[0].starts_with("CREATE KEYSPACE"), "{done:?}");
    let log_id = keyspace.open().await.log_id();
    // Once more changes nothing.
    let done = cql::apply_schema(&keyspace.config, &replication()).await.unwrap();
    assert!(done.is_empty(), "{done:?}");
    assert_eq!(keyspace.open().await.log_id(), log_id);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn what_is_missing_is_added_and_what_is_other_is_left_alone() {
    let keyspace = Keyspace::create("differs").await;
    let (name, operator) = (&keyspace.config.keyspace, operator(&keyspace).await);
    let run = async |text: String| drop(operator.query_unpaged(text, &[]).await.unwrap());
    run(format!("DROP TABLE {name}.dirty")).await;
    run(format!("ALTER TABLE {name}.conv DROP history_all")).await;
    let told = refusal(&keyspace).await;
    assert!(
        told.contains("table conv has no column history_all; there is no table dirty"),
        "{told}"
    );
    cql::apply_schema(&keyspace.config, &replication()).await.unwrap();
    keyspace.open().await;

    run(format!("DROP TABLE {name}.windows")).await;
    run(format!("CREATE TABLE {name}.windows (slice int PRIMARY KEY, open blob)")).await;
    let told = refusal(&keyspace).await;
    assert!(told.contains("table windows has no key partition"), "{told}");
    assert!(!told.contains("--apply"), "{told}");
    let refused = cql::apply_schema(&keyspace.config, &replication()).await;
    assert!(matches!(refused, Err(OpenError::Schema(_))), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn an_interrupted_change_is_no_schema() {
    let keyspace = Keyspace::create("interrupted").await;
    let (name, operator) = (&keyspace.config.keyspace, operator(&keyspace).await);
    let text = format!("DELETE number FROM {name}.meta USING TIMESTAMP 1 WHERE name = 'schema'");
    operator.query_unpaged(text, &[]).await.unwrap();
    let told = refusal(&keyspace).await;
    assert!(told.contains("the last change of it was not finished"), "{told}");
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_store_that_is_not_there_is_named() {
    let mut keyspace = Keyspace::named("nowhere");
    keyspace.config.nodes = vec!["127.0.0.1:1".into()];
    match Cql::open(&keyspace.config).await {
        Err(OpenError::Unreachable { nodes, .. }) => assert_eq!(nodes, "127.0.0.1:1"),
        other => panic!("{other:?}"),
    }
}
