//! Who is let in: a conversation is loaded for those who are members of it, or were.
//!
//! Whoever is not known as one where it is asked waits for one point read, whether the conversation
//! is in memory, at rest, or nowhere. So strangers fill no memory, and the time of an answer tells
//! them nothing. One such read of a user in a conversation is under way at a time; what they ask
//! meanwhile waits behind it, in its order.

use std::collections::{BTreeMap, VecDeque};

use throng_store::{ConvId, UserId};

use super::Output;
use super::request::{Connection, Op, Refusal, Request};
use crate::limits;

/// Requests of users of whom it is being read whether they may ask.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    waiting: BTreeMap<(ConvId, UserId), VecDeque<Request>>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// Nothing is being read yet.
    Asks,
    /// It waits with others.
    Waits,
    /// Too many wait.
    Refused(Box<Request>),
}

impl Admission {
    /// Whether something that the user asked waits here, so that what they ask later must, too.
    pub(crate) fn holds(&self, conv: ConvId, user: UserId) -> bool {
        self.waiting.contains_key(&(conv, user))
    }

    /// A request of somebody of whom it is not known whether they may.
    pub(crate) fn wait(&mut self, conv: ConvId, request: Request) -> Entrance {
        let (key, users) = ((conv, request.asker.user.id), self.waiting.len());
        match self.waiting.get_mut(&key) {
            Some(requests) if requests.len() < limits::WAITING_MAX => {
                requests.push_back(request);
                Entrance::Waits
            }
            None if users < limits::MEMBER_READS_MAX => {
                self.waiting.insert(key, VecDeque::from([request]));
                Entrance::Asks
            }
            _ => Entrance::Refused(Box::new(request)),
        }
    }

    /// What waited for the read, in its order.
    pub(crate) fn take(&mut self, conv: ConvId, user: UserId) -> VecDeque<Request> {
        self.waiting.remove(&(conv, user)).unwrap_or_default()
    }

    /// Time has passed. The read is still under way.
    pub(crate) fn expire(&mut self, mono_ms: u64, out: &mut Vec<Output>) {
        for requests in self.waiting.values_mut() {
            while let Some(request) = requests.pop_front_if(|one| one.deadline_ms <= mono_ms) {
                request.refuse(Refusal::Unavailable, out);
            }
        }
    }

    /// These conversations are not ours any more.
    pub(crate) fn lose(&mut self, lost: impl Fn(&ConvId) -> bool, out: &mut Vec<Output>) {
        for (_, requests) in self.waiting.extract_if(.., |(conv, _), _| lost(conv)) {
            for request in requests {
                request.refuse(Refusal::Unavailable, out);
            }
        }
    }

    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Refuses strangers for good. What they wrote next was sent when this was still under way, and is
/// not held up by it: it is the first now.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    next: Option<(Connection, u64)>,
}

impl TurnedAway {
    /// Refuses one.
    pub(crate) fn refuse(&mut self, request: &Request, out: &mut Vec<Output>) {
        self.next = request.order.map(|order| (request.asker.connection, order.number + 1));
        let refusal = match request.op {
            Op::Refused(refusal) => refusal,
            _ => Refusal::NotMember,
        };
        request.refuse(refusal, out);
    }

    /// Gives the one behind those refused its place.
    pub(crate) fn follow(&self, request: &mut Request) {
        let connection = request.asker.connection;
        if let Some(order) = &mut request.order {
            order.first |= self.next == Some((connection, order.number));
        }
    }
}
