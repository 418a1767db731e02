//! The order of a connection's sends to one conversation (invariant I2).
//!
//! Sends are numbered 1, 2, 3 … while there is anything to remember about the conversation, and
//! the first says that nothing earlier is under way. When one fails in a way that a retry may
//! mend, those behind it fail too at the router; here the failed message's id is remembered, and
//! every later send is refused until that one comes again. A message without an id of the client's
//! cannot come again, so it holds nothing up once what was under way has been answered.

use smallvec::SmallVec;
use throng_wire::id::Id;

use crate::limits;

#[derive(Debug)]
struct Entry {
    conv: Id,
    /// Number of the last send.
    last: u64,
    under_way: u16,
    /// The message that has to come again, and whether it can: a client's own id.
    failed: Option<Failed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    id: Id,
    /// Its number: what failed behind it does not replace it.
    number: u64,
    can_return: bool,
}

/// A send's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    /// Nothing earlier is under way.
    pub(super) first: bool,
}

/// Why a send is refused here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// One before it failed and has not come again.
    AfterFailed,
    /// Too many conversations wait for a failed message to come again.
    TooMany,
}

/// Conversations of one connection with sends to remember.
#[derive(Debug, Default)]
pub(super) struct Orders {
    entries: SmallVec<[Entry; 1]>,
}

impl Orders {
    /// A send to `conv` wants to go.
    pub(super) fn begin(&mut self, conv: Id, id: Id) -> Result<Place, Refused> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.conv == conv) else {
            return self.begin_first(conv);
        };
        match entry.failed {
            Some(failed) if failed.id != id => return Err(Refused::AfterFailed),
            Some(_) if entry.under_way > 0 => return Err(Refused::AfterFailed),
            _ => entry.failed = None,
        }
        let first = entry.under_way == 0;
        entry.last += 1;
        entry.under_way += 1;
        Ok(Place { number: entry.last, first })
    }

    fn begin_first(&mut self, conv: Id) -> Result<Place, Refused> {
        if self.entries.len() >= limits::ORDERED_CONVERSATIONS_MAX {
            return Err(Refused::TooMany);
        }
        self.entries.push(Entry { conv, last: 1, under_way: 1, failed: None });
        Ok(Place { number: 1, first: true })
    }

    /// The send's answer came. `failed`: its error is one that a retry may mend.
    pub(super) fn end(&mut self, conv: &Id, number: u64, id: Id, can_return: bool, failed: bool) {
        let Some(at) = self.entries.iter().position(|entry| entry.conv == *conv) else { return };
        let entry = &mut self.entries[at];
        entry.under_way = entry.under_way.saturating_sub(1);
        let is_earlier = entry.failed.is_none_or(|known| number < known.number);
        if failed && is_earlier {
            entry.failed = Some(Failed { id, number, can_return });
        }
        let is_over = entry.failed.is_none_or(|known| !known.can_return);
        if entry.under_way == 0 && is_over {
            self.entries.swap_remove(at);
        }
    }

    /// A send was refused before it went, in a way that a retry may mend: it is as if it had been
    /// sent and had failed.
    pub(super) fn refuse(&mut self, conv: Id, id: Id, can_return: bool) {
        let at = self.entries.iter().position(|entry| entry.conv == conv);
        let entry = match at {
            Some(at) => &mut self.entries[at],
            None if self.entries.len() >= limits::ORDERED_CONVERSATIONS_MAX => return,
            None => {
                self.entries.push(Entry { conv, last: 0, under_way: 0, failed: None });
                let last = self.entries.len() - 1;
                &mut self.entries[last]
            }
        };
        entry.last += 1;
        entry.under_way += 1;
        let number = entry.last;
        self.end(&conv, number, id, can_return, true);
    }

    /// Nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONV: Id = [1; 16];
    const OTHER: Id = [2; 16];
    const A: Id = [10; 16];
    const B: Id = [11; 16];
    const C: Id = [12; 16];

    fn place(number: u64, first: bool) -> Result<Place, Refused> {
        Ok(Place { number, first })
    }

    #[test]
    fn sends_under_way_are_numbered_and_only_the_first_is_first() {
        let mut orders = Orders::default();
        assert_eq!(orders.begin(CONV, A), place(1, true));
        assert_eq!(orders.begin(CONV, B), place(2, false));
        assert_eq!(orders.begin(OTHER, C), place(1, true));
    }

    #[test]
    fn nothing_is_remembered_when_all_went_well() {
        let mut orders = Orders::default();
        let _ = (orders.begin(CONV, A), orders.begin(CONV, B));
        orders.end(&CONV, 1, A, true, false);
        assert!(!orders.is_empty());
        orders.end(&CONV, 2, B, true, false);
        assert!(orders.is_empty());
    }

    #[test]
    fn after_a_failure_only_the_failed_message_may_go() {
        let mut orders = Orders::default();
        let _ = (orders.begin(CONV, A), orders.begin(CONV, B));
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(CONV, C), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(OTHER, C), place(1, true), "another conversation is free");
        orders.end(&CONV, 2, B, true, true);
        assert_eq!(orders.begin(CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(CONV, A), place(3, true));
        assert_eq!(orders.begin(CONV, B), place(4, false));
    }

    #[test]
    fn the_failed_message_waits_for_the_answers_of_those_behind_it() {
        let mut orders = Orders::default();
        let _ = (orders.begin(CONV, A), orders.begin(CONV, B));
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(CONV, A), Err(Refused::AfterFailed));
        orders.end(&CONV, 2, B, true, true);
        assert_eq!(orders.begin(CONV, A), place(3, true));
    }

    #[test]
    fn the_earliest_failure_counts_whatever_the_order_of_answers() {
        let mut orders = Orders::default();
        let _ = (orders.begin(CONV, A), orders.begin(CONV, B));
        orders.end(&CONV, 2, B, true, true);
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(CONV, A), place(3, true));
    }

    #[test]
    fn a_message_that_cannot_come_again_holds_nothing_up() {
        let mut orders = Orders::default();
        let _ = (orders.begin(CONV, A), orders.begin(CONV, B));
        orders.end(&CONV, 1, A, false, true);
        assert_eq!(orders.begin(CONV, C), Err(Refused::AfterFailed));
        orders.end(&CONV, 2, B, false, true);
        assert!(orders.is_empty());
        assert_eq!(orders.begin(CONV, C), place(1, true));
    }

    #[test]
    fn a_send_refused_before_it_went_keeps_its_place() {
        let mut orders = Orders::default();
        orders.refuse(CONV, A, true);
        assert_eq!(orders.begin(CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(CONV, A), place(2, true));
        orders.refuse(OTHER, B, false);
        assert_eq!(orders.begin(OTHER, C), place(1, true), "it cannot come again");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut orders = Orders::default();
        for n in 0..limits::ORDERED_CONVERSATIONS_MAX {
            let conv = [n as u8; 16];
            assert!(orders.begin(conv, A).is_ok());
            orders.end(&conv, 1, A, true, true);
        }
        assert_eq!(orders.begin([99; 16], A), Err(Refused::TooMany));
        assert!(orders.begin([0; 16], A).is_ok(), "a retry is not another conversation");
    }
}
