//! Limits of the store, and the relations between them that must hold.
//!
//! Memory of the embedded engine is at most [`CACHE_BYTES`] (configurable), plus
//! [`MEMTABLES_MAX`] times the sum of the memtables' sizes (in practice one or two of each),
//! plus [`QUEUE_BYTES`] (configurable) and one commit, plus one page for each running read.

use std::time::Duration;

/// Rows in one append at most.
pub const APPEND_ROWS_MAX: usize = 64;

/// Bytes of bodies in one append at most.
pub const APPEND_BYTES_MAX: usize = 256 * 1024;

/// Appends in one commit at most: what waits longer is the next commit's.
pub const COMMIT_APPENDS: usize = 1_024;

/// Bytes of rows in one commit, which ends with the append that reaches it.
pub const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Appends waiting for the committer by default.
pub const QUEUE_APPENDS: usize = 8_192;

/// Bytes of rows waiting for the committer by default.
pub const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// Cells of projections in one commit, which ends with the job that reaches it: appends that wait
/// for their turn wait for so many reads of cells, and not for all that are queued.
pub const COMMIT_CELLS: usize = 4_096;

/// Cells of projections waiting for the committer at most. A call with more is alone in the queue.
pub const QUEUE_CELLS: usize = 16_384;

/// Rows, members or conversations that one read gives at most, whatever the caller asks for.
pub const PAGE_ROWS_MAX: usize = 1_024;

/// Bytes of bodies in a page of rows, which ends with the row that reaches it.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Reads running at the same time by default.
pub const READS: usize = 8;

/// Cache of blocks by default, bytes.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Memtable of the log, bytes. Fixed when the data directory is created.
pub const LOG_MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;

/// Memtable of each other table, bytes. Fixed when the data directory is created.
pub const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Memtables of one table at most: one that takes writes, and four waiting to be written to disk.
/// The engine holds the committer until one of those is done.
pub const MEMTABLES_MAX: u64 = 5;

/// Journal files together, bytes: beyond it the engine writes out the tables that keep the oldest
/// file alive. What is left is read again at every start. The engine accepts no less.
pub const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

/// Files of tables that the engine keeps open.
pub const FILES_OPEN: usize = 256;

/// What a start writes and syncs to see whether it can, bytes.
pub const PROBE_BYTES: usize = 4_096;

/// Room on the file system that a start asks for, bytes: a memtable may be written out at once, and
/// the first commit has to follow.
pub const ROOM_BYTES: u64 = LOG_MEMTABLE_BYTES + (COMMIT_BYTES + APPEND_BYTES_MAX) as u64;

/// How often the store looks whether the engine's own threads have failed.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How long the end of a failed store waits for its writing thread: the engine may hold it for
/// ever.
pub const FAILED_STOP: Duration = Duration::from_secs(1);

/// Threads of the engine that write memtables out and compact tables.
pub const ENGINE_THREADS: usize = 2;

/// Routers that share a store at most. A row of a router is never deleted, so that its number counts
/// for ever: whoever replaces it takes the number over.
pub const ROUTERS_MAX: usize = 1_024;

// One append always fits an empty queue, and a full queue fills a commit.
const _: () = assert!(APPEND_BYTES_MAX <= QUEUE_BYTES && COMMIT_APPENDS <= QUEUE_APPENDS);
// A full queue of cells is more than one commit, and what one commit takes finds room in the queue.
const _: () = assert!(COMMIT_CELLS < QUEUE_CELLS);
// A commit fits a memtable, so that one commit never fills two.
const _: () = assert!(COMMIT_BYTES + APPEND_BYTES_MAX < LOG_MEMTABLE_BYTES as usize);
