//! Limits of the measuring programs.

/// User memory that an idle established connection may cost the gateway, in bytes.
pub const IDLE_USER_BYTES_MAX: f64 = 512.0;

/// Kernel memory that an idle established connection may cost on the server's side, in bytes.
pub const IDLE_KERNEL_BYTES_MAX: f64 = 5.0 * 1024.0;

/// Connections opened but not yet established at one time.
pub const OPENING_MAX: usize = 128;

/// Bytes of an upgrade response that are waited for.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// Messages in flight on one connection of a closed loop.
pub const DEPTH_MAX: usize = 64;
