//! A store on ScyllaDB or Apache Cassandra, which several routers share.
//!
//! It owns a connection to the cluster (`session`, `client`), the tables (`schema`, `statements`)
//! and, for each registered handle, the appends under way (`appends`) and the open windows
//! (`windows`).
//!
//! Order of calls: [`apply_schema`] once for each version, by an operator's command; then
//! [`Cql::open`], which changes nothing; [`crate::Ownership::register`] for a handle that can own
//! partitions. A handle that was not registered reads, and fences nobody.
//!
//! Consistency: everything that is acknowledged, and every read of the log, is at `LOCAL_QUORUM`;
//! conditional writes at `LOCAL_SERIAL`. Nothing rests on the atomicity of a batch, on read repair,
//! on hints or on a clock.
//!
//! What a failure means: requests that may be repeated are, a few times; then a read is
//! [`crate::StoreError::Unavailable`] and an append [`crate::AppendOutcome::Unknown`], also when
//! every replica was down: whoever appended retries the same rows, or loses the partition. A store
//! that is away does not end the process.

mod appends;
mod client;
mod config;
mod lists;
mod log;
mod ownership;
mod projections;
mod schema;
mod session;
mod statements;
mod store;
mod taking;
mod values;
mod windows;

pub use config::{Config, Credentials, OpenError, Tls};
pub use schema::{Differences, Replication, VERSION as SCHEMA_VERSION, apply as apply_schema};

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::StoreError;
use appends::Appends;
use client::Client;
use ownership::Identity;
use windows::Windows;

/// A handle to a shared store. Clones are the same incarnation.
#[derive(Clone)]
pub struct Cql {
    shared: Arc<Shared>,
    registered: Option<Arc<Registered>>,
}

/// What all handles of one [`Cql::open`] share.
struct Shared {
    client: Arc<Client>,
    log_id: [u8; 16],
    runtime: Handle,
}

/// What makes a handle an incarnation.
struct Registered {
    identity: Identity,
    windows: Arc<Windows>,
    appends: Arc<Appends>,
}

impl Cql {
    /// Connects, and looks whether the schema is what this version uses. Appends run on the present
    /// tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is ever changed; there is no second attempt.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let (client, log_id) = client::open(config).await?;
        let (client, runtime) = (Arc::new(client), Handle::current());
        Ok(Self { shared: Arc::new(Shared { client, log_id, runtime }), registered: None })
    }

    fn client(&self) -> &Client {
        &self.shared.client
    }

    fn registered(&self) -> Result<&Registered, StoreError> {
        let unregistered = || StoreError::Fatal("this handle is not registered".into());
        self.registered.as_deref().ok_or_else(unregistered)
    }
}

impl fmt::Debug for Cql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incarnation = self.registered.as_ref().map(|it| it.identity.incarnation);
        f.debug_struct("Cql").field("incarnation", &incarnation).finish_non_exhaustive()
    }
}
