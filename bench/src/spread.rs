//! Medians and spreads of repeated rounds. These machines are noisy: one round is no figure.

use serde::Serialize;

/// The middle and the ends of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The lowest round.
    pub low: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The highest round.
    pub high: f64,
}

impl Spread {
    /// Of at least one round; `None` for none.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { low, median, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_round_has_no_spread() {
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn an_odd_number_of_rounds_has_a_middle_one() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, median: 2.0, high: 3.0 });
    }

    #[test]
    fn an_even_number_of_rounds_takes_the_mean_of_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, median: 2.5, high: 4.0 });
    }
}
