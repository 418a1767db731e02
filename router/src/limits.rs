//! Every limit of the router, and the relations between them that must hold.
//!
//! What an operator may change is in [`Limits`]; the constants here are its defaults, and the
//! bounds that nothing outside needs to know.

use throng_store::{PageLimit, limits as store};
use throng_wire::limits as wire;

/// Members of a group by default.
pub const GROUP_MEMBERS_MAX: usize = 500;

/// Groups that a user may have created and be in before creating another one is refused. What
/// others do counts for nobody: a stranger who adds a user to groups, or writes to them, does not
/// lock them out. Lists are long then, and are read in pages however long they are.
pub const CREATED_GROUPS_MAX: usize = 10_000;

/// Users of whom one owner worker keeps how many groups they have created.
pub const CREATED_USERS_MAX: usize = 4_096;

/// How long such a count is kept.
pub const CREATED_KEPT_MS: u64 = 60 * 1000;

/// Creations after which it is counted again: so many may each other worker not know of.
pub const CREATED_UNCOUNTED_MAX: usize = 128;

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

/// Rows older than [`KNOWN_IDS_AGE_MS`] among which a repeated id is sought in the store; beyond
/// them it is `sync_first`.
pub const SCAN_ROWS_MAX: usize = 8_192;

/// Rows that one read of a search asks for.
pub const SCAN_PAGE_ROWS: usize = store::PAGE_ROWS_MAX;

/// Ids of a conversation that stay in memory however old they are.
pub const KNOWN_IDS_KEPT: usize = 2_048;

/// Above [`KNOWN_IDS_KEPT`], ids older than this are forgotten.
pub const KNOWN_IDS_AGE_MS: u64 = 3 * 60 * 1000;

/// As [`KNOWN_IDS_AGE_MS`], while the conversations of an owner take more than half of the memory
/// that is for them. Above all of it [`KNOWN_IDS_KEPT`] stay, however young: most clients' clocks
/// are right to a few seconds, and only who is further behind makes rows be read.
pub const KNOWN_IDS_SCARCE_AGE_MS: u64 = 30 * 1000;

/// Ids of a conversation in memory, whatever their age: 5,800 messages a second for three minutes.
pub const KNOWN_IDS_MAX: usize = 1 << 20;

/// Rows read when a conversation is loaded.
pub const TAIL_ROWS: usize = 128;

/// What is read of the log when a conversation is loaded: no more bytes than are kept in memory.
pub const TAIL: PageLimit = PageLimit { rows: TAIL_ROWS, bytes: TAIL_BYTES_MAX };

/// Rows of one read that brings projections up to date.
pub const OLDER: PageLimit = PageLimit { rows: SCAN_PAGE_ROWS, bytes: store::PAGE_BYTES_MAX };

/// Conversations that one owner worker reads from the store at the same time; beyond it, what asks
/// for one that is not in memory is `overloaded`: one `sync` may name a hundred.
pub const LOADS_MAX: usize = 1_024;

/// Users of whom one owner worker reads at the same time whether they are members of a
/// conversation; beyond it their requests are `overloaded`.
pub const MEMBER_READS_MAX: usize = 1_024;

/// Reads for pages that one owner worker has under way; beyond it, pages are `overloaded`.
pub const PAGE_READS_MAX: usize = 1_024;

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

/// How often the store is told how far time has come.
pub const MOMENT_RECORD_MS: u64 = 30 * 1000;

/// A cursor older than this is answered with `resync`.
pub const CURSOR_AGE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// Conversations that a home reads from the store at a time.
pub const LIST_PAGE_ROWS: usize = 256;

/// Lists of connections that begin that one home worker makes at the same time.
pub const WELCOMES_MAX: usize = 32;

/// Other lists that one home worker makes at the same time: they take nothing from who connects.
pub const LISTS_MAX: usize = 32;

/// Lists of either sort that may wait for their turn.
pub const LISTS_WAITING_MAX: usize = 16 * 1024;

/// Of them those of one user: two for each device by default.
pub const USER_LISTS_WAITING_MAX: usize = 2 * DEVICES_MAX;

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

/// Bytes that the answers of one link's reads may take together, from when they are asked until
/// they are on their way; beyond it reads wait for those before them.
pub const LINK_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of every other answer: the largest is a page of changes.
pub const SHORT_ANSWER_BYTES: usize = 16 * 1024;

