//! Where the store is and how to reach it, and why opening it fails.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::schema::Differences;

/// How to reach a store. There is no consistency to choose: acknowledged means a quorum of the home
/// data centre, and one node with a replication factor of one is a quorum.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` of nodes to begin with; the others are learnt from them.
    pub nodes: Vec<String>,
    /// Lower-case letters, digits and `_`, 48 at most.
    pub keyspace: String,
    /// Home data centre. Requests go to its nodes only. `None` leaves it to the driver, which then
    /// takes the first node's for local: right where there is one data centre.
    pub data_center: Option<String>,
    /// Name and password.
    pub credentials: Option<Credentials>,
    /// Encrypted connections.
    pub tls: Option<Tls>,
}

impl Config {
    /// A store without a password or TLS, in one data centre.
    pub fn new(nodes: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self { nodes, keyspace: keyspace.into(), data_center: None, credentials: None, tls: None }
    }
}

/// Name and password.
#[derive(Clone)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password. Never printed.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How connections are encrypted. Certificates of nodes must name the addresses by which they are
/// reached.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificates of the authorities that sign the nodes' certificates.
    pub authorities: PathBuf,
}

impl Tls {
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, OpenError> {
        let bad =
            |reason: String| OpenError::Authorities { path: self.authorities.clone(), reason };
        let certificates = CertificateDer::pem_file_iter(&self.authorities);
        let certificates = certificates.map_err(|error| bad(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("there is no certificate in it".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| bad(error.to_string()))?;
        Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}

/// Why a store was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The name cannot be that of a keyspace. A mistake in the configuration.
    #[error(
        "{0:?} cannot be a keyspace: lower-case letters, digits and _, 48 at most, first a letter"
    )]
    KeyspaceName(String),
    /// The file of authorities is missing or damaged. A mistake in the configuration.
    #[error("authorities of the store's TLS in {}: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No node answers, or all refuse. May pass.
    #[error("no node of the store answers at {nodes}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        nodes: String,
        /// What the driver says.
        reason: String,
    },
    /// The schema is not what this version uses. Nothing was changed.
    #[error("{0}")]
    Schema(Differences),
    /// The store answered a request with an error. May pass.
    #[error("the store does not do what opening it takes: {0}")]
    Refused(String),
}
