//! Time as a shard sees it: ticks for deadlines, the wall clock for tokens and clients, and a
//! stopwatch for its own work. The last two are given, so that tests hold them still.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::limits;

/// Clocks beside the driver's.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Unix milliseconds.
    pub wall_ms: fn() -> u64,
    /// Measures work within a turn.
    pub work: fn() -> Instant,
}

impl Clocks {
    /// Those of the host.
    pub const HOST: Self = Self { wall_ms: host_wall_ms, work: Instant::now };
}

fn host_wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Ticks since the shard began. They wrap after two years; differences stay right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    start: Instant,
}

impl Ticks {
    pub(super) fn new(start: Instant) -> Self {
        Self { start }
    }

    /// The tick that `at` is in.
    pub(super) fn at(&self, at: Instant) -> u32 {
        (at.saturating_duration_since(self.start).as_millis() / limits::TICK.as_millis()) as u32
    }

    /// Ticks in a duration, rounded up. Settings are far below what the counter holds.
    pub(super) fn of(duration: Duration) -> u32 {
        let ticks = duration.as_millis().div_ceil(limits::TICK.as_millis());
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): jitter and identifiers, not secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound` − 1; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }
}
