//! The router's end of links (docs/link.md): one task per link.
//!
//! - [`decode`]: what a client's operation asks of whom.
//! - [`merge`]: answers that are made of several conversations'.
//! - [`queue`]: what actors have to say to an edge; one wake for all that one turn brings.
//! - [`serve`]: the task.

pub(crate) mod decode;
pub(crate) mod merge;
pub(crate) mod queue;
pub(crate) mod serve;
