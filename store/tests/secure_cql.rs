//! A cluster that asks for TLS and a password is reached with both, and not without either.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;

use std::time::Duration;

use cluster::{Keyspace, replication, variable};
use throng_store::Store;
use throng_store::cql::{self, Config, Cql, Credentials, OpenError, Tls};

fn secure(mut config: Config) -> Config {
    let (user, password) = ("cassandra".to_owned(), "cassandra".to_owned());
    config.credentials = Some(Credentials { user, password });
    config.tls = Some(Tls { authorities: variable("THRONG_CASSANDRA_AUTHORITIES").into() });
    config
}

/// A node takes clients a moment before it knows their passwords.
async fn apply(config: &Config) {
    for _ in 0..60 {
        if cql::apply_schema(config, &replication()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    cql::apply_schema(config, &replication()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn tls_and_a_password_open_the_store_and_nothing_less_does() {
    let bare = Keyspace::named("secure").config;
    let config = secure(bare.clone());
    apply(&config).await;
    assert_eq!(Cql::open(&config).await.unwrap().moment().await.unwrap(), 0);

    let mut wrong_password = config.clone();
    wrong_password.credentials.as_mut().unwrap().password.push('x');
    let mut no_password = config.clone();
    no_password.credentials = None;
    let mut no_tls = config.clone();
    no_tls.tls = None;
    for refused in [wrong_password, no_password, no_tls] {
        let opened = Cql::open(&refused).await;
        assert!(matches!(opened, Err(OpenError::Unreachable { .. })), "{refused:?}: {opened:?}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_node_of_another_authority_is_not_believed() {
    let config = secure(Keyspace::named("stranger").config);
    apply(&config).await;
    // A name is looked up, and the certificate is held to the address.
    let mut by_name = config.clone();
    by_name.nodes = config.nodes.iter().map(|it| it.replace("127.0.0.1", "localhost")).collect();
    Cql::open(&by_name).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"])
        .args(["-subj", "/CN=other", "-keyout"])
        .arg(dir.path().join("other.key"))
        .arg("-out")
        .arg(&other)
        .output()
        .unwrap();
    assert!(made.status.success());
    let mut stranger = config.clone();
    stranger.tls = Some(Tls { authorities: other });
    let opened = Cql::open(&stranger).await;
    assert!(matches!(opened, Err(OpenError::Unreachable { .. })), "{opened:?}");
    stranger.tls = Some(Tls { authorities: dir.path().join("missing.pem") });
    let opened = Cql::open(&stranger).await;
    assert!(matches!(opened, Err(OpenError::Authorities { .. })), "{opened:?}");
}
