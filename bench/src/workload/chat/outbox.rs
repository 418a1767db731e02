//! What a client has to say in one conversation, until it is acknowledged. Sans-IO.
//!
//! Rules of docs/protocol.md, "Sending safely": several messages may be under way; after one that
//! failed but can be retried, the answers to those under way are waited for, then the failed one is
//! sent again with the same `client_msg_id`, and the others in their order. A final error holds up
//! nothing. After a lost connection everything that is not acknowledged is sent again, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use throng_wire::id::Id;

/// Pauses before a refused message is sent again, where the server names none: first and last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Part of the load: measured and judged.
    Load,
    /// To the first shard's leader: this shard is set up.
    Ready,
    /// To the other leaders: the measured part begins at this many nanoseconds since the start.
    Go(u64),
}

/// A message that is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// 1, 2, 3 … in this client and conversation; load and others count apart.
    pub counter: u64,
    /// Why it is said.
    pub purpose: Purpose,
    /// When it should be sent, nanoseconds since the start of the run.
    pub intended_ns: u64,
    /// When it was first handed over; 0: not yet. Part of its content, so it stays.
    pub handed_ns: u64,
    /// Made when it is first handed over.
    pub id: Id,
    state: State,
}

impl Message {
    /// One to be sent.
    #[must_use]
    pub fn new(counter: u64, purpose: Purpose, intended_ns: u64) -> Self {
        let (handed_ns, id, state) = (0, [0; 16], State::Waiting);
        Self { counter, purpose, intended_ns, handed_ns, id, state }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// Sent; the number of the request.
    UnderWay(u32),
    Failed,
}

/// See the module header.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: VecDeque<Message>,
    /// Messages of the load made so far.
    pub made: u64,
    /// Others.
    pub made_others: u64,
    /// The pause after a failure ends then.
    again_at: Option<Instant>,
    /// Failures without a success between them.
    failures: u32,
    /// The newest acknowledged: counter and seq.
    acknowledged: (u64, u64),
}

