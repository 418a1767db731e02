//! Receive buffers: one mapping that the kernel fills by a ring of provided buffers.
//!
//! Packed (incremental) rings fill a buffer receive after receive until it is used up; the head of
//! each buffer is therefore ours to follow. Otherwise each receive retires a buffer. Both go the
//! same way here: a completion says whether its buffer has more to give.
//!
//! The kernel writes only while this thread is inside `io_uring_enter` (DEFER_TASKRUN), and never
//! into a range that a completion has reported before the buffer is provided again. A [`Lease`]
//! keeps the mapping alive and is not cloneable, so the `&mut [u8]` made from it is the only access
//! to its range.

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, IOU_PBUF_RING_INC};
use io_uring::{Submitter, cqueue};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The group's number; a driver has one group.
pub(super) const GROUP: u16 = 0;

const PAGE: usize = 4096;

/// An anonymous mapping.
#[derive(Debug)]
struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

impl Region {
    fn new(bytes: usize) -> io::Result<Self> {
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, kind) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the last reference to it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Received bytes, lent until they are given back.
#[derive(Debug)]
pub struct Lease {
    region: Rc<Region>,
    offset: usize,
    bytes: usize,
    /// The buffer that this lease was the last of.
    retired: Option<u16>,
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `offset` and `bytes` lie within the mapping (checked in `Buffers::take`).
        let start = unsafe { self.region.base.add(self.offset) };
        // SAFETY: initialised (anonymous memory), and written by nobody else (module header).
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `offset` and `bytes` lie within the mapping (checked in `Buffers::take`).
        let start = unsafe { self.region.base.add(self.offset) };
        // SAFETY: initialised (anonymous memory), and reached by nobody else (module header).
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.bytes) }
    }
}

/// The buffers and the ring that provides them.
#[derive(Debug)]
pub(super) struct Buffers {
    /// First the ring's entries (whole pages), then the buffers.
    region: Rc<Region>,
    entries: u16,
    buffer_bytes: usize,
    /// Bytes used up of each buffer.
    heads: Box<[u32]>,
    /// Retired and given back, not provided yet.
    returned: Vec<u16>,
    /// Retired and not provided yet.
    held: usize,
    tail: u16,
}

impl Buffers {
    /// Maps and registers `entries` (a power of two) buffers and provides them all. `packed` is
    /// honoured where the kernel can.
    pub(super) fn new(
        submitter: &Submitter<'_>,
        entries: u16,
        buffer_bytes: u32,
        packed: bool,
    ) -> io::Result<Self> {
        let buffer_bytes = buffer_bytes as usize;
        let ring_bytes = Self::ring_bytes(entries);
        let region = Region::new(ring_bytes + usize::from(entries) * buffer_bytes)?;
        let register = |flags| {
            let address = region.base.as_ptr() as u64;
            // SAFETY: the mapping is page-aligned, has room for the entries, and outlives the ring:
            // the kernel object that owns both drops the ring first.
            unsafe { submitter.register_buf_ring_with_flags(address, entries, GROUP, flags) }
        };
        // Kernels before 6.12 do not know packed buffers.
        if !packed || register(IOU_PBUF_RING_INC as u16).is_err() {
            register(0)?;
        }
        let mut buffers = Self {
            region: Rc::new(region),
            entries,
            buffer_bytes,
            heads: vec![0; usize::from(entries)].into_boxed_slice(),
            returned: (0..entries).collect(),
            held: usize::from(entries),
            tail: 0,
        };
        buffers.provide();
        Ok(buffers)
    }

    /// Leaves the mapping to the kernel for good.
    pub(super) fn leak(&self) {
        std::mem::forget(Rc::clone(&self.region));
    }

    fn ring_bytes(entries: u16) -> usize {
        (usize::from(entries) * size_of::<BufRingEntry>()).next_multiple_of(PAGE)
    }

    /// The bytes that a completion reports, if it carries a buffer.
    pub(super) fn take(&mut self, flags: u32, result: i32) -> Option<Lease> {
        let id = cqueue::buffer_select(flags)?;
        let head = self.heads.get_mut(usize::from(id))?;
        let used = *head as usize;
        let bytes = usize::try_from(result).unwrap_or(0).min(self.buffer_bytes - used);
        let last = !cqueue::buffer_more(flags);
        *head = if last { 0 } else { (used + bytes) as u32 };
        self.held += usize::from(last);
        let offset = Self::ring_bytes(self.entries) + usize::from(id) * self.buffer_bytes + used;
        let retired = last.then_some(id);
        Some(Lease { region: Rc::clone(&self.region), offset, bytes, retired })
    }

    /// Takes a lease back.
    pub(super) fn give_back(&mut self, lease: Lease) {
        // A lease of another driver's (their operations were swapped) must not be provided here.
        if let Some(id) = lease.retired.filter(|_| Rc::ptr_eq(&lease.region, &self.region)) {
            self.returned.push(id);
        }
    }

    /// Provides what was given back, advancing the ring's tail once. Returns how many buffers are
    /// provided now.
    pub(super) fn provide(&mut self) -> usize {
        if !self.returned.is_empty() {
            while let Some(id) = self.returned.pop() {
                self.write_entry(id);
                self.held -= 1;
            }
            self.publish_tail();
        }
        usize::from(self.entries) - self.held
    }

    fn write_entry(&mut self, id: u16) {
        let index = usize::from(self.tail & (self.entries - 1));
        let offset = Self::ring_bytes(self.entries) + usize::from(id) * self.buffer_bytes;
        let base = self.region.base.cast::<BufRingEntry>();
        // SAFETY: `index` is below the number of entries the mapping starts with.
        let mut entry = unsafe { base.add(index) };
        // SAFETY: aligned and initialised; the kernel reads entries below the tail only, and this
        // one is at the tail. The tail itself lies in a field that the setters leave alone.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(self.region.base.as_ptr() as u64 + offset as u64);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish_tail(&self) {
        let base = self.region.base.cast::<BufRingEntry>().as_ptr();
        // SAFETY: the mapping starts with the ring's first entry, and is initialised.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: aligned, within the mapping, and written by this thread only.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // The entries must be seen before the tail that covers them.
        tail.store(self.tail, Ordering::Release);
    }
}
