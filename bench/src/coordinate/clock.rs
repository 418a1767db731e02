//! How far a worker's clock is from the coordinator's.
//!
//! As NTP estimates it (RFC 5905 section 8), from the probe with the shortest round trip: the
//! worker's clock was read between the sending of the probe and the coming of its echo, so the
//! error is at most half of that round trip.

use std::time::Duration;

/// Probes per worker.
pub const PROBES: usize = 16;

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockProbe {
    /// When it was sent, by the coordinator's clock.
    pub sent: Duration,
    /// What the worker's clock said.
    pub theirs: Duration,
    /// When the echo came, by the coordinator's clock.
    pub came: Duration,
}

/// A worker's clock against the coordinator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Worker's clock - coordinator's, in nanoseconds.
    pub offset_ns: i128,
    /// The estimate is wrong by no more.
    pub error: Duration,
}

impl ClockOffset {
    /// From the probe with the shortest round trip; `None` without probes.
    #[must_use]
    pub fn estimate(probes: &[ClockProbe]) -> Option<Self> {
        let best = probes.iter().min_by_key(|probe| probe.came.saturating_sub(probe.sent))?;
        let error = best.came.saturating_sub(best.sent) / 2;
        let middle = best.sent + error;
        Some(Self { offset_ns: signed(best.theirs) - signed(middle), error })
    }

    /// A moment of the coordinator's clock in the worker's, in nanoseconds (0 if before its epoch).
    #[must_use]
    pub fn theirs_ns(&self, ours: Duration) -> u64 {
        u64::try_from((signed(ours) + self.offset_ns).max(0)).unwrap_or(u64::MAX)
    }
}

fn signed(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(sent: u64, theirs: u64, came: u64) -> ClockProbe {
        let ms = Duration::from_millis;
        ClockProbe { sent: ms(sent), theirs: ms(theirs), came: ms(came) }
    }

    #[test]
    fn the_shortest_round_trip_decides() {
        let probes = [probe(0, 1_090, 100), probe(200, 1_201, 202), probe(300, 1_340, 350)];
        let offset = ClockOffset::estimate(&probes).unwrap();
        assert_eq!(offset.error, Duration::from_millis(1));
        assert_eq!(offset.theirs_ns(Duration::from_millis(500)), 1_500_000_000);
    }

    #[test]
    fn a_clock_that_is_behind_has_a_negative_offset() {
        let offset = ClockOffset::estimate(&[probe(1_000, 1, 1_002)]).unwrap();
        assert_eq!(offset.offset_ns, -1_000_000_000);
        assert_eq!(offset.theirs_ns(Duration::from_millis(500)), 0, "before its epoch");
    }

    #[test]
    fn no_probe_has_no_estimate() {
        assert_eq!(ClockOffset::estimate(&[]), None);
    }
}
