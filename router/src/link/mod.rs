//! The router's end of links (docs/link.md): one task per link.
//!
//! - [`decode`]: what a client's operation asks of whom.
//! - [`merge`]: answers that are made of several conversations'.
//! - [`queue`]: what actors have to say to an edge; one wake for all that one turn brings.
//! - [`receive`]: what an edge says.
//! - [`serve`]: the task, and what the edge is told.
//! - [`under_way`]: requests without an answer yet, and the memory of their answers.

pub(crate) mod decode;
pub(crate) mod merge;
pub(crate) mod queue;
mod receive;
pub(crate) mod serve;
mod under_way;

#[cfg(test)]
mod tests;
