//! The keyspaces of the engine and how each is tuned.

use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Error, Keyspace, KeyspaceCreateOptions};

use super::keys::Table;
use crate::{StoreError, limits};

/// The open database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) database: Database,
    keyspaces: [Keyspace; Table::ALL.len()],
}

impl Tables {
    /// Opens the database and creates what is missing.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(limits::JOURNAL_BYTES)
            .max_cached_files(Some(limits::FILES_OPEN))
            .worker_threads(limits::ENGINE_THREADS)
            .journal_compression(CompressionType::None)
            .open()?;
        let open = |table: Table| database.keyspace(table.name(), || options(table));
        let keyspaces = [
            open(Table::Log)?,
            open(Table::Conv)?,
            open(Table::Members)?,
            open(Table::UserConvs)?,
            open(Table::Dirty)?,
            open(Table::Meta)?,
        ];
        Ok(Self { database, keyspaces })
    }

    /// The keyspace of a table.
    pub(super) fn keyspace(&self, table: Table) -> &Keyspace {
        &self.keyspaces[table as usize]
    }
}

/// The log and the dirty windows are only scanned, so that they need no filters. A page of the log
/// is 10 to 20 KB long: blocks of 16 KB with LZ4 took a third less disk than the engine's 4 KB, and
/// no more time to read, in `examples/startup.rs`.
fn options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default();
    match table {
        Table::Log => options
            .max_memtable_size(limits::LOG_MEMTABLE_BYTES)
            .filter_policy(FilterPolicy::disabled())
            .data_block_size_policy(BlockSizePolicy::all(16 * 1024))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
        Table::Dirty => options
            .max_memtable_size(limits::MEMTABLE_BYTES)
            .filter_policy(FilterPolicy::disabled()),
        _ => options.max_memtable_size(limits::MEMTABLE_BYTES),
    }
}

/// What a failed read means to the caller.
pub(super) fn read_error(error: &Error) -> StoreError {
    match error {
        Error::Io(error) => StoreError::Unavailable(error.to_string()),
        Error::Storage(fjall::LsmError::Io(error)) => StoreError::Unavailable(error.to_string()),
        other => StoreError::Corrupt(other.to_string()),
    }
}
