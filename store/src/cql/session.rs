//! The driver's session, how requests are made, and what their failures mean.
//!
//! The driver never retries: what a repetition means is known here. Every request that may be
//! repeated is ([`persist`]); conditional writes are made once, and whoever makes them reads what
//! became of them.

use std::fmt::Display;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session as Driver;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use thiserror::Error;
use tokio::time::sleep;
use tracing::debug;

use super::config::{Config, OpenError};
use crate::{StoreError, limits};

/// Why a request failed.
#[derive(Debug, Clone, Error)]
pub(super) enum Failure {
    /// It may have been done, wholly or partly, or may yet be.
    #[error("{0}")]
    Unknown(String),
    /// It was not done, as nobody could: it may be later.
    #[error("{0}")]
    Refused(String),
    /// It was not done, and will not be: the request is wrong, or not allowed.
    #[error("{0}")]
    Invalid(String),
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        let text = error.to_string();
        match error {
            ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => {
                Self::Refused(text)
            }
            ExecutionError::BadQuery(_) | ExecutionError::PrepareError(_) => Self::Invalid(text),
            ExecutionError::LastAttemptError(error) => of_attempt(&error, text),
            _ => Self::Unknown(text),
        }
    }
}

fn of_attempt(error: &RequestAttemptError, text: String) -> Failure {
    match error {
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_) => Failure::Invalid(text),
        RequestAttemptError::UnableToAllocStreamId => Failure::Refused(text),
        RequestAttemptError::DbError(error, _) => match error {
            DbError::Unavailable { .. } | DbError::IsBootstrapping => Failure::Refused(text),
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::Unauthorized
            | DbError::AuthenticationError
            | DbError::ConfigError
            | DbError::ProtocolError => Failure::Invalid(text),
            _ => Failure::Unknown(text),
        },
        _ => Failure::Unknown(text),
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string())
    }
}

/// How requests of each use are made.
pub(super) struct Profiles {
    /// What an acknowledgement waits for: rows, dirty windows, fence reads.
    pub(super) append: ExecutionProfileHandle,
    /// What a client waits for: the tail, pages of the log, lists. Asked of a second replica when
    /// the first is slow.
    pub(super) history: ExecutionProfileHandle,
    /// Projections and whatever else nobody waits for.
    pub(super) background: ExecutionProfileHandle,
    /// What happens when partitions change hands: conditional writes and serial reads.
    pub(super) takeover: ExecutionProfileHandle,
}

impl Profiles {
    pub(super) fn new(config: &Config) -> Self {
        let handle = |timeout, hedged| profile(config, timeout, hedged).into_handle();
        Self {
            append: handle(limits::APPEND_TIMEOUT, false),
            history: handle(limits::READ_TIMEOUT, true),
            background: handle(limits::TAKEOVER_TIMEOUT, false),
            takeover: handle(limits::TAKEOVER_TIMEOUT, false),
        }
    }
}

fn profile(config: &Config, timeout: Duration, hedged: bool) -> ExecutionProfile {
    let mut balancing = DefaultPolicy::builder();
    if let Some(data_center) = &config.data_center {
        balancing = balancing.prefer_datacenter(data_center.clone()).permit_dc_failover(false);
    }
    let hedge = SimpleSpeculativeExecutionPolicy {
        max_retry_count: 1,
        retry_interval: limits::HEDGE_DELAY,
    };
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(timeout))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(hedged.then(|| Arc::new(hedge) as Arc<_>))
        .load_balancing_policy(balancing.build())
        .build()
}

/// Connects to a store, whatever is in it.
pub(super) async fn connect(config: &Config) -> Result<Driver, OpenError> {
    if !is_keyspace(&config.keyspace) {
        return Err(OpenError::KeyspaceName(config.keyspace.clone()));
    }
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .connection_timeout(limits::CONNECT_TIMEOUT)
        .keepalive_interval(limits::KEEPALIVE)
        .keepalive_timeout(limits::KEEPALIVE)
        .schema_agreement_interval(Duration::from_millis(50))
        .fetch_schema_metadata(true)
        .keyspaces_to_fetch([config.keyspace.as_str()])
        .default_execution_profile_handle(
            profile(config, limits::TAKEOVER_TIMEOUT, false).into_handle(),
        );
    if let Some(data_center) = &config.data_center {
        builder = builder.prefer_datacenter(data_center.clone());
    }
    if let Some(credentials) = &config.credentials {
        builder = builder.user(&credentials.user, &credentials.password);
    }
    if let Some(tls) = &config.tls {
        builder = builder.tls_context(Some(tls.client_config()?));
    }
    builder.build().await.map_err(|error| OpenError::Unreachable {
        nodes: config.nodes.join(", "),
        reason: error.to_string(),
    })
}

/// Makes a request that may be repeated until it succeeds, is hopeless, or was tried often enough.
pub(super) async fn persist<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut pause = limits::CQL_RETRY_PAUSE;
    let mut unknown = false;
    for left in (0..limits::CQL_ATTEMPTS).rev() {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Failure::Invalid(text)) if !unknown => return Err(Failure::Invalid(text)),
            Err(failure) => {
                unknown |= matches!(failure, Failure::Unknown(_));
                if left == 0 {
                    let text = failure.to_string();
                    return Err(if unknown { Failure::Unknown(text) } else { failure });
                }
                debug!(%failure, "a request is made again");
            }
        }
        sleep(pause).await;
        pause *= 2;
    }
    Err(Failure::Refused("no attempt was made".into()))
}

/// An error of the store while it is opened.
pub(super) fn refused(error: impl Display) -> OpenError {
    OpenError::Refused(error.to_string())
}

pub(super) fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}

/// Names that need no quotes.
fn is_keyspace(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 48
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_is_a_plain_name_of_up_to_48_letters() {
        for (name, plain) in [
            ("throng", true),
            ("t1_x", true),
            ("", false),
            ("1t", false),
            ("Throng", false),
            ("throng; DROP", false),
        ] {
            assert_eq!(is_keyspace(name), plain, "{name}");
        }
        assert!(is_keyspace(&"x".repeat(48)) && !is_keyspace(&"x".repeat(49)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_may_have_worked_makes_the_whole_unknown() {
        let outcome = |failures: Vec<Failure>| async move {
            let mut failures = failures.into_iter();
            persist(|| std::future::ready(failures.next().map_or(Ok(()), Err))).await
        };
        let unknown = || Failure::Unknown("u".into());
        let refused = || Failure::Refused("r".into());
        let invalid = || Failure::Invalid("i".into());
        assert!(outcome(vec![unknown(), refused()]).await.is_ok());
        assert!(matches!(outcome(vec![refused(); 3]).await, Err(Failure::Refused(_))));
        let mixed = vec![refused(), unknown(), refused()];
        assert!(matches!(outcome(mixed).await, Err(Failure::Unknown(_))));
        assert!(matches!(outcome(vec![invalid()]).await, Err(Failure::Invalid(_))));
        let mixed = vec![unknown(), invalid(), invalid()];
        assert!(matches!(outcome(mixed).await, Err(Failure::Unknown(_))));
    }
}
