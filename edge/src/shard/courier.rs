//! Brings new keys and the drain to every shard, also to one whose mailbox is full for a while.
//!
//! Of keys only the newest count, and a drain is one, so what waits is bounded. The process calls
//! [`Courier::deliver`] again while something [waits](Courier::is_waiting).

use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use super::control::{Control, Handle};
use crate::keys::Keys;

/// What shards are still to be told.
#[derive(Debug)]
pub struct Courier {
    errands: Vec<Errand>,
}

#[derive(Debug)]
struct Errand {
    handle: Handle,
    keys: Option<Arc<Keys>>,
    drains: bool,
}

impl Courier {
    /// One that has nothing to bring yet.
    pub fn new(shards: &[Handle]) -> Self {
        let errand = |handle: &Handle| Errand { handle: handle.clone(), keys: None, drains: false };
        Self { errands: shards.iter().map(errand).collect() }
    }

    /// New keys for all shards.
    pub fn bring_keys(&mut self, keys: &Arc<Keys>) {
        for errand in &mut self.errands {
            errand.keys = Some(Arc::clone(keys));
        }
        self.deliver();
    }

    /// The drain for all shards.
    pub fn bring_drain(&mut self) {
        for errand in &mut self.errands {
            errand.drains = true;
        }
        self.deliver();
    }

    /// Tries again what did not fit into a mailbox.
    pub fn deliver(&mut self) {
        for errand in &mut self.errands {
            if let Some(keys) = errand.keys.take()
                && !errand.put(Control::Keys(Arc::clone(&keys)))
            {
                errand.keys = Some(keys);
            }
            if errand.drains {
                errand.drains = !errand.put(Control::Drain);
            }
        }
    }

    /// Something is still to be delivered.
    pub fn is_waiting(&self) -> bool {
        self.errands.iter().any(|errand| errand.drains || errand.keys.is_some())
    }
}

impl Errand {
    /// False: there is no room now. A shard that has ended needs to be told nothing.
    fn put(&self, control: Control) -> bool {
        !matches!(self.handle.send(control), Err(TrySendError::Full(_)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use throng_ring::sim::{SimConfig, SimDriver};
    use throng_ring::{Driver as _, Io as _};

    use super::*;
    use crate::limits;
    use crate::shard::control;

    fn mailbox() -> (Handle, Receiver<Control>) {
        let (mut driver, _sim) = SimDriver::new(SimConfig::default());
        control::mailbox(driver.io().waker())
    }

    #[test]
    fn a_mailbox_holds_its_messages_and_refuses_one_more() {
        let (handle, mailbox) = mailbox();
        for _ in 0..limits::MAILBOX_MESSAGES {
            assert!(handle.send(Control::Ready).is_ok());
        }
        assert!(matches!(handle.send(Control::Ready), Err(TrySendError::Full(Control::Ready))));
        assert!(mailbox.try_recv().is_ok());
        assert!(handle.send(Control::Ready).is_ok());
    }

    #[test]
    fn a_drain_waits_for_room_in_a_full_mailbox_and_comes_once() {
        let (handle, mailbox) = mailbox();
        while handle.send(Control::Ready).is_ok() {}
        let mut courier = Courier::new(&[handle]);
        courier.bring_drain();
        assert!(courier.is_waiting());
        assert_eq!(mailbox.try_iter().count(), limits::MAILBOX_MESSAGES);
        courier.deliver();
        courier.deliver();
        assert!(!courier.is_waiting());
        assert!(matches!(mailbox.try_iter().collect::<Vec<_>>()[..], [Control::Drain]));
    }

    #[test]
    fn a_shard_that_ended_is_waited_for_by_nobody() {
        let (handle, mailbox) = mailbox();
        drop(mailbox);
        let mut courier = Courier::new(&[handle]);
        courier.bring_drain();
        assert!(!courier.is_waiting());
    }
}
