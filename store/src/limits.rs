//! Limits of the store.

/// Rows in one append at most.
pub const APPEND_ROWS_MAX: usize = 64;

/// Bytes of bodies in one append at most.
pub const APPEND_BYTES_MAX: usize = 256 * 1024;
