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

/// Routers that share a store at most. A row of a router is never deleted, so that its number
/// counts for ever: whoever replaces it takes the number over.
pub const ROUTERS_MAX: usize = 1_024;

/// Partitions of a shared store; conversations and users hash to them.
pub const PARTITIONS: u16 = 1 << 14;

/// Partitions whose owners are kept together, so that one conditional write takes many. A dead
/// router's partitions are spread over all slices.
pub const SLICE_PARTITIONS: u16 = 256;

/// Events of a conversation in one partition of the store, as a power of two: a bucket of the
/// largest bodies has 128 MB, one of typical messages 4 MB.
pub const BUCKET_BITS: u32 = 13;

/// Rows that the first query of a page asks for: with bodies of the largest size it is some
/// megabytes. The next one asks for what is missing, by the mean of the bodies seen.
pub const CHUNK_ROWS: usize = 64;

/// Rows that any query of a page asks for at most.
pub const CHUNK_ROWS_MAX: usize = 512;

/// Requests of reads and projections under way to a CQL store at most, for one process.
pub const CQL_REQUESTS: usize = 512;

/// Appends under way to a CQL store at most. What is beyond waits in the append queue.
pub const CQL_APPENDS: usize = 1_024;

/// Requests that one call makes at the same time.
pub const CALL_REQUESTS: usize = 32;

/// Windows of one partition that can be open at the same time: eighty minutes of undone work.
pub const OPEN_WINDOWS: usize = 1_024;

/// How often a conditional write that lost against other partitions of its slice, or whose outcome
/// was unknown and turned out to be none, is made again.
pub const TAKE_ATTEMPTS: usize = 8;

/// Attempts of an append before its outcome is given as unknown, and of a read before it fails.
pub const CQL_ATTEMPTS: u32 = 3;

/// Pause before the second attempt; twice as long before the next.
pub const CQL_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// One attempt of an append, or of any other write that an acknowledgement waits for.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// One attempt of a read that a client waits for.
pub const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// One attempt of what happens when partitions change hands.
pub const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// One change of the schema.
pub const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);

/// After so long a read of history is asked of another replica, too.
pub const HEDGE_DELAY: Duration = Duration::from_millis(250);

/// How long a connection to a node may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a connection to a node is probed, and how long the answer may take.
pub const KEEPALIVE: Duration = Duration::from_secs(2);

// A page spans two buckets at most: one that is full has more rows than any page.
const _: () = assert!(PAGE_ROWS_MAX <= 1 << BUCKET_BITS);
// An append spans two buckets at most.
const _: () = assert!(APPEND_ROWS_MAX <= 1 << BUCKET_BITS);
// Every partition has a slice, and slices are whole.
const _: () = assert!(PARTITIONS.is_multiple_of(SLICE_PARTITIONS));
// What all appends under way need fits their queue.
const _: () = assert!(CQL_APPENDS <= QUEUE_APPENDS);
// One append always fits an empty queue, and a full queue fills a commit.
const _: () = assert!(APPEND_BYTES_MAX <= QUEUE_BYTES && COMMIT_APPENDS <= QUEUE_APPENDS);
// A full queue of cells is more than one commit, and what one commit takes finds room in the queue.
const _: () = assert!(COMMIT_CELLS < QUEUE_CELLS);
// A commit fits a memtable, so that one commit never fills two.
const _: () = assert!(COMMIT_BYTES + APPEND_BYTES_MAX < LOG_MEMTABLE_BYTES as usize);
