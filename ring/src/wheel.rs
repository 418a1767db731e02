//! Deadlines by slot: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987, scheme 6).
//!
//! One wheel holds at most one deadline per slot; a caller with two kinds of deadlines owns two
//! wheels. Entries are linked through an array indexed by slot: 12 bytes per slot, no allocation
//! per timer. [`Wheel::set`] and [`Wheel::cancel`] are O(1); each deadline is moved at most once
//! per level on its way down. Empty stretches are jumped over, so an idle wheel costs nothing.
//!
//! A deadline never fires early and at most one tick late (plus the caller's own delay). Order of
//! calls: `set`/`cancel` at any time, also between two `expire`; after a reactor's turn `expire`
//! until `None` or the caller's own bound (or [`Wheel::advance`], which is that loop); then
//! [`Wheel::next_deadline`] bounds the next wait.

use std::time::{Duration, Instant};

const LEVELS: usize = 4;
const LEVEL_BITS: u32 = 6;
const BUCKETS: u32 = 1 << LEVEL_BITS;
/// The list of what is due already, behind the levels' buckets.
const DUE: u32 = LEVELS as u32 * BUCKETS;
/// Ticks that the levels span; what is farther waits in the last bucket and is placed again.
const SPAN: u32 = 1 << (LEVEL_BITS * LEVELS as u32);

const NONE: u32 = u32::MAX;
/// Marks `Entry::previous` as a bucket and not a slot.
const BUCKET: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: u32,
    next: u32,
    /// The slot before, `BUCKET | bucket` for a list's first, `NONE` while nothing is set.
    previous: u32,
}

const IDLE: Entry = Entry { deadline: 0, next: NONE, previous: NONE };

// Two wheels per connection are budgeted with an idle connection's user memory.
const _: () = assert!(size_of::<Entry>() <= 16);
// A slot must never look like a bucket.
const _: () = assert!(crate::limits::CONNECTIONS_MAX < BUCKET);

/// Deadlines by slot. See the module header.
#[derive(Debug)]
pub struct Wheel {
    start: Instant,
    tick: Duration,
    /// The last tick whose deadlines were moved to the due list. Entries hold its low 32 bits only.
    current: u64,
    pending: usize,
    entries: Vec<Entry>,
    heads: Box<[u32]>,
    occupied: [u64; LEVELS],
}

impl Wheel {
    /// An empty wheel. `tick` is the precision (8-16 ms serve heartbeats and handshakes); a
    /// deadline may lie up to 2^31 ticks ahead.
    #[must_use]
    pub fn new(tick: Duration, start: Instant) -> Self {
        Self {
            start,
            tick: tick.max(Duration::from_micros(1)),
            current: 0,
            pending: 0,
            entries: Vec::new(),
            heads: vec![NONE; DUE as usize + 1].into_boxed_slice(),
            occupied: [0; LEVELS],
        }
    }

