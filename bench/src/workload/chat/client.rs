//! What a shard remembers of one of its clients. A client that has said and heard nothing has no
//! [`Talk`]: a million of them cost what [`Client`] takes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use throng_wire::id::Id;

use super::log::Log;
use super::outbox::Outbox;
use crate::generator::random::Random;

/// The first pause of those that double, after an attempt at once; and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How far a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected.
    #[default]
    Away,
    /// Connecting, or waiting for `welcome`.
    Coming,
    /// Welcomed.
    Here,
    /// Not to be connected again: it found a fault, or was told to stay away.
    Gone,
}

/// See the module header.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// How far it is.
    pub(super) phase: Phase,
    /// It was welcomed before.
    pub(super) is_known: bool,
    /// Attempts to connect since the last welcome.
    pub(super) attempts: u8,
    /// Number of the newest request.
    pub(super) request: u32,
    /// What to give in `hello`, from the newest `welcome` or `changes`.
    pub(super) cursor: Option<Box<str>>,
    /// What it says and hears.
    pub(super) talk: Option<Box<Talk>>,
}

impl Client {
    /// How long to wait before the next attempt to connect: none the first time, then 1, 2, 4 … 30
    /// seconds, each plus a random part of as much.
    pub(super) fn pause(&mut self, random: &mut Random) -> Duration {
        let attempt = u32::from(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let Some(doublings) = attempt.checked_sub(1) else { return Duration::ZERO };
        let pause = PAUSES.0.saturating_mul(1 << doublings.min(5)).min(PAUSES.1);
        pause + pause.mul_f64(random.fraction())
    }

    /// The number of a new request. 1 is `hello`.
    pub(super) fn next_request(&mut self) -> u32 {
        self.request += 1;
        self.request
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) enum Pending {
    /// A message of this conversation.
    Send(u32),
    /// A group of the run is made.
    Create(u32),
    /// Pages of these conversations, each from a cursor.
    Sync(Vec<(u32, u64)>),
    /// A watermark.
    Mark,
    /// A page of the list of conversations.
    Conversations,
    /// A page of changes.
    Changes,
}

/// One conversation of one client.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Its id.
    pub(super) id: Id,
    /// The other user, where it is a direct one that this client speaks in.
    pub(super) peer: Option<u32>,
    /// Members, where this client speaks.
    pub(super) members: u32,
    /// The server is known to have it.
    pub(super) exists: bool,
    /// What was said.
    pub(super) log: Log,
    /// What is to be said.
    pub(super) outbox: Option<Box<Outbox>>,
    /// In [`Talk::speaking`].
    pub(super) is_speaking: bool,
    /// In [`Talk::unsynced`], or asked for.
    pub(super) is_unsynced: bool,
    /// In [`Talk::unmarked`].
    pub(super) is_unmarked: bool,
    /// Up to where watermarks were said.
    pub(super) marked: u64,
}

impl Conversation {
    /// What is to be said.
    pub(super) fn outbox(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_with(Box::default)
    }

    /// Whether own messages wait for their answers.
    #[must_use]
    pub(super) fn awaits_answers(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.is_under_way())
    }
}

/// A watermark to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Of which conversation.
    pub(super) conversation: u32,
    /// `read`, not `delivered`.
    pub(super) is_read: bool,
    /// Up to where.
    pub(super) seq: u64,
}

