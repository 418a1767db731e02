//! Limits of the measuring programs, and the relations between them.

use std::time::Duration;

/// User memory that an idle established connection may cost the gateway, in bytes.
pub const IDLE_USER_BYTES_MAX: f64 = 512.0;

/// Kernel memory that an idle established connection may cost on the server's side, in bytes.
pub const IDLE_KERNEL_BYTES_MAX: f64 = 5.0 * 1024.0;

/// Bytes of an upgrade response that are waited for.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// Source addresses of a run: more than a /16 block's hosts is a mistake.
pub const SOURCES_MAX: usize = 1 << 16;

/// Clients of one shard when shards are chosen by themselves: below the 20,000 descriptors that
/// hosts commonly allow, each ring's table being capped by them.
pub const CLIENTS_PER_SHARD: u32 = 19_000;

/// Table slots beside a shard's clients: connections whose close has not ended yet, listeners.
pub const SPARE_SLOTS: u32 = 64;

/// Deadlines that one step of a shard acts on; the rest waits for the next.
pub const EXPIRATIONS_PER_STEP: usize = 1024;

/// Connections of a shard that are closing at one time when a run ends.
pub const CLOSING_AT_ONCE: usize = 512;

/// Precision of deadlines.
pub const TICK: Duration = Duration::from_millis(8);

/// Length of an interval of the time series.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// How long a shard waits for completions at most, so that it sees the end of a run in time even
/// if nobody woke it.
pub const WAIT_MAX: Duration = Duration::from_millis(250);

/// What is left to be read after a send failed is waited for this long: the server's close frame
/// often lies before the reset.
pub const LAST_WORDS: Duration = Duration::from_millis(500);

/// Room of a new output buffer, so that a batch of small frames need not grow it again and again.
pub const OUTPUT_BYTES_MIN: usize = 256;

/// Receive buffers of one shard in a run of many shards, and their size.
pub const SMALL_RECEIVE_BUFFERS: (u16, u32) = (16, 8 * 1024);

/// A run with more shards than this takes [`SMALL_RECEIVE_BUFFERS`].
pub const LARGE_BUFFER_SHARDS_MAX: usize = 4;

/// Lateness of an act that a run may have before it counts as an overrun (default).
pub const LATENESS_MAX: Duration = Duration::from_millis(10);

/// Share of acts that may overrun in a valid run.
pub const OVERRUN_SHARE_MAX: f64 = 0.01;

/// Share of a core above which a thread of the generator counts as saturated for that second.
pub const BUSY_MAX: f64 = 0.95;

/// Share of the seconds of an open-loop run in which a thread may be saturated.
pub const BUSY_SECONDS_MAX: f64 = 0.1;

/// How long a slow reader reads, and rests between.
pub const SLOW_READ: Duration = Duration::from_millis(50);
/// See [`SLOW_READ`].
pub const SLOW_REST: Duration = Duration::from_secs(2);

/// Connections of an echo run that are opened a second.
pub const ECHO_CONNECT_RATE: f64 = 5_000.0;

/// How often a shard looks whether the others are ready.
pub const GATE_POLL: Duration = Duration::from_millis(10);

/// Shards of one worker of a run.
pub const SHARDS_MAX: u32 = 4_096;

/// From the end of a worker's last shard to its last word.
pub const WORKER_END_MAX: Duration = Duration::from_secs(10);

// A shard's table must fit where descriptors are 20,000.
const _: () = assert!(CLIENTS_PER_SHARD + SPARE_SLOTS < 20_000);
// A heartbeat's precision must be small beside the shortest heartbeat that makes sense.
const _: () = assert!(TICK.as_millis() * 10 <= 100);
