//! Appends under way: a lane for each conversation, so that their outcomes come in their order, and
//! one bound over all.
//!
//! A lane is a task that lives as long as the conversation has appends. An append is a write of its
//! rows and, beside it, of its dirty window and of the conversation in that window; all of them
//! count. What fails is made again ([`super::session::persist`]) with the same rows; after that
//! its outcome is `Unknown`, whatever the errors were.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::warn;

use super::client::Client;
use super::log;
use super::session::Failure;
use super::windows::{self, Windows};
use crate::{Append, AppendOutcome, Busy, ConvId, Outcomes, Tag, limits};

/// The appends of one handle.
pub(super) struct Appends {
    client: Arc<Client>,
    windows: Arc<Windows>,
    /// Set when this incarnation was seen fenced: nothing is written from then on.
    fenced: Arc<AtomicBool>,
    lanes: Mutex<Lanes>,
    under_way: Semaphore,
}

#[derive(Default)]
struct Lanes {
    /// What waits behind the one under way.
    waiting: HashMap<ConvId, VecDeque<Queued>>,
    appends: usize,
    bytes: usize,
}

struct Queued {
    append: Append,
    tag: Tag,
    outcomes: Outcomes,
}

impl Queued {
    fn bytes(&self) -> usize {
        self.append.rows.iter().map(|row| row.body.len() + size_of_val(row)).sum()
    }
}

impl Appends {
    pub(super) fn new(
        client: Arc<Client>,
        windows: Arc<Windows>,
        fenced: Arc<AtomicBool>,
    ) -> Arc<Self> {
        let under_way = Semaphore::new(limits::CQL_APPENDS);
        Arc::new(Self { client, windows, fenced, lanes: Mutex::default(), under_way })
    }

    /// Queues an append on `runtime`.
    pub(super) fn push(
        self: &Arc<Self>,
        runtime: &Handle,
        append: Append,
        tag: Tag,
        outcomes: &Outcomes,
    ) -> Result<(), Busy> {
        let queued = Queued { append, tag, outcomes: outcomes.clone() };
        let conv = queued.append.conv;
        let Some(first) = self.lanes().push(queued).map_err(Busy)? else { return Ok(()) };
        let appends = Arc::clone(self);
        runtime.spawn(async move { appends.run(conv, first).await });
        Ok(())
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, conv: ConvId, first: Queued) {
        let mut next = Some(first);
        while let Some(queued) = next {
            let bytes = queued.bytes();
            let outcome = self.append(&queued.append).await;
            // Before it is told: who knows the outcome finds room for the next.
            self.lanes().release(bytes);
            queued.outcomes.deliver(vec![(queued.tag, outcome)]);
            // After it was told: nothing of the conversation is answered before.
            next = self.lanes().next(conv);
        }
    }

    async fn append(&self, append: &Append) -> AppendOutcome {
        let Ok(_permit) = self.under_way.acquire().await else { return AppendOutcome::Unknown };
        if self.fenced.load(Ordering::Acquire) {
            return AppendOutcome::Fenced;
        }
        match self.write(append).await {
            Ok(()) => AppendOutcome::Ok,
            Err(failure) => {
                warn!(%failure, "the outcome of an append is unknown");
                AppendOutcome::Unknown
            }
        }
    }

    async fn write(&self, append: &Append) -> Result<(), Failure> {
        let rows = log::write(&self.client, append.conv, &append.rows);
        let Some(window) = append.dirty else { return rows.await };
        let open = windows::open(&self.client, &self.windows, window);
        let mark = windows::mark(&self.client, window, append.conv);
        // Each to its end, so that nothing is under way when the outcome is told.
        let (rows, open, mark) = tokio::join!(rows, open, mark);
        rows.and(open).and(mark)
    }
}

impl Lanes {
    /// Takes an append in, and gives it back to be begun if nothing of its conversation is under
    /// way.
    fn push(&mut self, queued: Queued) -> Result<Option<Queued>, Append> {
        let bytes = queued.bytes();
        let full = self.appends >= limits::QUEUE_APPENDS
            || self.appends > 0 && self.bytes + bytes > limits::QUEUE_BYTES;
        if full {
            return Err(queued.append);
        }
        self.appends += 1;
        self.bytes += bytes;
        match self.waiting.get_mut(&queued.append.conv) {
            Some(lane) => {
                lane.push_back(queued);
                Ok(None)
            }
            None => {
                self.waiting.insert(queued.append.conv, VecDeque::new());
                Ok(Some(queued))
            }
        }
    }

    /// An append has ended: its room is free.
    fn release(&mut self, bytes: usize) {
        self.appends = self.appends.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The next append of a conversation. None ends its lane.
    fn next(&mut self, conv: ConvId) -> Option<Queued> {
        let next = self.waiting.get_mut(&conv).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.waiting.remove(&conv);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn queued(conv: u8, tag: Tag) -> Queued {
        let append = Append { conv: ConvId([conv; 16]), epoch: 1, rows: Vec::new(), dirty: None };
        Queued { append, tag, outcomes: Outcomes::new(drop) }
    }

    #[test]
    fn a_conversation_has_one_append_under_way_and_the_rest_in_order() {
        let mut lanes = Lanes::default();
        let mut push = |conv, tag| lanes.push(queued(conv, tag)).unwrap().map(|it| it.tag);
        assert_eq!(push(1, 10), Some(10));
        assert_eq!(push(1, 11), None);
        assert_eq!(push(1, 12), None);
        assert_eq!(push(2, 20), Some(20));
        let mut next = |conv| lanes.next(ConvId([conv; 16])).map(|it| it.tag);
        assert_eq!([next(1), next(1), next(1)], [Some(11), Some(12), None]);
        assert_eq!(next(2), None);
        assert!(lanes.waiting.is_empty());
    }

    #[test]
    fn the_queue_takes_so_many_appends_and_not_one_more() {
        let mut lanes = Lanes::default();
        for tag in 0..limits::QUEUE_APPENDS as u64 {
            assert!(lanes.push(queued(tag as u8, tag)).is_ok());
        }
        assert!(lanes.push(queued(0, 0)).is_err());
        lanes.release(0);
        assert!(lanes.push(queued(0, 0)).is_ok());
    }

    #[test]
    fn the_queue_takes_so_many_bytes_and_one_append_whatever_its_size() {
        let large = |bytes: usize| {
            let mut queued = queued(1, 1);
            let row = crate::Row {
                seq: 1,
                epoch: 1,
                acked: 0,
                base: 1,
                n: 1,
                created_at_ms: 1,
                sender: crate::UserId([1; 16]),
                client_msg_id: [1; 16],
                digest: [1; 8],
                kind: 1,
                flags: 0,
                ref_seq: 0,
                body: Bytes::new(),
            };
            let body = Bytes::from(vec![0; bytes - size_of_val(&row)]);
            queued.append.rows.push(crate::Row { body, ..row });
            queued
        };
        let mut lanes = Lanes::default();
        assert!(lanes.push(large(limits::QUEUE_BYTES - 1_000)).is_ok());
        assert!(lanes.push(large(1_001)).is_err());
        assert!(lanes.push(large(1_000)).is_ok());
        let mut lanes = Lanes::default();
        assert!(lanes.push(large(limits::QUEUE_BYTES + 1)).is_ok());
    }
}