    /// Sets or moves the slot's deadline. One in the past is due at the next `expire`.
    pub fn set(&mut self, slot: u32, at: Instant) {
        debug_assert!(slot < crate::limits::CONNECTIONS_MAX);
        self.cancel(slot);
        let index = slot as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, IDLE);
        }
        self.entries[index].deadline = self.tick_at_or_after(at);
        self.pending += 1;
        self.place(slot);
    }

    /// Forgets the slot's deadline, if it has one.
    pub fn cancel(&mut self, slot: u32) {
        if self.is_set(slot) {
            self.unlink(slot);
            self.pending -= 1;
        }
    }

    /// Whether the slot has a deadline that was not handed out yet.
    #[must_use]
    pub fn is_set(&self, slot: u32) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| entry.previous != NONE)
    }

    /// Deadlines set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending
    }

    /// Whether no deadline is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Takes one slot whose deadline is at or before `now`. The slot may be set again at once.
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let target = self.tick_before(now);
        loop {
            let due = self.heads[DUE as usize];
            if due != NONE {
                self.cancel(due);
                return Some(due);
            }
            if !self.step(target) {
                return None;
            }
        }
    }

    /// Hands out at most `expirations_max` due slots and returns how many; the rest stays due.
    pub fn advance(
        &mut self,
        now: Instant,
        expirations_max: usize,
        mut expired: impl FnMut(u32),
    ) -> usize {
        let mut count = 0;
        while count < expirations_max {
            let Some(slot) = self.expire(now) else { break };
            expired(slot);
            count += 1;
        }
        count
    }

    /// When `expire` should be called next, `None` if nothing is set. Never later than the tick of
    /// the first deadline; may be earlier when far deadlines have to move down a level.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let ticks = if self.heads[DUE as usize] == NONE { self.ticks_to_next()? } else { 0 };
        let at = (self.current + u64::from(ticks)).saturating_mul(self.tick.as_nanos() as u64);
        Some(self.start + Duration::from_nanos(at))
    }

    /// Moves `current` to the next occupied tick, not beyond `target`. False if it is there
    /// already.
    fn step(&mut self, target: u64) -> bool {
        let ahead = target.saturating_sub(self.current);
        if ahead == 0 {
            return false;
        }
        let ticks = self.ticks_to_next().map_or(ahead, |ticks| ahead.min(u64::from(ticks)));
        self.current += ticks;
        for level in (0..LEVELS as u32).rev() {
            let shift = level * LEVEL_BITS;
            if self.current.trailing_zeros() >= shift {
                self.empty_bucket(level, (self.current >> shift) as u32 % BUCKETS);
            }
        }
        true
    }

    /// Places the bucket's entries again, each on a lower level or in the due list.
    fn empty_bucket(&mut self, level: u32, bucket: u32) {
        let head = level * BUCKETS + bucket;
        let mut slot = std::mem::replace(&mut self.heads[head as usize], NONE);
        self.occupied[level as usize] &= !(1 << bucket);
        while slot != NONE {
            let next = self.entries[slot as usize].next;
            self.place(slot);
            slot = next;
        }
    }

    fn place(&mut self, slot: u32) {
        let bucket = self.bucket_for(self.entries[slot as usize].deadline);
        let first = std::mem::replace(&mut self.heads[bucket as usize], slot);
        let entry = &mut self.entries[slot as usize];
        entry.next = first;
        entry.previous = BUCKET | bucket;
        if first != NONE {
            self.entries[first as usize].previous = slot;
        }
        if bucket != DUE {
            self.occupied[(bucket / BUCKETS) as usize] |= 1 << (bucket % BUCKETS);
        }
    }

    fn bucket_for(&self, deadline: u32) -> u32 {
        let current = self.current as u32;
        let ahead = deadline.wrapping_sub(current);
        if ahead == 0 || ahead > u32::MAX / 2 {
            return DUE;
        }
        let reachable = current.wrapping_add(ahead.min(SPAN - 1));
        let level = (31 - ahead.min(SPAN - 1).leading_zeros()) / LEVEL_BITS;
        level * BUCKETS + (reachable >> (level * LEVEL_BITS)) % BUCKETS
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { next, previous, .. } = self.entries[slot as usize];
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous & BUCKET == 0 {
            self.entries[previous as usize].next = next;
        } else {
            let bucket = previous & !BUCKET;
            self.heads[bucket as usize] = next;
            if next == NONE && bucket != DUE {
                self.occupied[(bucket / BUCKETS) as usize] &= !(1 << (bucket % BUCKETS));
            }
        }
        self.entries[slot as usize].previous = NONE;
    }

    /// Ticks from `current` to the first bucket that must be emptied.
    fn ticks_to_next(&self) -> Option<u32> {
        let current = self.current as u32;
        (0..LEVELS as u32)
            .filter(|&level| self.occupied[level as usize] != 0)
            .map(|level| {
                let shift = level * LEVEL_BITS;
                let following = (current >> shift).wrapping_add(1);
                let rotated = self.occupied[level as usize].rotate_right(following % BUCKETS);
                let at = following.wrapping_add(rotated.trailing_zeros()) << shift;
                at.wrapping_sub(current)
            })
            .min()
    }

    fn tick_before(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.start).as_nanos() / self.tick.as_nanos()) as u64
    }

    fn tick_at_or_after(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.start).as_nanos().div_ceil(self.tick.as_nanos()) as u32
    }
}
