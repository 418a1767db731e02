//! Applying a plan as a transaction, and taking it back.
//!
//! What a host had before is in a journal that is on disk before the first write. From then on
//! every state that a crash can leave is one that the next call understands: `apply` carries on
//! from the values before the first one (so it rolls forward), `rollback` goes back to them. Both
//! can be repeated at any point, after a reboot as well; both hold a lock. The order is always:
//! journal, values of the running kernel, files for the next boot, verification, journal.
//!
//! [`prepare()`] turns a plan into [`Change`]s, `transaction` makes them, [`Storage`] is the only
//! thing that writes.

mod journal;
mod prepare;
mod storage;
mod transaction;

pub use journal::{Change, ChangeKind, Journal, STATE_DIRECTORY, State};
pub use prepare::{ApplyScope, prepare};
pub use storage::{HostStorage, Storage};
pub use transaction::{ApplyError, Report, apply, rollback};
