//! A client's copy of one conversation's log, and the judge of what is said in it. Sans-IO.
//!
//! Rules of docs/protocol.md, "Staying in step": the event after the cursor is taken, what is at or
//! below it is known, what is beyond is kept aside until the hole is filled from the log. The
//! judgement is made when an event is taken, so each is judged once, in the order of the log:
//!
//! - a sender's counters rise: one that was seen before is a message that came twice as new, one
//!   below that was not seen is out of order;
//! - the server's clock does not go back;
//! - a page of the log is without holes itself.
//!
//! Content is judged before, by [`super::text`].

use std::collections::BTreeMap;

use super::text::Stamp;

/// Events kept aside behind a hole; further ones come with the page that fills it.
const ASIDE_MAX: usize = 256;

/// How many of a sender's counters before its newest are known one by one.
const WINDOW: u64 = 64;

/// What an event says, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message of the run.
    Message(Stamp),
    /// Something else: creation, members, what the shards tell each other.
    Other,
}

/// An event on its way into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// The server's clock.
    pub time_ms: u64,
    /// What it says.
    pub said: Said,
}

/// Faults of the server that a log shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that came twice as new.
    pub doubled: u64,
    /// Messages out of order.
    pub reordered: u64,
}

impl Faults {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Counters of one sender.
#[derive(Clone, Copy, Debug)]
struct Counters {
    client: u32,
    newest: u64,
    /// Bit `n`: counter `newest - n` was seen.
    seen: u64,
}

impl Counters {
    fn take(&mut self, counter: u64, faults: &mut Faults) {
        if counter > self.newest {
            let ahead = counter - self.newest;
            self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            self.newest = counter;
            return;
        }
        let behind = self.newest - counter;
        let bit = 1_u64.checked_shl(u32::try_from(behind).unwrap_or(u32::MAX)).unwrap_or(0);
        // One that is too far behind to be known was most likely seen.
        if behind >= WINDOW || self.seen & bit != 0 {
            faults.doubled += 1;
        } else {
            faults.reordered += 1;
            self.seen |= bit;
        }
    }
}

/// See the module header.
#[derive(Debug, Default)]
pub struct Log {
    cursor: u64,
    head: u64,
    time_ms: u64,
    senders: Vec<Counters>,
    aside: BTreeMap<u64, Entry>,
    /// A pushed event showed a hole that is not filled yet.
    is_torn: bool,
}

impl Log {
    /// Up to which event all are known.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The highest event that is known of.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Events that are known of and not taken.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.head - self.cursor
    }

    /// The log has events up to `head`, says somebody who saw it.
    pub fn heard_of(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// An event was pushed. What can be taken with it is appended to `taken`.
    pub fn pushed(&mut self, entry: Entry, taken: &mut Vec<Entry>) -> Faults {
        let faults = self.put(entry, taken);
        self.is_torn |= self.missing() > 0;
        faults
    }

    /// An own message was acknowledged: an event like any other, but a hole before it is none that
    /// a lost push made (the conversation's creation is not pushed to who made it).
    pub fn acknowledged(&mut self, entry: Entry, taken: &mut Vec<Entry>) -> Faults {
        self.put(entry, taken)
    }

    /// An event of a page that was asked for with `after` a cursor; they come in order.
    pub fn paged(&mut self, entry: Entry, taken: &mut Vec<Entry>) -> Faults {
        self.put(entry, taken)
    }

    /// A page ended. `min_seq` is the first event that this member may see. True if it filled a
    /// hole that pushed events had shown.
    pub fn page_ended(&mut self, head: u64, min_seq: u64) -> bool {
        self.cursor = self.cursor.max(min_seq.saturating_sub(1));
        self.head = self.head.max(head).max(self.cursor);
        let filled = self.is_torn && self.missing() == 0;
        self.is_torn &= !filled;
        filled
    }

    fn put(&mut self, entry: Entry, taken: &mut Vec<Entry>) -> Faults {
        let mut faults = Faults::default();
        self.head = self.head.max(entry.seq);
        if entry.seq > self.cursor + 1 {
            if self.aside.len() < ASIDE_MAX {
                self.aside.insert(entry.seq, entry);
            }
        } else if entry.seq == self.cursor + 1 {
            self.take(entry, &mut faults, taken);
            while let Some(next) = self.aside.remove(&(self.cursor + 1)) {
                self.take(next, &mut faults, taken);
            }
            if !self.aside.is_empty() {
                self.aside = self.aside.split_off(&self.cursor);
            }
        }
        faults
    }

    fn take(&mut self, entry: Entry, faults: &mut Faults, taken: &mut Vec<Entry>) {
        self.cursor = entry.seq;
        // An own acknowledgement may have the time of its first result, which is the event's.
        faults.reordered += u64::from(entry.time_ms < self.time_ms);
        self.time_ms = self.time_ms.max(entry.time_ms);
        if let Said::Message(stamp) = entry.said {
            self.judge(&stamp, faults);
        }
        taken.push(entry);
    }

    fn judge(&mut self, stamp: &Stamp, faults: &mut Faults) {
        match self.senders.iter_mut().find(|sender| sender.client == stamp.client) {
            Some(sender) => sender.take(stamp.counter, faults),
            None => {
                let (client, newest) = (stamp.client, stamp.counter);
                self.senders.push(Counters { client, newest, seen: 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests;
