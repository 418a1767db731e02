//! What a host needs to hold what is planned, and how it gets there and back.
//!
//! - [`profile`]: what a role asks of its host, as data with reasons; worked out by [`formula`].
//! - [`host`]: what a host is, read below a root directory, so that an image or a test is one, too.
//! - [`plan`]: the memory budget, the values, and the order in which limits are hit.
//! - [`check`]: a host beside its plan, read only.
//! - [`emit`] and [`explain`]: the same for other programs and for readers.
//! - [`watch`]: the counters that tell that a limit is near.
//! - [`apply`]: the only thing that writes: a transaction with a way back.
//!
//! No number that is asked of a host is in the code: they stand in profiles/*.toml.

pub mod apply;
pub mod check;
pub mod emit;
pub mod exit;
pub mod explain;
pub mod formula;
pub mod host;
pub mod limits;
pub mod plan;
pub mod profile;
pub mod value;
pub mod watch;
