//! Actors: single-threaded tasks around the machines.
//!
//! An owner actor drives one [`crate::owner::Owner`], a home actor one [`crate::home::Home`]. Each
//! takes all that waits in its mailbox in one turn, hands everything that came of it to the store
//! and to other actors at the end, and is woken once for it. Reads of the store are futures of
//! their own, whose results come back to the actor.
//!
//! Nothing waits in a circle: links and owners wait for homes, homes wait for nobody.

mod asking;
mod frames;
pub(crate) mod home;
pub(crate) mod owner;

use std::sync::Arc;

use throng_store::{ConvId, UserId};
use tokio::sync::mpsc;

use crate::partition::partition_of;

/// The mailboxes of all owner actors, or of all home actors.
#[derive(Debug)]
pub(crate) struct Mailboxes<M> {
    workers: Arc<[mpsc::Sender<M>]>,
}

impl<M> Clone for Mailboxes<M> {
    fn clone(&self) -> Self {
        Self { workers: Arc::clone(&self.workers) }
    }
}

impl<M> Mailboxes<M> {
    /// Of these workers.
    pub(crate) fn new(workers: Vec<mpsc::Sender<M>>) -> Self {
        Self { workers: workers.into() }
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Index of the worker that has this conversation.
    pub(crate) fn of_conv(&self, conv: ConvId) -> usize {
        usize::from(partition_of(&conv.0)) % self.len()
    }

    /// Index of the worker that has this user.
    pub(crate) fn of_user(&self, user: UserId) -> usize {
        usize::from(partition_of(&user.0)) % self.len()
    }

    /// The mailbox of a worker.
    pub(crate) fn get(&self, worker: usize) -> &mpsc::Sender<M> {
        &self.workers[worker]
    }

    /// All mailboxes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &mpsc::Sender<M>> {
        self.workers.iter()
    }
}
