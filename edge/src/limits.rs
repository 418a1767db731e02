//! Every bound of the gateway that is not configuration, and the relations between all of them.
//! What an operator may change is in [`crate::config`] and takes its default from here.

use std::time::Duration;

use throng_wire::limits as wire;

/// Bytes of one message from a client.
pub const FRAME_BYTES_MAX: u32 = wire::FRAME_BYTES_MAX as u32;

/// Bytes of one message before the welcome: a hello with all its fields, and room to spare. Who has
/// not said who it is costs no more.
pub const HELLO_BYTES_MAX: u32 = 8 * 1024;

/// Memory of a shard for messages and requests that are not whole yet; above it those that are
/// waited for longest are closed (4005).
pub const INPUT_SHARD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of one message in `--echo` mode: the conformance suite sends 16 MiB.
pub const ECHO_FRAME_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Largest `--frame-bytes-max`.
pub const FRAME_BYTES_CEILING: u32 = 64 * 1024 * 1024;

/// Requests of one connection that wait for the router.
pub const REQUESTS_IN_FLIGHT_MAX: u8 = 16;

/// Conversations of one connection whose sends are under way or wait for the retry of a failed one.
pub const ORDERED_CONVERSATIONS_MAX: usize = 32;

/// Frames that cannot be read, less the operations since, before the connection is closed (4429).
pub const BAD_FRAMES_MAX: u8 = 16;

/// Smallest `--group-members-max`: its creator and somebody else.
pub const GROUP_MEMBERS_MIN: u32 = 2;

/// Largest `--devices-max`: each is looked at when one more of the user's comes.
pub const DEVICES_CEILING: u32 = 64;

/// A token longer than this is not looked at.
pub const TOKEN_BYTES_MAX: usize = wire::TOKEN_BYTES_MAX;

/// Clocks of a token's issuer and of this host may differ by this much.
pub const TOKEN_LEEWAY_S: u64 = 60;

/// An HMAC secret must have as many bits as the hash (RFC 7518 section 3.2).
pub const HMAC_SECRET_BYTES_MIN: usize = 32;

/// Queued output of a connection above which its ephemeral frames are dropped.
pub const OUTPUT_BUDGET_BYTES: u32 = 64 * 1024;

/// Queued output of a connection above which it is closed.
pub const OUTPUT_BURST_BYTES: u32 = 1024 * 1024;

/// The longest answer as it goes to a client: a text of control characters is six times as long in
/// JSON (RFC 8259 section 7), and nothing else that fills a page grows more.
pub const OUTPUT_ANSWER_BYTES: usize = 6 * ANSWER_BYTES_MAX;

/// What answers to a connection's own requests may take beyond the burst: as many requests as may
/// be in flight can be answered at once, each with the longest answer that others' texts make.
pub const OUTPUT_ANSWERS_BYTES: usize = REQUESTS_IN_FLIGHT_MAX as usize * OUTPUT_ANSWER_BYTES;

/// Bytes of one send: a phone that takes 5 KB a second takes them before it counts as stalled.
pub const OUTPUT_SEND_BYTES_MAX: usize = 64 * 1024;

/// A send that went after so many ticks waited for its peer, whose sign of life it is. One that the
/// kernel had room for is none: it goes within a turn, however dead the peer.
pub const OUTPUT_WAITED_TICKS: u32 = 4;

/// How long a client may leave one send untaken.
pub const OUTPUT_STALL: Duration = Duration::from_secs(15);

/// Queued output of all connections of a shard; above it nobody gets a burst.
pub const OUTPUT_SHARD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Outputs that a shard keeps for connections to come; the rest of a crowd's goes back.
pub const OUTPUT_POOL_KEPT: usize = 256;

/// What is written for one connection without looking whether it still fits into one send.
pub const OUTPUT_CHUNK_BYTES: usize = 16 * 1024;

/// Queued output above which an echoing connection is not read any further.
pub const ECHO_HOLD_BYTES: usize = 1024 * 1024;

/// One frame of an answer, over all its chunks.
pub const ANSWER_BYTES_MAX: usize = wire::ANSWER_BYTES_MAX;

/// From the accepted connection to the end of its HTTP request.
pub const HTTP_DEADLINE: Duration = Duration::from_secs(10);

