//! The order of a sender: one connection's writes to one conversation succeed in order.
//!
//! The edge numbers them. After one fails in a way that a retry may cure, those already under way
//! behind it fail too, until the client sends that one again: the edge then says `first`, as
//! nothing earlier is under way. A write that was refused for good does not hold up the next.

use std::collections::HashMap;

use super::request::{Connection, Order};
use crate::limits;

/// The next number expected of each connection; the least recent are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    recent: HashMap<Connection, u64>,
    older: HashMap<Connection, u64>,
}

impl Senders {
    /// Whether this write is the next of its connection.
    pub(crate) fn admits(&self, connection: Connection, order: Option<Order>) -> bool {
        let Some(order) = order else { return true };
        let next = self.recent.get(&connection).or_else(|| self.older.get(&connection));
        order.first || next == Some(&order.number)
    }

    /// A write succeeded, or failed for good.
    pub(crate) fn settled(&mut self, connection: Connection, order: Option<Order>) {
        if let Some(order) = order {
            self.expect(connection, order.number + 1);
        }
    }

    /// A write failed, and may succeed when sent again.
    pub(crate) fn failed(&mut self, connection: Connection, order: Option<Order>) {
        if let Some(order) = order
            && order.first
        {
            self.expect(connection, order.number);
        }
    }

    fn expect(&mut self, connection: Connection, number: u64) {
        if self.recent.len() >= limits::SENDERS_MAX && !self.recent.contains_key(&connection) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(connection, number);
    }

    /// Connections remembered.
    pub(crate) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Connection = Connection { link: 1, slot: 7, session: 3 };

    fn order(number: u64) -> Option<Order> {
        Some(Order { number, first: false })
    }

    fn first(number: u64) -> Option<Order> {
        Some(Order { number, first: true })
    }

    #[test]
    fn only_the_next_number_is_admitted() {
        let mut senders = Senders::default();
        assert!(senders.admits(HERE, first(1)));
        senders.settled(HERE, first(1));
        assert!(senders.admits(HERE, order(2)));
        assert!(!senders.admits(HERE, order(1)));
        assert!(!senders.admits(HERE, order(3)));
    }

    #[test]
    fn an_unknown_connection_must_begin_with_first() {
        assert!(!Senders::default().admits(HERE, order(1)));
    }

    #[test]
    fn after_a_failure_the_following_wait_for_a_new_first() {
        let mut senders = Senders::default();
        senders.settled(HERE, first(1));
        senders.failed(HERE, order(2));
        assert!(!senders.admits(HERE, order(3)));
        assert!(senders.admits(HERE, first(4)));
        senders.settled(HERE, first(4));
        assert!(senders.admits(HERE, order(5)));
    }

    #[test]
    fn a_failed_first_does_not_let_its_follower_pass_by_an_old_count() {
        let mut senders = Senders::default();
        senders.settled(HERE, first(1));
        // Numbers 2 and 3 were lost on the way; 4 is first, fails, and 5 was already under way.
        senders.failed(HERE, first(4));
        assert!(!senders.admits(HERE, order(5)));
        assert!(!senders.admits(HERE, order(2)));
    }

    #[test]
    fn memory_is_bounded_and_the_recent_stay() {
        let mut senders = Senders::default();
        let connection = |slot| Connection { slot, ..HERE };
        for slot in 0..10 * limits::SENDERS_MAX as u32 {
            senders.settled(connection(slot), first(1));
        }
        assert!(senders.len() <= 2 * limits::SENDERS_MAX);
        assert!(senders.admits(connection(10 * limits::SENDERS_MAX as u32 - 1), order(2)));
        assert!(!senders.admits(connection(0), order(2)));
    }
}
