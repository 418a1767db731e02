//! Moments at which a client has something to do. A client may have several; one that is no longer
//! wanted is recognised when it comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::generator::ClientId;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Connect.
    Connect,
    /// Leave a connection that the server wants to be left.
    Leave,
    /// Try again what was refused.
    Speak,
    /// Ask again for what the log did not have.
    Ask,
    /// Say watermarks.
    Marks,
}

/// See the module header.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, ClientId, Kind)>>);

impl Timers {
    /// Something is to be done then.
    pub(super) fn set(&mut self, at: Instant, client: ClientId, kind: Kind) {
        self.0.push(Reverse((at, client, kind)));
    }

    /// The next whose moment has come.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(Instant, ClientId, Kind)> {
        let next = self.0.peek_mut().filter(|next| next.0.0 <= now)?;
        Some(std::collections::binary_heap::PeekMut::pop(next).0)
    }

    /// The next moment.
    #[must_use]
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|next| next.0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_in_order_and_not_before_their_moment() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let later = now + Duration::from_millis(1);
        timers.set(later, ClientId(1), Kind::Marks);
        timers.set(now, ClientId(2), Kind::Speak);
        assert_eq!(timers.expire(now), Some((now, ClientId(2), Kind::Speak)));
        assert_eq!((timers.expire(now), timers.next()), (None, Some(later)));
        assert_eq!(timers.expire(later), Some((later, ClientId(1), Kind::Marks)));
    }
}