/// From the upgrade to `hello`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// From `hello` to the router's answer.
pub const REGISTER_DEADLINE: Duration = Duration::from_secs(10);

/// From our close to the peer's, then the connection is reset.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The interval at which a client says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(25);

/// Smallest `--heartbeat-ms`: below, the jitter of pings has no ticks to spread over.
pub const HEARTBEAT_MS_MIN: u64 = 100;

/// Without input for this long a connection waits in the cheapest way the driver has.
pub const COLD_AFTER: Duration = Duration::from_secs(10);

/// How long a router may take for a request.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Beyond [`REQUEST_DEADLINE`], which the router keeps: then the edge answers in its place.
pub const REQUEST_GRACE: Duration = Duration::from_secs(2);

/// What a client is told to wait after a refusal.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// From the connection to the router to its welcome.
pub const LINK_WELCOME_DEADLINE: Duration = Duration::from_secs(5);

/// Ops of one connection per second.
pub const OPS_PER_S: u32 = 50;

/// Ops of one connection at once.
pub const OPS_BURST: u32 = 200;

/// Largest `--ops-burst`: the count of a connection is of 16 bits.
pub const OPS_BURST_CEILING: u32 = u16::MAX as u32;

/// Connections of the gateway accepted per second.
pub const ACCEPTS_PER_S: u32 = 20_000;

/// Connections of a shard accepted at once.
pub const ACCEPTS_BURST: u32 = 2_000;

/// Connections of a shard that have not said who they are.
pub const HANDSHAKES_MAX: u32 = 8_192;

/// The same from one address, of the whole gateway.
pub const HANDSHAKES_PER_ADDRESS_MAX: u32 = 4_096;

/// Slots of a driver's table kept free: refusals that are being written, links, accepts in flight.
pub const SPARE_SLOTS: u32 = 128;

/// Descriptors of the process that are no connections of clients, where those are descriptors too
/// (epoll): the store keeps 900 tables open, besides its journals; the admin port; the runtime.
pub const DESCRIPTORS_BESIDE: u64 = 1_280;

/// The same for each shard, its table aside: listener, epoll, doorbell, the router's end of the
/// link, and one to come while one goes.
pub const SHARD_DESCRIPTORS: u64 = 8;

/// Refused connections that are told so and given time to close; further ones are reset.
pub const REFUSALS_LINGERING_MAX: usize = 64;

/// Length of a listener's accept queue.
pub const BACKLOG: u32 = 4_096;

/// Work between two completions' batches: fan-out lists longer than this go on in the next turn.
pub const TURN_BUDGET: Duration = Duration::from_millis(2);

/// Recipients served between two looks at the clock.
pub const FANOUT_STEP: usize = 64;

/// Hints that wait for their turn, in bytes of frames and lists, before the link is not read.
pub const FANOUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Hints kept for a connection between `hello` and `welcome`.
pub const EARLY_HINTS_MAX: usize = 64;

/// Requests that wait for the link's credit, in bytes.
pub const LINK_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Requests that wait for the link's credit.
pub const LINK_QUEUE_REQUESTS_MAX: usize = 4_096;

/// First and last pause before a lost link is opened again.
pub const LINK_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// From our goodbye to the router to the end of the shard.
pub const LINK_CLOSE_DEADLINE: Duration = Duration::from_millis(500);

/// Sessions registered again per turn after a link was lost.
pub const REREGISTER_PER_TURN: usize = 64;

/// How often a shard looks after what has no deadline of its own.
pub const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How often a shard whose door is shut looks whether it may open it.
pub const DOOR: Duration = Duration::from_millis(20);

/// Timers handled per turn.
pub const TIMERS_PER_TURN: usize = 1_024;

/// Precision of every deadline of a connection.
pub const TICK: Duration = Duration::from_millis(16);

/// Messages in a shard's mailbox.
pub const MAILBOX_MESSAGES: usize = 16;

/// How often a message is tried again that did not fit into a mailbox.
pub const MAILBOX_RETRY: Duration = Duration::from_millis(20);

/// Connections to the admin port at once; further ones wait in the kernel's queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;

/// From the connection to the admin port to the end of its one answer.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(10);

/// Pause after the admin port could not accept, for want of descriptors mostly.
pub const ADMIN_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Shards of one process: the listener's reuseport group and the ready line stay readable.
pub const SHARDS_MAX: usize = 1_024;

