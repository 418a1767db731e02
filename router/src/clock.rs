//! Both clocks of the process, read by the actors and links and by nothing else.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::owner::Now;

/// Reads the clocks. Copies agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    /// Monotonic time begins now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall_ms: millis(wall), mono_ms: millis(self.began.elapsed()) }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
