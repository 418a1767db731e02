//! Looks after the engine's own threads, which write memtables out and compact tables.
//!
//! When one of them fails, the engine refuses every write from then on, but tells only who writes:
//! an idle store would not notice. And a commit that waits for room in the memtables at that moment
//! waits for ever, so that the committer cannot be the one who looks.
//!
//! The store starts it after the committer, and ends it when it is closed.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use fjall::PersistMode;

use super::committer::Channel;
use super::engine::EngineError;
use super::tables::Tables;
use crate::limits;

/// A running watch. It ends when this is dropped.
pub(super) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(tables: Tables, channel: Channel) -> io::Result<Self> {
        // A persist that syncs nothing is how the engine tells whether it still writes.
        let check = move || Ok(tables.database.persist(PersistMode::Buffer)?);
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("store-watch".into());
        let thread = thread.spawn(move || watch(check, &channel, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        // A panic there is no reason for another one here.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Fails the store when two checks in a row fail: after the first, a commit that met the failure
/// itself may say why.
fn watch(check: impl Fn() -> Result<(), EngineError>, channel: &Channel, stopped: &Receiver<()>) {
    let mut has_failed = false;
    while stopped.recv_timeout(limits::WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        match check() {
            Ok(()) => has_failed = false,
            Err(error) if has_failed => return channel.fail(&error),
            Err(_) => has_failed = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::embedded::failure::Failure;
    use crate::embedded::queue::Queue;
    use crate::embedded::stats::Counters;

    fn channel() -> Channel {
        Channel {
            queue: Arc::new(Queue::new(1, 1)),
            failure: Arc::new(Failure::new(Path::new("/nowhere"))),
            counters: Arc::new(Counters::default()),
        }
    }

    #[test]
    fn an_idle_store_fails_when_the_engine_has() {
        let channel = channel();
        let (_stop, stopped) = mpsc::channel();
        let checks = AtomicUsize::new(0);
        let check = || match checks.fetch_add(1, Relaxed) {
            0 => Ok(()),
            _ => Err(EngineError::Poisoned),
        };
        watch(check, &channel, &stopped);
        assert_eq!(checks.load(Relaxed), 3, "the second failure counts");
        assert!(channel.failure.get().is_some());
        assert!(channel.queue.take(None).closed);
    }

    #[test]
    fn one_failed_check_alone_is_none() {
        let channel = channel();
        let (stop, stopped) = mpsc::channel();
        let (stop, checks) = (std::cell::Cell::new(Some(stop)), AtomicUsize::new(0));
        let check = || match checks.fetch_add(1, Relaxed) {
            0 | 2 => Err(EngineError::Poisoned),
            1 => Ok(()),
            _ => {
                stop.take();
                Ok(())
            }
        };
        watch(check, &channel, &stopped);
        assert!(channel.failure.get().is_none());
    }
}
