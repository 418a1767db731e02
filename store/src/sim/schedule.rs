//! When each step happens, or that it never does: drawn from a seed.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::world::{Kind, Step};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Of a thousand steps, so many come late,
    pub late_permille: u32,
    /// by up to so much, milliseconds.
    pub late_ms_max: u64,
    /// Of a thousand steps, so many never come.
    pub never_permille: u32,
    /// Every other step takes up to so much, milliseconds.
    pub delay_ms_max: u64,
    /// Who asked waits so long for an outcome, milliseconds.
    pub expire_ms: u64,
    /// Of a thousand appends, so many find the queue full.
    pub busy_permille: u32,
}

impl Faults {
    /// Nothing is lost, and nothing is late.
    pub const NONE: Self = Self {
        late_permille: 0,
        late_ms_max: 0,
        never_permille: 0,
        delay_ms_max: 4,
        expire_ms: 1_000,
        busy_permille: 0,
    };
}

/// A virtual clock, and what is to come.
pub(super) struct Schedule {
    random: Rng,
    faults: Faults,
    now_ms: u64,
    /// By moment, and then in the order in which they became possible.
    due: BTreeMap<(u64, u64), Step>,
    last: u64,
}

impl Schedule {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let random = Rng::with_seed(seed);
        Self { random, faults, now_ms: 0, due: BTreeMap::new(), last: 0 }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(super) fn is_busy(&mut self) -> bool {
        self.one_of_thousand(self.faults.busy_permille)
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.due.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// The next step up to a moment, to which the clock goes on if there is none.
    pub(super) fn pop(&mut self, to_ms: u64) -> Option<(u64, Step)> {
        let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= to_ms) else {
            self.now_ms = self.now_ms.max(to_ms);
            return None;
        };
        let ((at_ms, _), step) = entry.remove_entry();
        self.now_ms = self.now_ms.max(at_ms);
        Some((at_ms, step))
    }

    /// Gives each its moment.
    pub(super) fn enable(&mut self, steps: Vec<Step>) {
        for step in steps {
            if let Some(delay_ms) = self.delay_ms(step.kind) {
                self.last += 1;
                self.due.insert((self.now_ms + delay_ms, self.last), step);
            }
        }
    }

    fn delay_ms(&mut self, kind: Kind) -> Option<u64> {
        let Faults { late_permille, late_ms_max, never_permille, delay_ms_max, expire_ms, .. } =
            self.faults;
        if kind == Kind::Expire {
            return Some(expire_ms);
        }
        if self.one_of_thousand(never_permille) {
            return None;
        }
        let late = self.one_of_thousand(late_permille);
        Some(self.random.u64(0..=if late { late_ms_max } else { delay_ms_max }))
    }

    fn one_of_thousand(&mut self, permille: u32) -> bool {
        self.random.u32(0..1_000) < permille
    }
}
