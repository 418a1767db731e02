//! Every bound of this crate, and the relations between them.

use std::time::Duration;

/// Pieces one send may carry. The kernel copies up to 8 without allocating and takes at most 1024.
pub const SEND_CHUNKS_MAX: usize = 32;

/// Completions handed out in one turn; what is left waits for the next one.
pub const EVENTS_PER_TURN_MAX: usize = 4096;

/// Work of a turn's handlers after which the rest waits for the next turn (default).
pub const TURN_BUDGET: Duration = Duration::from_millis(2);

/// Completions between two looks at the clock while a turn's budget is measured.
pub const EVENTS_PER_CLOCK_READ: usize = 16;

/// Slots that the kernel's descriptor table and a [`crate::ConnId`] may have.
pub const CONNECTIONS_MAX: u32 = 1 << 20;

/// Bits of a generation.
pub const GENERATION_BITS: u32 = 24;

/// Accepts posted per listener. Each takes a slot and ~350 bytes of the kernel.
pub const ACCEPTS_IN_FLIGHT: usize = 16;

/// Pause after an accept failed for want of something other than a slot.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Listeners of one driver.
pub const LISTENERS_MAX: usize = 256;

/// Starved receives that are armed again per receive buffer that is there for them.
pub const REARMS_PER_BUFFER: usize = 16;

/// Bytes that one receive takes at most, so that one connection cannot eat all buffers at once
/// (where the kernel lets a multishot receive be capped). Above 16 KiB, so that the largest message
/// body and its frame's header come in one piece.
pub const RECEIVE_BYTES_MAX: u32 = 32 * 1024;

/// Receives that one connection gets in a turn over epoll; what it still has waits for the next
/// one. Its share is 256 KiB then.
pub const RECEIVES_PER_TURN: u8 = 8;

/// Ready descriptors that one look at epoll tells; the rest is told by the next one.
pub const EPOLL_EVENTS_MAX: usize = 1024;

/// Kernel worker threads of one ring, for the few operations that cannot be done inline (shutdown).
pub const KERNEL_WORKERS_MAX: u32 = 2;

/// Completions that end a wait which gathers them: what one more would save is little by then.
pub const GATHERED_MAX: u32 = 64;

/// Longest time for which a wait may be told to gather.
pub const GATHER_MAX: Duration = Duration::from_secs(1);

/// Send records of a closing driver are given this long to come back from the kernel.
pub const QUIESCE: Duration = Duration::from_secs(1);

/// Buffers that the send pool keeps.
pub const POOL_BUFFERS_MAX: usize = 128;

/// Capacity above which a buffer is freed instead of kept: one receive's worth of replies fits.
pub const POOL_BUFFER_BYTES_MAX: usize = 32 * 1024;

/// In-flight send records kept for the next send.
pub const POOL_FLIGHTS_MAX: usize = 256;

// A turn must be able to hand out what one full burst of submissions completes at once.
const _: () = assert!(EVENTS_PER_TURN_MAX >= 1024);
// A budget that is never looked at is none.
const _: () = assert!(EVENTS_PER_CLOCK_READ < EVENTS_PER_TURN_MAX);
// IOV_MAX.
const _: () = assert!(SEND_CHUNKS_MAX <= 1024);
// A turn must be able to look at whatever one look at epoll tells.
const _: () = assert!(EPOLL_EVENTS_MAX <= EVENTS_PER_TURN_MAX);
// The pool must stay small enough for 64 shards in one process (256 MB).
const _: () = assert!(POOL_BUFFERS_MAX * POOL_BUFFER_BYTES_MAX <= 4 << 20);
