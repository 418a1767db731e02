//! The highest value that keeps an objective: doubling until it fails, then halving the gap.
//! Sans-IO: the caller makes the runs.

/// A search over whole numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// The highest value that held; 0 if none did.
    held: u64,
    /// The lowest value that did not.
    failed: Option<u64>,
    next: u64,
    /// No value above this is tried.
    most: u64,
    /// The gap is small enough when it is at most one in so many of what held.
    precision: u64,
}

impl Search {
    /// Begins with `first`; tries nothing above `most`; ends with a gap of one part in `precision`.
    #[must_use]
    pub fn new(first: u64, most: u64, precision: u64) -> Self {
        let most = most.max(1);
        Self { held: 0, failed: None, next: first.clamp(1, most), most, precision }
    }

    /// The value to try next; `None` when the search is over.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let gap = self.failed.map_or(u64::MAX, |failed| failed - self.held);
        let is_over = self.held >= self.most || gap <= (self.held / self.precision.max(1)).max(1);
        (!is_over).then_some(self.next)
    }

    /// Notes what came of the value that `next` gave.
    pub fn note(&mut self, holds: bool) {
        if holds {
            self.held = self.next;
        } else {
            self.failed = Some(self.next);
        }
        self.next = match self.failed {
            None => self.held.saturating_mul(2).min(self.most),
            Some(failed) => self.held.midpoint(failed).max(1),
        };
    }

    /// The highest value that held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(limit: u64, first: u64, most: u64) -> (u64, usize) {
        let mut search = Search::new(first, most, 50);
        let mut runs = 0;
        while let Some(value) = search.next() {
            assert!(value <= most && runs < 100);
            search.note(value <= limit);
            runs += 1;
        }
        (search.held(), runs)
    }

    #[test]
    fn the_limit_is_found_to_the_precision_in_few_runs() {
        for limit in [1, 2, 3, 7, 1_000, 777_777] {
            let (held, runs) = search(limit, 100, 10_000_000);
            assert!(held <= limit && limit - held <= (limit / 50).max(1), "{limit}: {held}");
            assert!(runs < 30, "{limit}: {runs}");
        }
    }

    #[test]
    fn a_limit_beyond_the_most_is_the_most() {
        assert_eq!(search(u64::MAX, 100, 1_000).0, 1_000);
        assert_eq!(search(u64::MAX, 5_000, 1_000).0, 1_000);
    }

    #[test]
    fn what_never_holds_is_none() {
        assert_eq!(search(0, 64, 1_000).0, 0);
    }
}
