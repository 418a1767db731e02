//! The two queues and the system call between them.
//!
//! The call is made by hand, because it goes through the ring's registered descriptor, which the
//! io-uring crate remembers only in a borrowed `Submitter`. Entries that find the submission queue
//! full after it was submitted wait in a backlog and keep their order; nothing is lost.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Submitter, cqueue, squeue};

use crate::limits::GATHERED_MAX;

/// See the module header.
pub(super) struct Ring {
    uring: IoUring,
    /// Index of the ring among the thread's registered ring descriptors.
    registered: Option<u32>,
    backlog: VecDeque<squeue::Entry>,
    /// How long a wait gathers completions after which it need not end at once.
    gather: Duration,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

const IORING_REGISTER_RING_FDS: u32 = 20;
const IORING_UNREGISTER_RING_FDS: u32 = 21;

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(offset) = self.registered {
            let mut update = RingUpdate { offset, reserved: 0, data: 0 };
            // Fails only on another thread than the one that registered, which has ended then.
            let _ = self.update_registration(IORING_UNREGISTER_RING_FDS, &mut update);
        }
    }
}

impl Ring {
    /// A ring with these numbers of entries, whose waits gather completions for so long (kernels
    /// before 6.12 cannot: there a wait ends with the first).
    pub(super) fn new(submissions: u32, completions: u32, gather: Duration) -> io::Result<Self> {
        let build = |without_array: bool| {
            let mut builder = IoUring::builder();
            builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all();
            builder.setup_cqsize(completions).dontfork();
            if without_array {
                builder.setup_no_sqarray();
            }
            builder.build(submissions)
        };
        // Kernels before 6.6 know no ring without the index array.
        let uring = match build(true) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => build(false)?,
            built => built?,
        };
        let can_gather = uring.params().is_feature_min_timeout();
        let gather = if can_gather { gather } else { Duration::ZERO };
        Ok(Self { uring, registered: None, backlog: VecDeque::new(), gather })
    }

    /// What registers files and buffers.
    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.uring.submitter()
    }

    /// Registers the ring's own descriptor, which saves its look-up in every call. A thread has
    /// room for 16 of them; a ring past that goes without.
    pub(super) fn register_itself(&mut self) -> io::Result<()> {
        let fd = self.uring.as_raw_fd();
        let mut update = RingUpdate { offset: u32::MAX, reserved: 0, data: fd as u64 };
        match self.update_registration(IORING_REGISTER_RING_FDS, &mut update) {
            Ok(()) => self.registered = Some(update.offset),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn update_registration(&self, operation: u32, update: &mut RingUpdate) -> io::Result<()> {
        let fd = self.uring.as_raw_fd();
        let update = std::ptr::from_mut(update);
        // SAFETY: both operations read and write one `io_uring_rsrc_update`, which `update` is.
        let result =
            unsafe { libc::syscall(libc::SYS_io_uring_register, fd, operation, update, 1u32) };
        if result == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Queues an operation; it is submitted by the next [`Ring::enter`], or now if the queue is
    /// full.
    ///
    /// # Safety
    /// What the entry points to must stay valid, and be written by nobody else if the operation
    /// writes it, until the operation's last completion was taken.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            // SAFETY: promised by the caller.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
            // An error shows again, and is told, in the turn's own call.
            let _ = self.submit(0, 0, None);
        }
        self.backlog.push_back(entry);
        self.drain_backlog();
    }

    /// Submits everything and, unless completions are there already, waits at most `wait` for one,
    /// or for as many as come while it gathers.
    pub(super) fn enter(&mut self, wait: Duration) -> io::Result<()> {
        while !self.drain_backlog() {
            if !self.submit(0, 0, None)? {
                return Ok(());
            }
        }
        // With half the queue waiting, more would only overflow it, and an overflow ends every
        // multishot operation.
        let crowded = self.completions() > self.uring.params().cq_entries() as usize / 2;
        let flags = if crowded { 0 } else { EnterFlags::GETEVENTS.bits() };
        let waits = !wait.is_zero() && self.completions() == 0;
        let want = match waits {
            true if self.gather.is_zero() => 1,
            true => GATHERED_MAX,
            false => 0,
        };
        self.submit(want, flags, Some(wait)).map(drop)
    }

    /// Whether waits gather completions.
    pub(super) fn gathers(&self) -> bool {
        !self.gather.is_zero()
    }

    /// Completions to be taken.
    pub(super) fn completions(&mut self) -> usize {
        self.uring.completion().len()
    }

    /// Takes one completion.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        self.uring.completion().next()
    }

    /// True if the backlog is empty.
    fn drain_backlog(&mut self) -> bool {
        let mut submission = self.uring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: promised by whoever pushed the entry.
            if unsafe { submission.push(entry) }.is_err() {
                return false;
            }
            self.backlog.pop_front();
        }
        true
    }

    /// One system call. False if the kernel is out of something for the moment: the entries stay
    /// queued and go with the next call.
    fn submit(&mut self, want: u32, flags: u32, wait: Option<Duration>) -> io::Result<bool> {
        let queued = self.uring.submission().len() as u32;
        if queued == 0 && flags == 0 {
            return Ok(true);
        }
        let timespec = wait.map(|wait| Timespec::from(wait.min(Duration::from_secs(3600))));
        let mut args = SubmitArgs::new();
        let mut flags = flags;
        if let Some(timespec) = &timespec {
            let gather = wait.map_or(Duration::ZERO, |wait| wait.min(self.gather));
            args = args.timespec(timespec).min_wait_usec(gather.as_micros() as u32);
            flags |= EnterFlags::EXT_ARG.bits();
        }
        match self.call(queued, want, flags, timespec.is_some().then_some(&args)) {
            Ok(()) => Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR) => Ok(true),
                Some(libc::EAGAIN | libc::EBUSY) => Ok(false),
                _ => Err(error),
            },
        }
    }

    fn call(
        &self,
        queued: u32,
        want: u32,
        flags: u32,
        args: Option<&SubmitArgs<'_, '_>>,
    ) -> io::Result<()> {
        let (fd, registered) = match self.registered {
            Some(index) => (index as i32, EnterFlags::REGISTERED_RING.bits()),
            None => (self.uring.as_raw_fd(), 0),
        };
        let (pointer, bytes) = args.map_or((std::ptr::null(), 0), |args| {
            (std::ptr::from_ref(args), size_of::<SubmitArgs<'_, '_>>())
        });
        // SAFETY: `pointer` is null, or (with EXT_ARG set by the only caller that passes it) an
        // `io_uring_getevents_arg`, which `SubmitArgs` is by its representation, of `bytes` bytes;
        // it and the timespec it refers to live across the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                queued,
                want,
                flags | registered,
                pointer,
                bytes,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
