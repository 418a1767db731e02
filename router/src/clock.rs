//! Real time, as the actors bring it to the machines.
//!
//! What is compared with earlier times that were stored (touches of lists, cursors, when a row was
//! created) is not the system's clock but a *moment*, which never goes back: neither when the clock
//! is set back nor over a restart, as the store remembers how far it had come. While the clock is
//! behind, moments go on at half its speed, so that they stay apart and meet it again.
//!
//! Several routers keep one scale if each raises its moments to the highest that it hears of from
//! the store or from another router.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::owner::Now;

/// Moments in the making. Knows no clock.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    last_ms: u64,
    /// Monotonic time of `last_ms`, and half a millisecond that was not given yet.
    mono_ms: u64,
}

impl Moments {
    /// The moment of both clocks' time: no less than any given before.
    fn at(&mut self, wall_ms: u64, mono_ms: u64) -> u64 {
        let half_ms = mono_ms.saturating_sub(self.mono_ms) / 2;
        self.mono_ms += 2 * half_ms;
        self.last_ms = self.last_ms.saturating_add(half_ms);
        if wall_ms >= self.last_ms {
            *self = Self { last_ms: wall_ms, mono_ms };
        }
        self.last_ms
    }

    /// Somebody has come as far as this.
    fn raise(&mut self, moment_ms: u64) {
        self.last_ms = self.last_ms.max(moment_ms);
    }
}

/// Reads the clocks. Copies agree.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    began: Instant,
    wall: fn() -> SystemTime,
    moments: Arc<Mutex<Moments>>,
}

impl Clock {
    /// Monotonic time begins now; moments go on from one that was given before.
    pub(crate) fn new(wall: fn() -> SystemTime, moment_ms: u64) -> Self {
        let mut moments = Moments::default();
        moments.raise(moment_ms);
        Self { began: Instant::now(), wall, moments: Arc::new(Mutex::new(moments)) }
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        let wall = (self.wall)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (wall_ms, mono_ms) = (millis(wall), millis(self.began.elapsed()));
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        Now { wall_ms, moment_ms: moments.at(wall_ms, mono_ms), mono_ms }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn moments_are_the_clocks_time_while_it_goes_on() {
        let mut moments = Moments::default();
        assert_eq!(moments.at(1_000, 0), 1_000);
        assert_eq!(moments.at(1_500, 500), 1_500);
        assert_eq!(moments.at(9_000, 501), 9_000);
    }

    #[test]
    fn a_clock_set_back_is_met_again_after_twice_the_step() {
        let mut moments = Moments::default();
        moments.at(10_000, 0);
        let set_back: Vec<u64> = (0..=2_001).map(|ms| moments.at(9_000 + ms, ms)).collect();
        assert_eq!((set_back[0], set_back[1_999], set_back[2_000]), (10_000, 10_999, 11_000));
        assert_eq!(set_back[2_001], 11_001);
    }

    #[test]
    fn moments_begin_where_somebody_has_come() {
        let mut moments = Moments::default();
        moments.raise(5_000);
        assert_eq!(moments.at(1_000, 0), 5_000);
        moments.raise(4_000);
        assert_eq!(moments.at(6_000, 10), 6_000);
    }

    proptest! {
        #[test]
        fn moments_never_go_back_and_are_never_behind_the_clock(
            steps in prop::collection::vec((0..5_u64, 0..10_000_u64), 1..100),
        ) {
            let (mut moments, mut mono_ms, mut last) = (Moments::default(), 0, 0);
            for (passed_ms, wall_ms) in steps {
                mono_ms += passed_ms;
                let moment_ms = moments.at(wall_ms, mono_ms);
                prop_assert!(moment_ms >= last && moment_ms >= wall_ms);
                last = moment_ms;
            }
        }
    }
}
