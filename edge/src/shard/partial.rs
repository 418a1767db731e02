//! What connections have sent of messages and requests that are not whole yet.
//!
//! Each connection's part is bounded by the longest message; here all of a shard's together are.
//! Kept are only those that hold something, in the order in which their messages began. Above the
//! bound [`Partial::take_excess`] names who has been waited for longest: whoever sends a message in
//! one go is not the one, however many others do not.

use std::collections::{BTreeMap, HashMap};

use throng_ring::ConnId;

/// The parts of all connections.
#[derive(Debug)]
pub(super) struct Partial {
    bytes_max: usize,
    bytes: usize,
    /// Numbers messages as they begin.
    next: u64,
    by_age: BTreeMap<u64, ConnId>,
    by_slot: HashMap<u32, Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    number: u64,
    bytes: usize,
}

impl Partial {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (by_age, by_slot) = (BTreeMap::new(), HashMap::new());
        Self { bytes_max, bytes: 0, next: 0, by_age, by_slot }
    }

    /// Memory of all parts.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The connection's part takes so much now.
    pub(super) fn set(&mut self, id: ConnId, bytes: usize) {
        let part = self.by_slot.entry(id.slot).or_insert_with(|| {
            self.next += 1;
            self.by_age.insert(self.next, id);
            Part { number: self.next, bytes: 0 }
        });
        self.bytes += bytes;
        self.bytes -= part.bytes;
        part.bytes = bytes;
    }

    /// The connection holds nothing, or a message that begins anew.
    pub(super) fn forget(&mut self, id: ConnId) {
        if let Some(part) = self.by_slot.remove(&id.slot) {
            self.by_age.remove(&part.number);
            self.bytes -= part.bytes;
        }
    }

    /// While all take too much: who has been waited for longest. It is forgotten, and to be closed.
    pub(super) fn take_excess(&mut self) -> Option<ConnId> {
        if self.bytes <= self.bytes_max {
            return None;
        }
        let id = self.by_age.first_key_value().map(|(_, id)| *id)?;
        self.forget(id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn at_the_bound_nobody_is_named_and_above_it_who_began_first() {
        let mut partial = Partial::new(100);
        for (slot, bytes) in [(5, 10), (3, 50), (4, 40)] {
            partial.set(id(slot), bytes);
        }
        assert_eq!(partial.take_excess(), None);
        partial.set(id(4), 41);
        assert_eq!((partial.take_excess(), partial.bytes()), (Some(id(5)), 91));
        assert_eq!(partial.take_excess(), None);
    }

    #[test]
    fn a_message_that_begins_anew_is_the_youngest_and_nothing_is_left_of_the_gone() {
        let mut partial = Partial::new(0);
        partial.set(id(1), 1);
        partial.set(id(2), 1);
        partial.forget(id(1));
        partial.set(id(1), 1);
        assert_eq!(partial.take_excess(), Some(id(2)));
        partial.forget(id(2));
        assert_eq!(partial.take_excess(), Some(id(1)));
        assert_eq!((partial.bytes(), partial.take_excess()), (0, None));
        assert!(partial.by_age.is_empty() && partial.by_slot.is_empty());
    }
}
