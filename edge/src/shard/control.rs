//! A shard's mailbox: the only way into its thread. For control, never for data.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use throng_ring::Waker;
use tokio::sync::oneshot;

use crate::keys::Keys;
use crate::limits;
use crate::metrics::Snapshot;

/// What a shard is told.
#[derive(Debug)]
pub enum Control {
    /// Everything is up: `/readyz` says so.
    Ready,
    /// New keys. Sessions stay.
    Keys(Arc<Keys>),
    /// Answer with what was counted.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Tell clients to reconnect, close them, then end.
    Drain,
    /// End now.
    Stop,
}

/// The other threads' hold on a shard.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: SyncSender<Control>,
    waker: Waker,
}

impl Handle {
    /// Puts a message into the mailbox and wakes the shard.
    ///
    /// # Errors
    /// The mailbox is full or the shard has ended; the message comes back.
    pub fn send(&self, control: Control) -> Result<(), TrySendError<Control>> {
        self.sender.try_send(control)?;
        self.waker.wake();
        Ok(())
    }
}

/// A mailbox for the shard that `waker` wakes.
pub(super) fn mailbox(waker: Waker) -> (Handle, Receiver<Control>) {
    let (sender, receiver) = sync_channel(limits::MAILBOX_MESSAGES);
    (Handle { sender, waker }, receiver)
}
