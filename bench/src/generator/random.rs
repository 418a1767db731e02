//! Seeded randomness that is fast enough for every frame: xorshift64* (Vigna, ACM TOMS 2016). Not
//! secret: the masks of a load generator protect nobody's proxy.

use std::time::Duration;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

/// Mixes two numbers into a seed, so that neighbours have unrelated streams (SplitMix64's finish).
#[must_use]
pub fn mix(seed: u64, of: u64) -> u64 {
    let mut z = seed ^ of.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// A stream of its own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The one state that never leaves itself.
        Self { state: mix(seed, 0).max(1) }
    }

    /// The next number.
    #[inline]
    pub fn number(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A frame's masking key.
    #[inline]
    pub fn mask(&mut self) -> [u8; 4] {
        ((self.number() >> 32) as u32).to_ne_bytes()
    }

    /// At least 0, below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`, which is 1 or more.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound.max(1))) >> 64) as u64
    }

    /// Exponentially distributed with this mean: the gaps of a Poisson process, lives that end at
    /// a constant rate.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.fraction()).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_another() {
        let stream = |seed| {
            let mut random = Random::new(seed);
            [random.number(), random.number(), random.number()]
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn fractions_and_bounds_are_kept_and_reached() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|value| drawn.contains(&value)) && drawn.iter().all(|&value| value < 3));
        assert!((0..1000).map(|_| random.fraction()).all(|value| (0.0..1.0).contains(&value)));
    }

    #[test]
    fn exponential_times_have_their_mean() {
        let mut random = Random::new(2);
        let mean = Duration::from_secs(10);
        let sum: Duration = (0..100_000).map(|_| random.exponential(mean)).sum();
        let measured = sum.as_secs_f64() / 100_000.0;
        assert!((9.8..10.2).contains(&measured), "{measured}");
    }
}