/// Bytes of a page beside its events: what is around each, and the page's own fields.
pub const PAGE_AROUND_BYTES: usize = 8 * 1024;

/// A conversation and a head in a page of changes: a UUID as text, a number, tags and lengths.
const CHANGE_BYTES: usize = 2 + (2 + 36) + (1 + 10);

/// A member in a page of members, as in [`CHANGE_BYTES`]: name, role, number.
const MEMBER_BYTES: usize = 2 + (2 + wire::NAME_BYTES_MAX) + (2 + 6) + (1 + 10);

/// Time to live of a request that names none.
pub const REQUEST_DEADLINE_MS: u32 = 10_000;

/// Conversations whose after-work is redone at the same time when the router starts.
pub const RECOVERIES: usize = 256;

/// What an operator may change.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Members of a group.
    pub group_members_max: usize,
    /// Groups created by a user beyond which creating another one is refused.
    pub created_groups_max: usize,
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
            created_groups_max: CREATED_GROUPS_MAX,
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
// The recoveries of a start leave room for loads that somebody waits for.
const _: () = assert!(RECOVERIES * 2 <= LOADS_MAX);
// Neither a sync of unknown conversations nor the pages of one conversation take all the room.
const _: () = assert!(wire::SYNC_CONVS_MAX * 4 <= LOADS_MAX && READS_MAX * 4 <= PAGE_READS_MAX);
const _: () = assert!(wire::SYNC_CONVS_MAX * 4 <= MEMBER_READS_MAX);
// Loading sees every row that may be uncommitted: at most one append.
const _: () = assert!(TAIL_ROWS > BATCH_ROWS_MAX);
// What is forgotten by age is not needed to tell a fresh id from a repeated one: an id that took up
// to a minute to arrive is settled without a read.
const _: () = assert!(KNOWN_IDS_AGE_MS >= CLOCK_AHEAD_MS_MAX + 60 * 1000);
const _: () = assert!(KNOWN_IDS_SCARCE_AGE_MS < KNOWN_IDS_AGE_MS);
const _: () = assert!(KNOWN_IDS_KEPT >= TAIL_ROWS_MAX && KNOWN_IDS_MAX > KNOWN_IDS_KEPT);
// What is kept anyway does not use up the search for a late retry, nor that the memory for the new.
const _: () = assert!(KNOWN_IDS_KEPT < SCAN_ROWS_MAX && SCAN_ROWS_MAX < KNOWN_IDS_MAX / 16);
// A process that died gave out moments beyond the last recorded one: a resume looks further back.
const _: () = assert!(MOMENT_RECORD_MS * 4 <= CURSOR_OVERLAP_MS);
// One conversation never fills the cache.
const _: () = assert!(TAIL_BYTES_MAX * 16 <= CACHE_BYTES);
// Otherwise the list of one's own receipts would be touched without members being told.
const _: () = assert!(RECEIPT_MEMBERS_MAX <= TOUCH_MEMBERS_MAX);
// The largest read, a sync of which each page is one event of the largest size, can go at all.
const _: () = assert!(
    wire::SYNC_CONVS_MAX * (wire::EVENT_BYTES_MAX + PAGE_AROUND_BYTES) <= LINK_ANSWER_BYTES
);
// All answers of one link: no edge that does not read takes more memory.
const _: () =
    assert!(LINK_ANSWER_BYTES + LINK_REQUESTS as usize * SHORT_ANSWER_BYTES <= 96 * 1024 * 1024);
// What workers do not know of each other is little beside the limit, on many cores, too.
const _: () = assert!(CREATED_UNCOUNTED_MAX * 64 <= CREATED_GROUPS_MAX);
// What is reserved is what it takes.
const _: () = assert!(wire::PAGE_ITEMS_MAX as usize * CHANGE_BYTES + 1024 <= SHORT_ANSWER_BYTES);
const _: () = assert!(wire::PAGE_ITEMS_MAX as usize * MEMBER_BYTES + 1024 <= PAGE_BYTES_MAX);
const _: () = assert!(wire::PAGE_EVENTS_MAX as usize * 16 + 1024 <= PAGE_AROUND_BYTES);
