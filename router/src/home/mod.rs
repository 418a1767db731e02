//! User homes: which connections a user has, and what they are told.
//!
//! [`Home`] is the only arbiter of the newest connection of a (user, device). Sans-IO: it takes
//! registrations, deliveries and what became of hints as arguments.
//!
//! *Register, then snapshot.* A connection is registered first; then its user's conversations are
//! read, and the answer is the `welcome`. An event committed after that read finds the connection
//! registered; one before it is in the list, as owners touch lists before they deliver. What is
//! delivered in between is not sent, as it would overtake the welcome: the connection is *stale*.
//!
//! *Repair.* A stale connection, or one whose link had no room for a hint, is told the changes of
//! its user's conversations since then, as soon as its link has room again.
//!
//! - [`cursor`]: the text by which a client says how far it is.
//! - [`lists`]: conversations and changes, read from the store.
//! - `turns`: whose list is made next.

pub mod cursor;
pub mod lists;
mod sessions;
pub(crate) mod turns;

pub use sessions::{Arrival, Evicted, Home, Repair};
