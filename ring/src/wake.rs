//! The doorbell of a driver: other threads ring it, its own thread parks on it.
//!
//! A word says whether the driver runs, is parked in the kernel, or was notified. Only the first
//! wake that finds it parked writes to the eventfd, so waking a busy driver is one atomic swap, and
//! any number of wakes between two turns is one [`crate::Event::Woken`]. The swap orders what the
//! waker wrote before (a queue's entry) with what the driver reads after.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

const RUNNING: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// See the module header.
#[derive(Debug)]
pub struct Wake {
    state: AtomicU8,
    /// None where the driver never blocks (the simulation).
    doorbell: Option<OwnedFd>,
}

impl Wake {
    /// A doorbell over an eventfd, or one of a driver that never blocks.
    pub(crate) fn new(doorbell: Option<OwnedFd>) -> Self {
        Self { state: AtomicU8::new(RUNNING), doorbell }
    }

    /// Makes the present or next [`Wake::park`] end.
    pub(crate) fn wake(&self) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == PARKED
            && let Some(doorbell) = &self.doorbell
        {
            // The counter cannot overflow: one write per park. Nothing else can fail on our own fd.
            let _ = rustix::io::write(doorbell, &1u64.to_ne_bytes());
        }
    }

    /// Before blocking. False if it was notified meanwhile: do not block.
    pub(crate) fn park(&self) -> bool {
        self.state.compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// After blocking (or not). True if it was notified since the last call.
    pub(crate) fn unpark(&self) -> bool {
        self.state.swap(RUNNING, Ordering::AcqRel) == NOTIFIED
    }

    /// What the driver waits on.
    pub(crate) fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.as_ref().map(AsFd::as_fd)
    }
}
