//! How the embedded store is opened, and why it may refuse to.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::engine::EngineError;
use super::failure::remedy;
use super::meta::BeginError;
use crate::limits;

/// When an append counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After `fdatasync`: survives a power failure. The default.
    Sync,
    /// When the operating system has it; synced this often. A power failure or a crash of the
    /// kernel may take that much time's acknowledged messages; a crash of the process takes none.
    Interval(Duration),
    /// When the operating system has it; it decides when to write. As above, with no bound.
    Os,
}

/// Where and how to open the store.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory. Created if missing.
    pub dir: PathBuf,
    /// When an append counts as durable.
    pub durability: Durability,
    /// Cache of blocks read from disk, bytes.
    pub cache_bytes: u64,
    /// Appends waiting for the committer at most, at least 1; beyond it `append` answers `Busy`.
    pub queue_appends: usize,
    /// Bytes of rows waiting for the committer at most.
    pub queue_bytes: usize,
    /// Reads running at the same time, at least 1, each on a thread of the runtime's blocking pool.
    pub reads: usize,
    /// The directory was restored from a copy: take a new log id, so that clients whose cursors
    /// are ahead of the copy notice.
    pub restored: bool,
}

impl Config {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            durability: Durability::Sync,
            cache_bytes: limits::CACHE_BYTES,
            queue_appends: limits::QUEUE_APPENDS,
            queue_bytes: limits::QUEUE_BYTES,
            reads: limits::READS,
            restored: false,
        }
    }
}

/// Why the store did not open. None of them changed what the directory holds.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process{}; stop that one, or choose another directory",
        dir.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Who, as that process wrote it down.
        pid: Option<u32>,
    },
    /// Written by a later version of this program.
    #[error("{} has data format {found}, this build reads up to {supported}; \
        start the newer version that wrote it, or restore a copy from before the upgrade",
        dir.display())]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Format of the directory.
        found: u32,
        /// Newest format that this build reads.
        supported: u32,
    },
    /// There are files, but not ours.
    #[error("{} is not empty and not a data directory (found {found:?}); \
        choose an empty or a new directory", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the files.
        found: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy(source.kind()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there cannot be read.
    #[error("{} is damaged: {detail}; restore it from a copy", dir.display())]
    Corrupt {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        detail: String,
    },
}

impl OpenError {
    /// The engine did not open its files.
    pub(super) fn engine(dir: &Path, error: fjall::Error) -> Self {
        use fjall::{Error, LsmError};
        let dir = dir.to_owned();
        match error {
            Error::Io(source) | Error::Storage(LsmError::Io(source)) => {
                Self::Io { action: "open the database in", path: dir, source }
            }
            Error::Locked => Self::Locked { dir, pid: None },
            other => Self::Corrupt { dir, detail: other.to_string() },
        }
    }

    /// The run could not be written down.
    pub(super) fn begin(dir: &Path, error: BeginError) -> Self {
        let path = dir.to_owned();
        match error {
            BeginError::Engine(error) => {
                let kind = match error {
                    EngineError::Io { kind, .. } => kind,
                    EngineError::Poisoned | EngineError::Other(_) => io::ErrorKind::Other,
                };
                Self::Io { action: "begin a run in", path, source: io::Error::new(kind, error) }
            }
            BeginError::Random(source) => {
                Self::Io { action: "draw random bytes for", path, source }
            }
            BeginError::Malformed(malformed) => {
                Self::Corrupt { dir: path, detail: malformed.to_string() }
            }
            BeginError::EpochsUsedUp => {
                Self::Corrupt { dir: path, detail: "its epochs are used up".into() }
            }
        }
    }
}
