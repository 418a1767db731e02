//! Keyspaces on the cluster that `tests/cassandra/run` started for the tests, and its processes.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

use std::time::{SystemTime, UNIX_EPOCH};

use throng_store::cql::{self, Config, Cql, Replication};
use tokio::sync::OnceCell;

#[derive(Clone, Debug)]
pub struct Keyspace {
    pub config: Config,
}

pub fn variable(name: &str) -> String {
    let missing = |_| panic!("{name} is not set: tests/cassandra/run starts a cluster and sets it");
    std::env::var(name).unwrap_or_else(missing)
}

fn nodes() -> Vec<String> {
    variable("THRONG_CASSANDRA").split(',').map(str::to_owned).collect()
}

/// A copy on every node.
pub fn replication() -> Replication {
    Replication { data_center: "datacenter1".into(), copies: nodes().len() as u32 }
}

impl Keyspace {
    /// A name that no keyspace has yet.
    pub fn named(name: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let mut config = Config::new(nodes(), format!("t_{name}_{:x}", now & 0xffff_ffff));
        config.data_center = Some("datacenter1".into());
        Self { config }
    }

    /// A keyspace with the present schema.
    pub async fn create(name: &str) -> Self {
        let keyspace = Self::named(name);
        cql::apply_schema(&keyspace.config, &replication()).await.unwrap();
        keyspace
    }

    /// The keyspace that tests of one file share.
    pub async fn shared() -> Self {
        static SHARED: OnceCell<Keyspace> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::create("shared")).await.clone()
    }

    pub async fn open(&self) -> Cql {
        Cql::open(&self.config).await.unwrap()
    }
}

/// A node that is stopped as long as this lives.
pub struct Stopped {
    pid: rustix::process::Pid,
}

impl Stopped {
    /// Stops the first node.
    pub fn first_node() -> Self {
        let pids = variable("THRONG_CASSANDRA_PIDS");
        let pid = pids.split(',').next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        Self { pid }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::CONT);
    }
}