/// Niceness of the threads of the router, the store and the admin port: a weight of nine against
/// one of a shard's thread (sched(7)).
pub const SIDE_NICE: i32 = -10;

/// Longest time for which a shard may gather what comes, in microseconds: a hundredth of a second's
/// delay would be felt in a chat, a tenth is for measuring.
pub const GATHER_US_MAX: u32 = 100_000;

/// From the start of the shards to the ready line.
pub const START_DEADLINE: Duration = Duration::from_secs(30);

/// From the end of the shards to that of the router and the store.
pub const STORE_CLOSE_DEADLINE: Duration = Duration::from_secs(15);

/// How often the start looks whether all is up.
pub const START_POLL: Duration = Duration::from_millis(5);

/// What is logged: the store engine's own progress is of no interest to operators.
pub const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn";

/// The window over which clients are told to reconnect when the process is stopped.
pub const DRAIN_WINDOW: Duration = Duration::from_secs(10);

/// A window is not longer than this for each client.
pub const DRAIN_PER_CLIENT: Duration = Duration::from_millis(1);

/// Slots looked at per turn while a shard drains.
pub const DRAIN_SLOTS_PER_TURN: usize = 1_024;

/// Largest setting that is a time: ticks of a multiple of it fit their counter.
pub const DURATION_CEILING: Duration = Duration::from_secs(24 * 60 * 60);

/// From the notice to reconnect to our close.
pub const DRAIN_GRACE: Duration = Duration::from_secs(2);

// An event for all devices of a user is one hint.
const _: () = assert!(DEVICES_CEILING as usize <= wire::HINT_RECIPIENTS_MAX);
// What is under way gets its time before the store is given up.
const _: () = assert!(STORE_CLOSE_DEADLINE.as_millis() > throng_router::limits::STOP_MS as u128);
// The longest hello passes: its token, its cursor, three names, and what is around them.
const _: () = assert!(
    wire::TOKEN_BYTES_MAX + wire::CURSOR_BYTES_MAX + 3 * wire::NAME_BYTES_MAX + 512
        <= HELLO_BYTES_MAX as usize
);
// Strangers alone do not push out those who have said who they are.
const _: () =
    assert!(HANDSHAKES_MAX as usize * HELLO_BYTES_MAX as usize <= INPUT_SHARD_BYTES_MAX / 2);
const _: () = assert!(wire::HTTP_HEAD_BYTES_MAX <= HELLO_BYTES_MAX as usize);
// A slow reader is told from one that is gone.
const _: () = assert!(OUTPUT_SEND_BYTES_MAX as u64 / OUTPUT_STALL.as_secs() < 5 * 1024);
// A turn that is as long as it may be does not look like a peer that takes something.
const _: () =
    assert!(TICK.as_millis() * OUTPUT_WAITED_TICKS as u128 > 10 * TURN_BUDGET.as_millis());
// A burst smaller than the budget would never be allowed.
const _: () = assert!(OUTPUT_BURST_BYTES >= OUTPUT_BUDGET_BYTES);
// A connection that asked for all it can does not take the shard's bound from the others.
const _: () = assert!(OUTPUT_ANSWERS_BYTES <= OUTPUT_SHARD_BYTES_MAX / 8);
// Every request in flight may be a send to its own conversation, and failed ones stay.
const _: () = assert!(ORDERED_CONVERSATIONS_MAX >= REQUESTS_IN_FLIGHT_MAX as usize);
// The refused leave spare slots to accepts in flight and to the link.
const _: () = assert!(REFUSALS_LINGERING_MAX * 2 <= SPARE_SLOTS as usize);
// Deadlines are counted in ticks of 32 bits; the longest is twice a heartbeat.
const _: () = assert!(2 * DURATION_CEILING.as_millis() / TICK.as_millis() < u32::MAX as u128 / 2);
// An address must not be able to take all handshakes of a shard, also when it is the only one.
const _: () = assert!(HANDSHAKES_PER_ADDRESS_MAX < HANDSHAKES_MAX);
// The link's largest frame has to pass its queue.
const _: () = assert!(LINK_QUEUE_BYTES_MAX >= 2 * FRAME_BYTES_MAX as usize);
