//! Every limit of the router, and the relations between them that must hold.
//!
//! What an operator may change is in [`Limits`]; the constants here are its defaults, and the
//! bounds that nothing outside needs to know.

use throng_store::limits as store;
use throng_wire::limits as wire;

/// Members of a group by default.
pub const GROUP_MEMBERS_MAX: usize = 500;

/// Conversations that a user may be in before creating another one is refused.
pub const USER_CONVERSATIONS_MAX: usize = 10_000;

/// Connected devices of a user by default.
pub const DEVICES_MAX: usize = 8;

/// Bytes of a message's text or data by default.
pub const TEXT_BYTES_MAX: usize = wire::BODY_BYTES_MAX;

/// Bytes of events in a page, which ends before the event that would pass it.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the answer to one `sync`; conversations beyond it come back empty, with `has_more`.
pub const SYNC_BYTES_MAX: usize = wire::ANSWER_BYTES_MAX - 16 * 1024;

/// Rows in one append.
pub const BATCH_ROWS_MAX: usize = store::APPEND_ROWS_MAX;

/// Bytes of bodies in one append.
pub const BATCH_BYTES_MAX: usize = store::APPEND_BYTES_MAX;

/// Writes waiting for one conversation's append in flight; beyond it they are `overloaded`.
pub const WAITING_MAX: usize = 1_024;

/// Reads of one conversation that wait for the store.
pub const READS_MAX: usize = 256;

/// Committed rows whose projections are not applied yet; beyond it nothing is appended.
pub const AFTER_WORK_ROWS_MAX: usize = 512;

/// Attempts of an append whose outcome is unknown, before the partition is given up.
pub const APPEND_ATTEMPTS_MAX: u32 = 8;

/// Time before the first retry of an append or a load; doubled up to [`RETRY_MS_MAX`].
pub const RETRY_MS_MIN: u64 = 20;
/// See [`RETRY_MS_MIN`].
pub const RETRY_MS_MAX: u64 = 1_000;

/// What a refused client is told to wait.
pub const RETRY_AFTER_MS: u64 = 500;

/// An id's time may be this far ahead of the owner's clock.
pub const CLOCK_AHEAD_MS_MAX: u64 = wire::MSG_ID_AHEAD_MAX_MS;

/// An id's time may be this far behind the owner's clock.
pub const ID_AGE_MS_MAX: u64 = wire::MSG_ID_AGE_MAX_MS;

/// Rows that the search for one id may read from the store.
pub const SCAN_ROWS_MAX: usize = 8_192;

/// Rows that one read of such a search asks for.
pub const SCAN_PAGE_ROWS: usize = store::PAGE_ROWS_MAX;

/// Ids of a conversation that stay in memory however old they are.
pub const KNOWN_IDS_KEPT: usize = 2_048;

/// Above [`KNOWN_IDS_KEPT`], ids older than this are forgotten.
pub const KNOWN_IDS_AGE_MS: u64 = 3 * 60 * 1000;

/// Ids of a conversation in memory, whatever their age: 5,800 messages a second for three minutes.
pub const KNOWN_IDS_MAX: usize = 1 << 20;

/// Rows read when a conversation is loaded.
pub const TAIL_ROWS: usize = 128;

/// Rows that loading may read to bring projections up to date.
pub const CATCH_UP_ROWS_MAX: usize = 64 * 1024;

/// Bytes of bodies that one conversation keeps in memory.
pub const TAIL_BYTES_MAX: usize = 256 * 1024;

/// Rows that one conversation keeps in memory.
pub const TAIL_ROWS_MAX: usize = 512;

/// Memory of one owner worker for conversations that nobody uses at the moment, by default.
pub const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// Senders whose order one conversation remembers: two generations of this many.
pub const SENDERS_MAX: usize = 1_024;

/// Members up to which a message touches each one's list; above, the conversation is *big*, and
/// lists ask its owner for the head.
pub const TOUCH_MEMBERS_MAX: usize = 64;

/// Members up to which a watermark is told to all; above, only to the user's own devices.
pub const RECEIPT_MEMBERS_MAX: usize = 32;

/// Span of a dirty window.
pub const WINDOW_MS: u64 = 5_000;

/// A resume looks this far behind the cursor's moment: clocks of hosts, and after-work under way.
pub const CURSOR_OVERLAP_MS: u64 = 5 * 60 * 1000;

/// A cursor older than this is answered with `resync`.
pub const CURSOR_AGE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// Conversations that a home reads from the store at a time.
pub const LIST_PAGE_ROWS: usize = 256;

/// Lists that one home worker makes at the same time, and that may wait for their turn.
pub const LISTS_MAX: usize = 64;
/// See [`LISTS_MAX`].
pub const LISTS_WAITING_MAX: usize = 16 * 1024;

/// Batches in the mailbox of an actor.
pub const MAILBOX_BATCHES: usize = 1_024;

/// Messages that an actor takes in one turn.
pub const TURN_MESSAGES: usize = 64;

/// Bytes of hints waiting for one link. Beyond it they are dropped, and the sessions repaired.
pub const HINT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a stopping actor waits for what is under way.
pub const STOP_MS: u64 = 10_000;

/// How often the actors look at time.
pub const TICK_MS: u64 = 100;

/// Requests and bytes that one link may have under way.
pub const LINK_REQUESTS: u64 = 4_096;
/// See [`LINK_REQUESTS`].
pub const LINK_REQUEST_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of answers that may wait for one link's edge to read. Beyond it nothing more is read from
/// the edge, so that only what is under way is added.
pub const LINK_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// Time to live of a request that names none.
pub const REQUEST_DEADLINE_MS: u32 = 10_000;

/// Conversations whose after-work is redone at the same time when the router starts.
pub const RECOVERIES: usize = 256;

/// What an operator may change.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Members of a group.
    pub group_members_max: usize,
    /// Conversations per user beyond which creating another one is refused.
    pub user_conversations_max: usize,
    /// Connected devices per user.
    pub devices_max: usize,
    /// Bytes of a message's text or data.
    pub text_bytes_max: usize,
    /// Memory per owner worker for conversations.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            group_members_max: GROUP_MEMBERS_MAX,
            user_conversations_max: USER_CONVERSATIONS_MAX,
            devices_max: DEVICES_MAX,
            text_bytes_max: TEXT_BYTES_MAX,
            cache_bytes: CACHE_BYTES,
        }
    }
}

// A direct conversation's first message is two rows of one append.
const _: () = assert!(BATCH_ROWS_MAX >= 2);
// A message always fits an empty batch.
const _: () = assert!(TEXT_BYTES_MAX * 2 < BATCH_BYTES_MAX);
// Loading sees every row that may be uncommitted: at most one append.
const _: () = assert!(TAIL_ROWS > BATCH_ROWS_MAX);
// What is forgotten by age is not needed to tell a fresh id from a repeated one: an id that took up
// to a minute to arrive is settled without a read.
const _: () = assert!(KNOWN_IDS_AGE_MS >= CLOCK_AHEAD_MS_MAX + 60 * 1000);
const _: () = assert!(KNOWN_IDS_KEPT >= TAIL_ROWS_MAX && KNOWN_IDS_MAX > KNOWN_IDS_KEPT);
// One conversation never fills the cache.
const _: () = assert!(TAIL_BYTES_MAX * 16 <= CACHE_BYTES);
// Otherwise the list of one's own receipts would be touched without members being told.
const _: () = assert!(RECEIPT_MEMBERS_MAX <= TOUCH_MEMBERS_MAX);