impl Outbox {
    /// Whether all is acknowledged or given up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Messages that are not acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether some of them wait for an answer.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.messages.iter().any(|message| matches!(message.state, State::UnderWay(_)))
    }

    /// When [`Outbox::next`] has something again after a failure, if all answers are here.
    #[must_use]
    pub fn again_at(&self) -> Option<Instant> {
        self.again_at.filter(|_| !self.is_under_way())
    }

    /// Has something to say.
    pub fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// The message to send now, as request `request`: the caller must send it.
    pub fn next(&mut self, now: Instant, request: u32) -> Option<&mut Message> {
        if let Some(at) = self.again_at {
            if now < at || self.is_under_way() {
                return None;
            }
            self.begin_anew();
        }
        let next = self.messages.iter_mut().find(|message| message.state == State::Waiting)?;
        next.state = State::UnderWay(request);
        Some(next)
    }

    /// A request was acknowledged with this place in the log: the message, and whether the places
    /// of the conversation are in the order of its messages.
    pub fn acked(&mut self, request: u32, seq: u64) -> Option<(Message, bool)> {
        let message = self.remove(request)?;
        self.failures = 0;
        if message.purpose != Purpose::Load {
            return Some((message, true));
        }
        let (counter, place) = self.acknowledged;
        let is_ordered = (message.counter > counter) == (seq > place);
        self.acknowledged = self.acknowledged.max((message.counter, seq));
        Some((message, is_ordered))
    }

    /// A request was refused but may be tried again, not before `pause` if the server said one.
    pub fn refused(&mut self, request: u32, now: Instant, pause: Option<Duration>) {
        let Some(at) = self.position(request) else { return };
        self.messages[at].state = State::Failed;
        let doubled = PAUSES.0.saturating_mul(1 << self.failures.min(5)).min(PAUSES.1);
        // The first failure alone makes the pause longer: those behind it fail because of it.
        self.failures += u32::from(self.again_at.is_none());
        let again_at = now + pause.unwrap_or(doubled);
        self.again_at = Some(self.again_at.map_or(again_at, |at| at.max(again_at)));
    }

    /// One that failed because of an earlier one, and says nothing about how long to wait.
    pub fn held_up(&mut self, request: u32, now: Instant) {
        if let Some(at) = self.position(request) {
            self.messages[at].state = State::Failed;
            self.again_at.get_or_insert(now);
        }
    }

    /// A request failed for good: the message is given up.
    pub fn given_up(&mut self, request: u32) -> Option<Message> {
        self.remove(request)
    }

    /// The connection is gone, and with it all answers. How many were under way.
    pub fn disconnected(&mut self) -> usize {
        let under_way = self.messages.iter().filter(|m| m.state != State::Waiting).count();
        self.begin_anew();
        under_way
    }

    fn begin_anew(&mut self) {
        self.again_at = None;
        for message in &mut self.messages {
            message.state = State::Waiting;
        }
    }

    fn position(&self, request: u32) -> Option<usize> {
        self.messages.iter().position(|message| message.state == State::UnderWay(request))
    }

    fn remove(&mut self, request: u32) -> Option<Message> {
        self.position(request).and_then(|at| self.messages.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(messages: u64) -> Outbox {
        let mut outbox = Outbox::default();
        for counter in 1..=messages {
            outbox.push(Message::new(counter, Purpose::Load, counter));
        }
        outbox
    }

    /// Sends all that can be sent: their counters. Requests are numbered by `base` + counter.
    fn send(outbox: &mut Outbox, now: Instant, base: u32) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(message) = outbox.next(now, base + sent.len() as u32) {
            sent.push(message.counter);
        }
        sent
    }

    #[test]
    fn messages_are_under_way_together_and_in_order() {
        let (mut outbox, now) = (outbox(3), Instant::now());
        assert_eq!(send(&mut outbox, now, 0), [1, 2, 3]);
        for (request, seq) in [(0, 2), (1, 3), (2, 4)] {
            assert!(outbox.acked(request, seq).unwrap().1);
        }
        assert!(outbox.is_empty());
        assert!(outbox.acked(0, 2).is_none());
    }

    #[test]
    fn after_a_failure_all_answers_and_the_pause_are_waited_for_then_order_is_kept() {
        let (mut outbox, now) = (outbox(4), Instant::now());
        send(&mut outbox, now, 0);
        outbox.push(Message::new(5, Purpose::Load, 5));
        outbox.acked(0, 2);
        outbox.refused(1, now, Some(Duration::from_millis(300)));
        outbox.held_up(2, now);
        let later = now + Duration::from_millis(300);
        assert_eq!((send(&mut outbox, later, 9), outbox.again_at()), (vec![], None));
        outbox.held_up(3, now);
        assert_eq!(outbox.again_at(), Some(later));
        assert_eq!(send(&mut outbox, later - Duration::from_millis(1), 9), [0; 0]);
        assert_eq!(send(&mut outbox, later, 9), [2, 3, 4, 5]);
    }

    #[test]
    fn pauses_grow_while_nothing_succeeds_and_are_the_servers_where_it_names_one() {
        let (mut outbox, mut now) = (outbox(1), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            send(&mut outbox, now, 0);
            outbox.refused(0, now, None);
            assert_eq!(outbox.again_at(), Some(now + Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn a_lost_connection_puts_back_what_was_under_way() {
        let (mut outbox, now) = (outbox(3), Instant::now());
        send(&mut outbox, now, 0);
        outbox.refused(0, now, None);
        assert_eq!(outbox.disconnected(), 3);
        assert_eq!(send(&mut outbox, now, 0), [1, 2, 3]);
    }

    #[test]
    fn what_failed_for_good_holds_up_nothing() {
        let (mut outbox, now) = (outbox(2), Instant::now());
        send(&mut outbox, now, 0);
        assert_eq!(outbox.given_up(0).map(|message| message.counter), Some(1));
        assert!(outbox.acked(1, 2).unwrap().1 && outbox.is_empty());
    }

    #[test]
    fn places_in_another_order_than_the_messages_are_found() {
        let (mut outbox, now) = (outbox(3), Instant::now());
        send(&mut outbox, now, 0);
        assert!(outbox.acked(1, 3).unwrap().1);
        assert!(!outbox.acked(0, 4).unwrap().1, "1 behind 2");
        assert!(!outbox.acked(2, 2).unwrap().1, "3 before 2");
    }
}
