//! Every bound of this crate.

/// Bytes read of one file. The largest that are read, /proc/interrupts and /proc/net/netstat, stay
/// far below on hosts with hundreds of processors.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Entries of one directory that are looked at: processes, interfaces, configuration files.
pub const ENTRIES_MAX: usize = 1 << 20;

/// Parentheses and calls of a formula inside each other.
pub const FORMULA_DEPTH_MAX: usize = 32;

/// Operators and operands of one formula.
pub const FORMULA_NODES_MAX: usize = 256;

/// Entries of a profile, of each kind.
pub const PROFILE_ENTRIES_MAX: usize = 512;

/// Connections that a plan may be made for: far above what one host can hold, and small enough that
/// every product with a cost is exact in a double.
pub const CONNECTIONS_MAX: u64 = 1 << 30;

/// Bytes of one answer to a request for metrics.
pub const METRICS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A number of connections times the most that one may cost must stay exact in a double.
const COST_BYTES_MAX: u64 = 1 << 22;
const _: () = assert!(CONNECTIONS_MAX * COST_BYTES_MAX <= 1 << 53);
