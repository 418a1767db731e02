//! The one failure that ends a store's life: why, what to do about it, and who waits for it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::directory;
use super::engine::EngineError;
use crate::{StoreError, limits};

/// Set at most once.
pub(super) struct Failure {
    dir: PathBuf,
    reason: watch::Sender<Option<String>>,
}

impl Failure {
    /// Of the store in a data directory.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), reason: watch::Sender::new(None) }
    }

    /// The first reason stays.
    pub(super) fn set(&self, error: &EngineError) {
        if self.get().is_some() {
            return;
        }
        let reason = explain(&self.dir, error);
        self.reason.send_if_modified(|set| {
            let is_first = set.is_none();
            if is_first {
                tracing::error!(reason, "the store can write no more");
                *set = Some(reason);
            }
            is_first
        });
    }

    /// The failure as every later call sees it.
    pub(super) fn get(&self) -> Option<StoreError> {
        self.reason.borrow().clone().map(StoreError::Fatal)
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.get().map_or(Ok(()), Err)
    }

    /// Resolves when it is set.
    pub(super) async fn wait(&self) -> StoreError {
        let mut reasons = self.reason.subscribe();
        loop {
            if let Some(failure) = self.get() {
                return failure;
            }
            // The sender lives as long as `self`: this cannot end otherwise.
            let _ = reasons.changed().await;
        }
    }
}

/// Where, why and what next. What the engine keeps to itself a write of our own may tell.
fn explain(dir: &Path, error: &EngineError) -> String {
    let probed = match error {
        EngineError::Poisoned => directory::probe(dir).err().map(EngineError::from),
        EngineError::Io { .. } | EngineError::Other(_) => None,
    };
    let cause = probed.as_ref().unwrap_or(error);
    let kind = match cause {
        EngineError::Io { kind, .. } => *kind,
        EngineError::Poisoned | EngineError::Other(_) => io::ErrorKind::Other,
    };
    format!("cannot write to {}: {cause}; {}, then start again", dir.display(), remedy(kind))
}

/// What the operator does about an error of the operating system.
pub(super) fn remedy(kind: io::ErrorKind) -> String {
    use io::ErrorKind;
    let what = match kind {
        ErrorKind::StorageFull => {
            let room_mib = limits::ROOM_BYTES.div_ceil(1024 * 1024);
            return format!("free space on its file system, {room_mib} MiB at the least");
        }
        ErrorKind::QuotaExceeded => "free space of its user's quota, or raise it",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => "see in the kernel's log why its file system is read-only",
        ErrorKind::PermissionDenied => "let this user read and write there",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "choose another directory",
        _ => "check the disk",
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> EngineError {
        io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()).into()
    }

    #[test]
    fn the_reason_says_where_and_why_and_what_to_do() {
        let failure = Failure::new(Path::new("/srv/chat"));
        failure.set(&full());
        let reason = failure.get().unwrap().to_string();
        for part in ["/srv/chat", "No space left on device", "free space", "MiB", "start again"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }

    #[test]
    fn the_first_reason_stays() {
        let failure = Failure::new(Path::new("/srv/chat"));
        failure.set(&full());
        failure.set(&EngineError::Other("later".into()));
        let reason = failure.get().unwrap().to_string();
        assert!(reason.contains("No space") && !reason.contains("later"), "{reason}");
    }

    #[test]
    fn what_the_engine_does_not_tell_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let reason = explain(&gone, &EngineError::Poisoned);
        assert!(reason.contains("No such file or directory"), "{reason}");
        let reason = explain(dir.path(), &EngineError::Poisoned);
        assert!(reason.contains("see the log"), "{reason}");
    }
}
