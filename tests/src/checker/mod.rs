//! What must hold over a recorded run: a pure function from a [`History`] to its violations.
//!
//! - I1: an acknowledged message is in the log at its seq, with its content.
//! - I2: a log's seqs are 1, 2, 3 … without gap or repeat and the same for every reader; what one
//!   device sent to a conversation stands in its order.
//! - I3: a (conversation, sender, `client_msg_id`) has one seq; every answer to a retry names it.
//! - I4: a client's cursor moves over a contiguous prefix; all it was shown is in the log; who
//!   caught up has everything.
//! - I8: nobody was shown an event of a conversation, or wrote one, that they were not a member of
//!   at that seq.
//!
//! Membership is taken from the log itself. The log is what all members together read at the end.

mod clients;
mod log;
mod pushes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::history::{Event, History};

pub use log::intervals;
pub use pushes::{not_pushed, pushed_share};

/// The invariant that a violation breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: acknowledged messages stay.
    Durable,
    /// I2: one order without gaps.
    Ordered,
    /// I3: a message once.
    Once,
    /// I4: cursors move contiguously, over what is in the log.
    Contiguous,
    /// I8: members only.
    Isolated,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What it breaks.
    pub invariant: Invariant,
    /// Who, where and what.
    pub what: String,
}

/// The agreed log of each conversation, by seq.
pub(crate) type Logs = BTreeMap<String, BTreeMap<u64, Event>>;

/// Everything that is wrong with a run.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let logs = log::merge(&history.logs, &mut found);
    log::check_whole(&logs, &mut found);
    log::check_once(&logs, &mut found);
    log::check_writers(&logs, &mut found);
    log::check_readers(&history.logs, &logs, &mut found);
    clients::check_answers_agree(&history.clients, &mut found);
    for client in &history.clients {
        clients::check(client, &logs, &mut found);
    }
    found
}

/// Fails with the first violations, if there are any.
///
/// # Panics
/// When the run broke an invariant.
pub fn assert_good(history: &History) {
    let found = check(history);
    let shown: Vec<String> =
        found.iter().take(20).map(|violation| format!("{violation:?}")).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), shown.join("\n"));
}

pub(crate) fn report(found: &mut Vec<Violation>, invariant: Invariant, what: String) {
    found.push(Violation { invariant, what });
}
