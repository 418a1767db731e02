//! Seeded randomness: a run that fails prints its seed, and the seed repeats its choices.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator whose choices follow from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator with the seed of `THRONG_TEST_SEED`, or else a new one; printed either way.
    #[must_use]
    pub fn of_this_run() -> Self {
        let given = std::env::var("THRONG_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| crate::ids::now_ms() ^ u64::from(std::process::id()));
        #[allow(clippy::print_stdout, reason = "shown by the test runner when the test fails")]
        {
            println!("seed: THRONG_TEST_SEED={seed}");
        }
        Self::seeded(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A generator of its own for another thread.
    pub fn split(&mut self) -> Self {
        Self::seeded(self.bits())
    }
}
