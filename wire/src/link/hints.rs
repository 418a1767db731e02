//! Which hints were lost.

/// Numbers of the hints that came over one link. A router leaves hints out when the edge reads too
/// slowly; their numbers are missing then, and the next hint or beacon shows it.
#[derive(Debug, Default)]
pub struct HintNumbers {
    last: u64,
}

impl HintNumbers {
    /// Before the first hint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A hint came. How many before it were lost.
    pub fn hint(&mut self, number: u64) -> u64 {
        self.advance(number).saturating_sub(1)
    }

    /// A beacon came: the number of the last hint that the router numbered. How many were lost.
    pub fn beacon(&mut self, number: u64) -> u64 {
        self.advance(number)
    }

    fn advance(&mut self, number: u64) -> u64 {
        let step = number.saturating_sub(self.last);
        self.last = self.last.max(number);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_hints_and_their_beacon_lost_nothing() {
        let mut numbers = HintNumbers::new();
        assert_eq!([numbers.hint(1), numbers.hint(2), numbers.beacon(2)], [0, 0, 0]);
    }

    #[test]
    fn the_next_hint_shows_what_was_lost_before_it() {
        let mut numbers = HintNumbers::new();
        assert_eq!([numbers.hint(1), numbers.hint(4), numbers.hint(5)], [0, 2, 0]);
    }

    #[test]
    fn a_beacon_shows_what_was_lost_at_the_end_once() {
        let mut numbers = HintNumbers::new();
        assert_eq!([numbers.hint(1), numbers.beacon(3), numbers.beacon(3)], [0, 2, 0]);
        assert_eq!(numbers.hint(4), 0);
    }
}
