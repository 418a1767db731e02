//! Limits of the store, and the relations between them that must hold.

/// Rows in one append at most.
pub const APPEND_ROWS_MAX: usize = 64;

/// Bytes of bodies in one append at most.
pub const APPEND_BYTES_MAX: usize = 256 * 1024;

/// Appends in one commit at most: what waits longer is the next commit's.
pub const COMMIT_APPENDS: usize = 1_024;

/// Bytes of bodies in one commit, which ends with the append that reaches it.
pub const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Appends waiting for the committer by default.
pub const QUEUE_APPENDS: usize = 8_192;

/// Bytes of bodies waiting for the committer by default.
pub const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// Cells of projections waiting for the committer at most. One call may exceed it alone.
pub const QUEUE_CELLS: usize = 16_384;

/// Rows, members or conversations that one read gives at most, whatever the caller asks for.
pub const PAGE_ROWS_MAX: usize = 8_192;

/// Reads running at the same time by default.
pub const READS: usize = 8;

/// Cache of blocks by default, bytes.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Memtable of the log by default, bytes.
pub const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;

/// Memtables of one table at most: one that takes writes, and four waiting to be written. The
/// engine stops the committer until one of these is done.
pub const MEMTABLES_MAX: u64 = 5;

// One append always fits an empty queue, and a full queue fills a commit.
const _: () = assert!(APPEND_BYTES_MAX <= QUEUE_BYTES && COMMIT_APPENDS <= QUEUE_APPENDS);
