//! The order of a connection's sends to one conversation (invariant I2).
//!
//! Sends are numbered one after the other while there is anything to remember about the
//! conversation, and the first says that nothing earlier is under way. When one fails in a way that
//! a retry may mend, those behind it fail too at the router; here the failed message's id is
//! remembered, and every later send is refused until that one comes again. A message without an id
//! of the client's cannot come again, so it holds nothing up once what was under way has been
//! answered.
//!
//! A number is never given twice, also after the conversation was forgotten: the owner may still
//! expect the one after the last that it saw, and a send of that number whose predecessor was lost
//! on the way would pass. Remembering the last number of every conversation would cost memory as
//! long as the connection lives; counting on from the highest of all costs none ([`Numbers`]).

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

/// The numbers that a shard's connections give.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    highest: u64,
}

impl Numbers {
    /// Above every number of any conversation.
    fn begin(&mut self) -> u64 {
        self.after(self.highest)
    }

    /// The next one of a conversation.
    fn after(&mut self, last: u64) -> u64 {
        self.highest = self.highest.max(last + 1);
        last + 1
    }
}

/// Conversations of one connection with sends to remember.
#[derive(Debug, Default)]
pub(super) struct Orders {
    entries: SmallVec<[Entry; 1]>,
}

impl Orders {
    /// A send to `conv` wants to go.
    pub(super) fn begin(
        &mut self,
        numbers: &mut Numbers,
        conv: Id,
        id: Id,
    ) -> Result<Place, Refused> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.conv == conv) else {
            return self.begin_first(numbers, conv);
        };
        match entry.failed {
            Some(failed) if failed.id != id => return Err(Refused::AfterFailed),
            Some(_) if entry.under_way > 0 => return Err(Refused::AfterFailed),
            _ => entry.failed = None,
        }
        let first = entry.under_way == 0;
        entry.last = numbers.after(entry.last);
        entry.under_way += 1;
        Ok(Place { number: entry.last, first })
    }

    fn begin_first(&mut self, numbers: &mut Numbers, conv: Id) -> Result<Place, Refused> {
        if self.entries.len() >= limits::ORDERED_CONVERSATIONS_MAX {
            return Err(Refused::TooMany);
        }
        let number = numbers.begin();
        self.entries.push(Entry { conv, last: number, under_way: 1, failed: None });
        Ok(Place { number, first: true })
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
    /// sent and had failed. False: there is no room to remember it, so a later send could overtake
    /// it; the connection has to end.
    #[must_use]
    pub(super) fn refuse(
        &mut self,
        numbers: &mut Numbers,
        conv: Id,
        id: Id,
        can_return: bool,
    ) -> bool {
        let number = match self.entries.iter_mut().find(|entry| entry.conv == conv) {
            Some(entry) => {
                entry.last = numbers.after(entry.last);
                entry.under_way += 1;
                entry.last
            }
            None => match self.begin_first(numbers, conv) {
                Ok(place) => place.number,
                Err(_) => return !can_return,
            },
        };
        self.end(&conv, number, id, can_return, true);
        true
    }

    /// Nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        assert_eq!(orders.begin(&mut numbers, CONV, A), place(1, true));
        assert_eq!(orders.begin(&mut numbers, CONV, B), place(2, false));
        assert_eq!(orders.begin(&mut numbers, OTHER, C), place(3, true));
        assert_eq!(orders.begin(&mut numbers, CONV, C), place(3, false));
    }

    #[test]
    fn nothing_is_remembered_when_all_went_well() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        let _ = (orders.begin(&mut numbers, CONV, A), orders.begin(&mut numbers, CONV, B));
        orders.end(&CONV, 1, A, true, false);
        assert!(!orders.is_empty());
        orders.end(&CONV, 2, B, true, false);
        assert!(orders.is_empty());
    }

    #[test]
    fn after_a_failure_only_the_failed_message_may_go() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        let _ = (orders.begin(&mut numbers, CONV, A), orders.begin(&mut numbers, CONV, B));
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(&mut numbers, CONV, C), Err(Refused::AfterFailed));
        let free = orders.begin(&mut numbers, OTHER, C);
        assert_eq!(free, place(3, true), "another conversation is free");
        orders.end(&CONV, 2, B, true, true);
        assert_eq!(orders.begin(&mut numbers, CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(&mut numbers, CONV, A), place(3, true));
        assert_eq!(orders.begin(&mut numbers, CONV, B), place(4, false));
    }

    #[test]
    fn the_failed_message_waits_for_the_answers_of_those_behind_it() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        let _ = (orders.begin(&mut numbers, CONV, A), orders.begin(&mut numbers, CONV, B));
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(&mut numbers, CONV, A), Err(Refused::AfterFailed));
        orders.end(&CONV, 2, B, true, true);
        assert_eq!(orders.begin(&mut numbers, CONV, A), place(3, true));
    }

    #[test]
    fn the_earliest_failure_counts_whatever_the_order_of_answers() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        let _ = (orders.begin(&mut numbers, CONV, A), orders.begin(&mut numbers, CONV, B));
        orders.end(&CONV, 2, B, true, true);
        orders.end(&CONV, 1, A, true, true);
        assert_eq!(orders.begin(&mut numbers, CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(&mut numbers, CONV, A), place(3, true));
    }

    #[test]
    fn a_message_that_cannot_come_again_holds_nothing_up() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        let _ = (orders.begin(&mut numbers, CONV, A), orders.begin(&mut numbers, CONV, B));
        orders.end(&CONV, 1, A, false, true);
        assert_eq!(orders.begin(&mut numbers, CONV, C), Err(Refused::AfterFailed));
        orders.end(&CONV, 2, B, false, true);
        assert!(orders.is_empty());
        assert_eq!(orders.begin(&mut numbers, CONV, C), place(3, true));
    }

    #[test]
    fn a_send_refused_before_it_went_keeps_its_place() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        assert!(orders.refuse(&mut numbers, CONV, A, true));
        assert_eq!(orders.begin(&mut numbers, CONV, B), Err(Refused::AfterFailed));
        assert_eq!(orders.begin(&mut numbers, CONV, A), place(2, true));
        assert!(orders.refuse(&mut numbers, OTHER, B, false));
        let free = orders.begin(&mut numbers, OTHER, C);
        assert_eq!(free, place(4, true), "it cannot come again");
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut orders, mut numbers) = (Orders::default(), Numbers::default());
        for n in 0..limits::ORDERED_CONVERSATIONS_MAX {
            let conv = [n as u8; 16];
            let place = orders.begin(&mut numbers, conv, A).unwrap();
            orders.end(&conv, place.number, A, true, true);
        }
        assert_eq!(orders.begin(&mut numbers, [99; 16], A), Err(Refused::TooMany));
        assert!(
            orders.begin(&mut numbers, [0; 16], A).is_ok(),
            "a retry is not another conversation"
        );
    }

    /// What the owner of the conversation keeps of the connection, and its log.
    #[derive(Debug, Default)]
    struct Owner {
        expected: Option<u64>,
        log: Vec<usize>,
    }

    impl Owner {
        /// Whether the send succeeds; it does not if `works` is false or its turn has not come.
        fn receive(&mut self, message: usize, place: Place, works: bool) -> bool {
            if !place.first && self.expected != Some(place.number) {
                return false;
            }
            if !works {
                if place.first {
                    self.expected = Some(place.number);
                }
                return false;
            }
            self.expected = Some(place.number + 1);
            if !self.log.contains(&message) {
                self.log.push(message);
            }
            true
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The client sends its next message that was not sent or has failed.
        Send,
        /// What waits on the link arrives: each send works or fails at the owner.
        Arrive(u8),
        /// What waits on the link is refused there; the owner never hears of it.
        Lose,
        /// The edge has the answer to one that arrived, and whether the answer is lost.
        Answer(usize, bool),
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Message {
        ToSend,
        UnderWay,
        Done,
    }

    /// One connection and one conversation, with a link between edge and owner that loses batches.
    #[derive(Debug)]
    struct World {
        orders: Orders,
        numbers: Numbers,
        messages: [Message; 12],
        link: Vec<(usize, Place)>,
        answers: Vec<(usize, u64, bool)>,
        owner: Owner,
    }

    impl World {
        fn new() -> Self {
            Self {
                orders: Orders::default(),
                numbers: Numbers::default(),
                messages: [Message::ToSend; 12],
                link: Vec::new(),
                answers: Vec::new(),
                owner: Owner::default(),
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Send => self.send(),
                Step::Arrive(works) => {
                    for (at, (message, place)) in self.link.drain(..).enumerate() {
                        let works = works >> (at % 8) & 1 == 1;
                        let done = self.owner.receive(message, place, works);
                        self.answers.push((message, place.number, done));
                    }
                }
                Step::Lose => {
                    let lost = self.link.drain(..);
                    self.answers
                        .extend(lost.map(|(message, place)| (message, place.number, false)));
                }
                Step::Answer(which, lost) => self.answer(which, lost),
            }
        }

        fn send(&mut self) {
            let next = self.messages.iter().position(|message| *message == Message::ToSend);
            let Some(message) = next else { return };
            let id = [message as u8; 16];
            if let Ok(place) = self.orders.begin(&mut self.numbers, CONV, id) {
                self.messages[message] = Message::UnderWay;
                self.link.push((message, place));
            }
        }

        fn answer(&mut self, which: usize, lost: bool) {
            if self.answers.is_empty() {
                return;
            }
            let (message, number, done) = self.answers.swap_remove(which % self.answers.len());
            let done = done && !lost;
            self.orders.end(&CONV, number, [message as u8; 16], true, !done);
            self.messages[message] = if done { Message::Done } else { Message::ToSend };
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Send),
            2 => prop_oneof![Just(0xff), any::<u8>()].prop_map(Step::Arrive),
            1 => Just(Step::Lose),
            4 => (any::<usize>(), prop::bool::weighted(0.1))
                .prop_map(|(which, lost)| Step::Answer(which, lost)),
        ]
    }

    proptest! {
        #[test]
        fn sends_succeed_in_the_clients_order_whatever_is_lost(
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut world = World::new();
            for step in steps {
                world.step(step);
                prop_assert!(world.owner.log.is_sorted(), "{:?}", world.owner.log);
            }
            // When nothing fails any more, everything arrives.
            for _ in 0..100 {
                for step in [Step::Send, Step::Arrive(0xff), Step::Answer(0, false)] {
                    world.step(step);
                }
            }
            prop_assert_eq!(world.owner.log, (0..12).collect::<Vec<_>>());
        }
    }
}
