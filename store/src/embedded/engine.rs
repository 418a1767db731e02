//! What the committer needs from an engine, so that its failures can be tried without one.

use std::io;

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use thiserror::Error;

use super::keys::Table;
use super::tables::Tables;

/// How far a commit goes before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persist {
    /// Readable. Reaches the operating system with the next commit that does.
    Readable,
    /// Readable, and survives the process.
    Written,
    /// Readable, and survives a power failure, with everything before it.
    Synced,
}

/// The engine could not read or write. After a failed write it is not to be used any more: what
/// the disk holds of it is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum EngineError {
    /// The operating system refused.
    #[error("{detail}")]
    Io { kind: io::ErrorKind, detail: String },
    /// A write of the engine's own threads failed. It does not tell how.
    #[error("a write of the engine's own threads failed, see the log before")]
    Poisoned,
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), detail: error.to_string() }
    }
}

impl From<fjall::Error> for EngineError {
    fn from(error: fjall::Error) -> Self {
        use fjall::{Error, LsmError};
        match error {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => error.into(),
            Error::Poisoned => Self::Poisoned,
            other => Self::Other(other.to_string()),
        }
    }
}

/// One writer's view of the tables: writes gather until `commit` makes them visible at once.
pub(super) trait Engine: Send + 'static {
    /// The committed value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, EngineError>;
    /// All committed keys with a prefix.
    fn keys(&self, table: Table, prefix: &[u8]) -> Result<Vec<Slice>, EngineError>;
    /// Adds a write to the next commit.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]);
    /// Adds a deletion to the next commit.
    fn delete(&mut self, table: Table, key: &[u8]);
    /// Applies what was gathered, all or nothing.
    fn commit(&mut self, persist: Persist) -> Result<(), EngineError>;
    /// Makes every earlier commit survive a power failure.
    fn sync(&mut self) -> Result<(), EngineError>;
}

/// The engine proper.
pub(super) struct Fjall {
    tables: Tables,
    batch: OwnedWriteBatch,
}

impl Fjall {
    pub(super) fn new(tables: Tables) -> Self {
        let batch = tables.database.batch();
        Self { tables, batch }
    }
}

impl Engine for Fjall {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, EngineError> {
        Ok(self.tables.keyspace(table).get(key)?)
    }

    fn keys(&self, table: Table, prefix: &[u8]) -> Result<Vec<Slice>, EngineError> {
        let keys = self.tables.keyspace(table).prefix(prefix).map(fjall::Guard::key);
        Ok(keys.collect::<Result<_, _>>()?)
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.insert(self.tables.keyspace(table), key, value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.remove(self.tables.keyspace(table), key);
    }

    fn commit(&mut self, persist: Persist) -> Result<(), EngineError> {
        let mode = match persist {
            Persist::Readable => None,
            Persist::Written => Some(PersistMode::Buffer),
            Persist::Synced => Some(PersistMode::SyncData),
        };
        let batch = std::mem::replace(&mut self.batch, self.tables.database.batch());
        Ok(batch.durability(mode).commit()?)
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        Ok(self.tables.database.persist(PersistMode::SyncData)?)
    }
}
