//! The epoll descriptor: who is registered for what, and the wait.
//!
//! Everything is edge-triggered: what a wait tells is told once, and again only after it has become
//! true anew. Whoever is told must therefore remember it until a call has found the socket empty
//! (or full). Registering, and changing what is registered, tells what is true at that moment.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::limits::EPOLL_EVENTS_MAX;

/// The longest wait that is asked for at once.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What a connection or listener is registered for besides errors, which are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Bytes, the peer's FIN, a peer that waits to be accepted.
    Input,
    /// The same, and room for output or the end of a connect.
    InputAndOutput,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let input = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        match self {
            Self::Input => input,
            Self::InputAndOutput => input | EventFlags::OUT,
        }
    }
}

/// What a wait told about one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The number it was registered under.
    pub(super) key: u64,
    /// A receive, or an accept, has something to do.
    pub(super) input: bool,
    /// A send or a connect has something to do.
    pub(super) output: bool,
    /// No edge for input is to be counted on any more: the peer has finished, or all is broken.
    pub(super) ended: bool,
}

impl Told {
    fn of(event: Event) -> Self {
        let (flags, data) = (event.flags, event.data);
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        let ended = broken || flags.contains(EventFlags::RDHUP);
        Self {
            key: data.u64(),
            input: ended || flags.contains(EventFlags::IN),
            output: broken || flags.contains(EventFlags::OUT),
            ended,
        }
    }
}

/// See the module header.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
    /// Waits may be given in nanoseconds (epoll_pwait2, Linux 5.11); otherwise in milliseconds.
    is_precise: bool,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("told", &self.events.len()).finish_non_exhaustive()
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EPOLL_EVENTS_MAX), is_precise: true })
    }

    /// Registers a descriptor; it is forgotten when its file is closed.
    pub(super) fn add(&self, of: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, of, EventData::new_u64(key), interest.flags())?)
    }

    /// Changes what a registered descriptor is registered for.
    pub(super) fn change(&self, of: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, of, EventData::new_u64(key), interest.flags())?)
    }

    /// Waits at most `wait` for something to tell. An interrupted wait tells nothing.
    pub(super) fn wait(&mut self, wait: Duration) -> io::Result<()> {
        self.events.clear();
        let waited = match self.wait_once(self.timeout(wait)) {
            // The call does not exist, or a filter from before it does not let it pass.
            Err(Errno::NOSYS | Errno::PERM) if self.is_precise => {
                self.is_precise = false;
                self.wait_once(self.timeout(wait))
            }
            waited => waited,
        };
        match waited {
            Ok(()) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn wait_once(&mut self, timeout: Timespec) -> Result<(), Errno> {
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)).map(drop)
    }

    /// Never shorter than asked for: a deadline must have come when the wait is over.
    fn timeout(&self, wait: Duration) -> Timespec {
        let wait = wait.min(WAIT_MAX);
        let wait = match self.is_precise {
            true => wait,
            false => Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64),
        };
        Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
    }

    /// What the last wait told, by place from 0.
    pub(super) fn told(&self, place: usize) -> Option<Told> {
        self.events.get(place).copied().map(Told::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_wait_is_rounded_up_and_a_precise_one_is_not() {
        let mut poller = Poller::new().unwrap();
        let in_ns = |timeout: Timespec| (timeout.tv_sec, timeout.tv_nsec);
        assert_eq!(in_ns(poller.timeout(Duration::from_nanos(1))), (0, 1));
        poller.is_precise = false;
        assert_eq!(in_ns(poller.timeout(Duration::ZERO)), (0, 0));
        assert_eq!(in_ns(poller.timeout(Duration::from_nanos(1))), (0, 1_000_000));
        assert_eq!(in_ns(poller.timeout(Duration::from_millis(1500))), (1, 500_000_000));
        assert_eq!(in_ns(poller.timeout(Duration::MAX)), (3600, 0));
    }
}