/// What a client says and hears.
#[derive(Debug, Default)]
pub(super) struct Talk {
    by_id: HashMap<Id, u32>,
    /// Conversations, in the order in which they became known.
    pub(super) conversations: Vec<Conversation>,
    /// Requests without an answer.
    pub(super) pending: Vec<(u32, Pending)>,
    /// Conversations that may have something to send now.
    pub(super) speaking: VecDeque<u32>,
    /// Conversations to be asked for.
    pub(super) unsynced: Vec<u32>,
    /// A page of them or of a list is asked for, or there is to be a pause before the next.
    pub(super) is_asking: bool,
    /// Groups to be made.
    pub(super) to_create: VecDeque<u32>,
    /// Not now: one was refused.
    pub(super) holds_creations: bool,
    /// The list of conversations is to be read from here on.
    pub(super) list_after: Option<String>,
    /// There are further changes to be asked for.
    pub(super) more_changes: bool,
    /// Conversations whose watermarks have moved.
    pub(super) unmarked: VecDeque<u32>,
    /// Their timer runs.
    pub(super) marks_timed: bool,
    /// Watermarks to be said now.
    pub(super) marks: VecDeque<Mark>,
}

impl Talk {
    /// The place of a conversation, which is known from now on.
    pub(super) fn find_or_begin(&mut self, id: &Id) -> u32 {
        let next = self.conversations.len() as u32;
        let place = *self.by_id.entry(*id).or_insert(next);
        if place == next {
            self.conversations.push(Conversation { id: *id, ..Conversation::default() });
        }
        place
    }

    /// A conversation.
    pub(super) fn at(&mut self, place: u32) -> &mut Conversation {
        &mut self.conversations[place as usize]
    }

    /// It may have something to send.
    pub(super) fn speak(&mut self, place: u32) {
        let conversation = &mut self.conversations[place as usize];
        let has_something = conversation.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty());
        if has_something && !std::mem::replace(&mut conversation.is_speaking, true) {
            self.speaking.push_back(place);
        }
    }

    /// All may have something to send.
    pub(super) fn speak_all(&mut self) {
        (0..self.conversations.len() as u32).for_each(|place| self.speak(place));
    }

    /// It shall be asked for.
    pub(super) fn ask(&mut self, place: u32) {
        if !std::mem::replace(&mut self.conversations[place as usize].is_unsynced, true) {
            self.unsynced.push(place);
        }
    }

    /// Takes a request that was answered.
    pub(super) fn answered(&mut self, request: u32) -> Option<Pending> {
        let at = self.pending.iter().position(|(number, _)| *number == request)?;
        Some(self.pending.swap_remove(at).1)
    }

    /// The connection is gone: what waited for an answer is to be done again. Watermarks are not:
    /// those that are said next are higher.
    pub(super) fn disconnected(&mut self) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Sync(asked) => self.unsynced.extend(asked.iter().map(|(place, _)| place)),
                Pending::Create(group) => self.to_create.push_back(group),
                Pending::Send(_) | Pending::Mark => {}
                // The next welcome says what has happened.
                Pending::Conversations | Pending::Changes => {}
            }
        }
        (self.is_asking, self.list_after, self.more_changes) = (false, None, false);
        self.marks.clear();
        for conversation in &mut self.conversations {
            if let Some(outbox) = &mut conversation.outbox {
                outbox.disconnected();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_none_then_double_up_to_their_end_with_as_much_chance() {
        let (mut client, mut random) = (Client::default(), Random::new(1));
        assert_eq!(client.pause(&mut random), Duration::ZERO);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = client.pause(&mut random);
            let least = Duration::from_secs(seconds);
            assert!(pause >= least && pause < 2 * least, "{seconds} s: {pause:?}");
        }
    }

    #[test]
    fn what_waited_for_an_answer_is_asked_again_after_a_lost_connection() {
        let mut talk = Talk::default();
        let place = talk.find_or_begin(&[1; 16]);
        assert_eq!(talk.find_or_begin(&[1; 16]), place);
        talk.at(place).is_unsynced = true;
        talk.pending.push((2, Pending::Sync(vec![(place, 7)])));
        talk.pending.push((3, Pending::Create(9)));
        talk.disconnected();
        assert_eq!((talk.unsynced, talk.to_create.into()), (vec![place], vec![9]));
    }

    #[test]
    fn a_client_that_never_talked_is_small() {
        assert!(size_of::<Client>() <= 40, "{}", size_of::<Client>());
    }
}
