//! The record of what was before: one JSON document, replaced as a whole.

use serde::{Deserialize, Serialize};

use super::storage::Storage;
use super::transaction::ApplyError;

/// Where the record is; the lock is on the directory itself.
pub const STATE_DIRECTORY: &str = "/var/lib/throng-tune";

pub(super) const JOURNAL_FILE: &str = "/var/lib/throng-tune/journal.json";

/// Name and version of the format. A record of another version is left alone.
const SCHEMA: &str = "throng-tune-journal/1";

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Some of the changes may have been made.
    Applying,
    /// All were made and verified.
    Applied,
    /// Some may have been taken back.
    RollingBack,
}

/// What a change is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A value of the running kernel, in /proc/sys or /sys.
    Kernel,
    /// A file for the next boot, as a whole.
    File,
}

/// One change, with the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub path: String,
    /// Which kind of thing.
    pub kind: ChangeKind,
    /// What was there; `None`: no such file.
    pub old: Option<String>,
    /// What is to be there; `None`: no such file.
    pub new: Option<String>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    schema: String,
    /// How far it is.
    pub state: State,
    /// The network namespace whose values were changed; that of a host is the same at every boot.
    pub network_namespace: String,
    /// When it was begun, in seconds since the epoch.
    pub begun_s: u64,
    /// In the order in which they are made.
    pub changes: Vec<Change>,
    /// Directories that were not there, outer ones first.
    pub directories: Vec<String>,
}

impl Journal {
    pub(super) fn new(
        network_namespace: &str,
        begun_s: u64,
        changes: Vec<Change>,
        directories: Vec<String>,
    ) -> Self {
        let (schema, state) = (SCHEMA.to_owned(), State::Applying);
        let network_namespace = network_namespace.to_owned();
        Self { schema, state, network_namespace, begun_s, changes, directories }
    }

    /// The record of this host, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn load(storage: &impl Storage) -> Result<Option<Self>, ApplyError> {
        let told = |cause: String| ApplyError::Journal { cause };
        let text = storage
            .read(JOURNAL_FILE)
            .map_err(|error| ApplyError::Storage { cause: error.to_string() })?;
        let Some(text) = text else { return Ok(None) };
        let journal: Self = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        if journal.schema != SCHEMA {
            return Err(told(format!("it is of version {}, not {SCHEMA}", journal.schema)));
        }
        Ok(Some(journal))
    }

    pub(super) fn save(&self, storage: &mut impl Storage) -> Result<(), ApplyError> {
        let told = |cause: String| ApplyError::Journal { cause };
        let text = serde_json::to_string_pretty(self).map_err(|error| told(error.to_string()))?;
        storage
            .replace(JOURNAL_FILE, &text)
            .map_err(|error| ApplyError::Storage { cause: error.to_string() })
    }

    /// What `path` held before anything was applied; `None` if it was not touched.
    #[must_use]
    pub fn before(&self, path: &str) -> Option<&Change> {
        self.changes.iter().find(|change| change.path == path)
    }
}
