//! From the actors to a link's task.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use throng_store::UserId;
use tokio::sync::Notify;

use crate::limits::HINT_BYTES_MAX;
use crate::owner::{Connection, Refusal};

/// What must arrive. As many as there are requests under way, which credits bound, and evictions.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The answer to a request, or to a part of it.
    Answer { request: u64, part: u32, body: Bytes, refusal: Option<Refusal> },
    /// Close this connection.
    Evict { connection: Connection, too_many: bool },
}

/// A frame for connections of one link. `slots`, `sessions` and `users` are of equal length.
#[derive(Debug)]
pub(crate) struct OutgoingHint {
    pub(crate) slots: Vec<u32>,
    pub(crate) sessions: Vec<u32>,
    pub(crate) users: Vec<UserId>,
    pub(crate) frame: Bytes,
    pub(crate) ephemeral: bool,
}

impl OutgoingHint {
    /// A frame for nobody yet.
    pub(crate) fn new(frame: Bytes, ephemeral: bool) -> Self {
        Self { slots: Vec::new(), sessions: Vec::new(), users: Vec::new(), frame, ephemeral }
    }

    /// Also for this connection.
    pub(crate) fn add(&mut self, user: UserId, connection: Connection) {
        self.slots.push(connection.slot);
        self.sessions.push(connection.session);
        self.users.push(user);
    }

    fn bytes(&self) -> usize {
        self.frame.len() + self.slots.len() * 10 + 64
    }

    /// Whom it is for.
    pub(crate) fn targets(&self, link: u32) -> impl Iterator<Item = (UserId, Connection)> {
        let connections = self.slots.iter().zip(&self.sessions);
        let connections =
            connections.map(move |(&slot, &session)| Connection { link, slot, session });
        self.users.iter().copied().zip(connections)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    replies: Vec<Reply>,
    hints: VecDeque<OutgoingHint>,
    hint_bytes: usize,
}

/// What waits for one link.
#[derive(Debug, Default)]
pub(crate) struct LinkQueue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl LinkQueue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts replies of one turn.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.waiting().replies.extend(replies);
        self.wake.notify_one();
    }

    /// Puts hints of one turn. Gives back those for which there is no room.
    pub(crate) fn hint(&self, hints: Vec<OutgoingHint>) -> Vec<OutgoingHint> {
        let mut refused = Vec::new();
        let mut waiting = self.waiting();
        for hint in hints {
            if waiting.hint_bytes + hint.bytes() > HINT_BYTES_MAX {
                refused.push(hint);
            } else {
                waiting.hint_bytes += hint.bytes();
                waiting.hints.push_back(hint);
            }
        }
        drop(waiting);
        self.wake.notify_one();
        refused
    }

    /// Whether a repaired connection would not be refused at once again.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting().hint_bytes <= HINT_BYTES_MAX / 2
    }

    /// Takes the replies.
    pub(crate) fn take_replies(&self) -> Vec<Reply> {
        std::mem::take(&mut self.waiting().replies)
    }

    /// Takes the first hint.
    pub(crate) fn take_hint(&self) -> Option<OutgoingHint> {
        let mut waiting = self.waiting();
        let hint = waiting.hints.pop_front()?;
        waiting.hint_bytes -= hint.bytes();
        Some(hint)
    }

    /// Resolves when something was put since the last time.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// The links that there are.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: RwLock<HashMap<u32, Arc<LinkQueue>>>,
}

impl Links {
    /// A link begins.
    pub(crate) fn add(&self, link: u32, queue: Arc<LinkQueue>) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).insert(link, queue);
    }

    /// A link is gone.
    pub(crate) fn remove(&self, link: u32) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).remove(&link);
    }

    /// The queue of a link.
    pub(crate) fn get(&self, link: u32) -> Option<Arc<LinkQueue>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(&link).cloned()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.links.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Replies of one turn, by link.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    by_link: HashMap<u32, Vec<Reply>>,
}

impl Replies {
    /// Adds one.
    pub(crate) fn push(&mut self, link: u32, reply: Reply) {
        self.by_link.entry(link).or_default().push(reply);
    }

    /// Hands all to their links. Those of links that are gone are for nobody.
    pub(crate) fn send(&mut self, links: &Links) {
        for (link, replies) in self.by_link.drain() {
            if let Some(queue) = links.get(link) {
                queue.reply(replies);
            }
        }
    }
}
