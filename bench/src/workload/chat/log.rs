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
mod tests {
    use super::*;

    fn entry(seq: u64, client: u32, counter: u64) -> Entry {
        let stamp = Stamp { tag: 1, client, counter, intended_ns: 0, handed_ns: 0 };
        Entry { seq, time_ms: 1000 + seq, said: Said::Message(stamp) }
    }

    /// Two senders take turns.
    fn stream(count: u64) -> Vec<Entry> {
        (1..=count).map(|seq| entry(seq, (seq % 2) as u32, seq.div_ceil(2))).collect()
    }

    /// Pushes a stream: (what was taken, faults, missing at the end).
    fn push(entries: &[Entry]) -> (Vec<u64>, Faults, u64) {
        let (mut log, mut taken, mut faults) = (Log::default(), Vec::new(), Faults::default());
        for entry in entries {
            let seen = log.pushed(*entry, &mut taken);
            faults.doubled += seen.doubled;
            faults.reordered += seen.reordered;
        }
        (taken.iter().map(|entry| entry.seq).collect(), faults, log.missing())
    }

    #[test]
    fn an_undamaged_stream_has_no_fault() {
        let (taken, faults, missing) = push(&stream(200));
        assert_eq!((taken, missing), ((1..=200).collect(), 0));
        assert!(faults.is_empty());
    }

    #[test]
    fn every_dropped_event_is_missing() {
        for dropped in 0..19 {
            let mut damaged = stream(20);
            damaged.remove(dropped);
            let (taken, _, missing) = push(&damaged);
            assert_eq!((taken.len(), missing), (dropped, 20 - dropped as u64));
        }
    }

    #[test]
    fn a_message_that_is_in_the_log_twice_is_found_wherever_it_is() {
        for (first, again) in (0..18).flat_map(|first| (first + 1..20).map(move |at| (first, at))) {
            let mut damaged = stream(20);
            damaged[again].said = damaged[first].said;
            let (_, faults, _) = push(&damaged);
            assert!(!faults.is_empty(), "{first} again at {again}");
            if first % 2 == again % 2 {
                assert!(faults.doubled >= 1);
            }
        }
    }

    #[test]
    fn two_messages_of_a_sender_in_the_wrong_order_are_found() {
        for at in 0..18 {
            let mut damaged = stream(20);
            (damaged[at].said, damaged[at + 2].said) = (damaged[at + 2].said, damaged[at].said);
            let (_, faults, _) = push(&damaged);
            assert_eq!(faults, Faults { doubled: 0, reordered: 1 }, "{at}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_is_found() {
        let mut damaged = stream(20);
        damaged[10].time_ms = 1;
        assert_eq!(push(&damaged).1.reordered, 1);
    }

    #[test]
    fn the_same_event_pushed_again_is_known_and_no_fault() {
        let mut twice = stream(20);
        twice.extend(stream(20));
        let (taken, faults, _) = push(&twice);
        assert_eq!(taken.len(), 20);
        assert!(faults.is_empty());
    }

    #[test]
    fn a_hole_is_filled_by_a_page_and_counted_once() {
        let (mut log, mut taken) = (Log::default(), Vec::new());
        let stream = stream(10);
        for entry in stream.iter().filter(|entry| ![4, 5].contains(&entry.seq)) {
            assert!(log.pushed(*entry, &mut taken).is_empty());
        }
        assert_eq!((log.cursor(), log.missing()), (3, 7));
        for entry in &stream[3..7] {
            assert!(log.paged(*entry, &mut taken).is_empty());
        }
        assert!(log.page_ended(10, 1));
        assert!(!log.page_ended(10, 1));
        assert_eq!(taken, stream);
    }

    #[test]
    fn the_hole_before_an_own_first_message_is_no_lost_push() {
        let (mut log, mut taken) = (Log::default(), Vec::new());
        log.acknowledged(entry(2, 1, 1), &mut taken);
        assert_eq!((taken.len(), log.missing()), (0, 2));
        log.paged(Entry { seq: 1, time_ms: 900, said: Said::Other }, &mut taken);
        assert_eq!((log.page_ended(2, 1), log.cursor(), taken.len()), (false, 2, 2));
    }

    #[test]
    fn what_was_before_a_member_joined_is_not_missing() {
        let mut log = Log::default();
        log.heard_of(12);
        assert_eq!(log.missing(), 12);
        log.page_ended(12, 13);
        assert_eq!(log.missing(), 0);
    }

    #[test]
    fn aside_is_bounded_and_what_did_not_fit_stays_missing() {
        let (mut log, mut taken) = (Log::default(), Vec::new());
        for entry in &stream(ASIDE_MAX as u64 + 3)[1..] {
            log.pushed(*entry, &mut taken);
        }
        log.pushed(stream(1)[0], &mut taken);
        assert_eq!(taken.len(), ASIDE_MAX + 1);
        assert_eq!(log.missing(), 2);
    }
}
