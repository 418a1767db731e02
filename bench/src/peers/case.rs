//! What is measured of every server, and the bars that Throng has to meet.

use std::fmt;

use serde::Serialize;

/// One row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Case {
    /// Closed loop: every connection keeps `depth` messages in flight.
    Echo {
        /// Payload of a message.
        size_bytes: usize,
        /// Messages in flight per connection.
        depth: usize,
    },
    /// Connect, upgrade, reset, as often as it goes.
    Connect,
    /// Open loop: messages at a fixed rate, latency from the intended moment of each.
    FixedRate {
        /// Payload of a message.
        size_bytes: usize,
        /// Messages per second over all connections.
        rate: u32,
    },
}

/// All of them, in the order of the report.
pub const CASES: [Case; 7] = [
    Case::Echo { size_bytes: 64, depth: 1 },
    Case::Echo { size_bytes: 64, depth: 16 },
    Case::Echo { size_bytes: 512, depth: 1 },
    Case::Echo { size_bytes: 512, depth: 16 },
    Case::Echo { size_bytes: 16 * 1024, depth: 1 },
    Case::Connect,
    Case::FixedRate { size_bytes: 64, rate: 50_000 },
];

/// What a ratio is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The server's processor time per operation.
    ServerCpu,
    /// 99 % latency.
    P99,
    /// 99.9 % latency.
    P999,
}

/// Whom Throng is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// uWebSockets with epoll.
    Uwebsockets,
    /// Whichever peer has the lowest median.
    Best,
}

/// A ratio that Throng must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Of what.
    pub figure: Figure,
    /// Of whose.
    pub against: Against,
    /// Throng's figure divided by theirs, at most.
    pub ratio_max: f64,
}

impl Case {
    /// The bars of this case.
    #[must_use]
    pub fn bars(&self) -> &'static [Bar] {
        const fn bar(figure: Figure, against: Against, ratio_max: f64) -> Bar {
            Bar { figure, against, ratio_max }
        }
        match self {
            Self::Echo { depth: 1, size_bytes: ..=512 } => {
                const { &[bar(Figure::ServerCpu, Against::Uwebsockets, 0.90)] }
            }
            Self::Echo { depth: 1, .. } => {
                const { &[bar(Figure::ServerCpu, Against::Uwebsockets, 1.0)] }
            }
            Self::Echo { .. } => const { &[bar(Figure::ServerCpu, Against::Uwebsockets, 0.95)] },
            Self::Connect => const { &[bar(Figure::ServerCpu, Against::Best, 0.80)] },
            Self::FixedRate { .. } => {
                const {
                    &[
                        bar(Figure::P99, Against::Uwebsockets, 1.0),
                        bar(Figure::P999, Against::Uwebsockets, 1.0),
                    ]
                }
            }
        }
    }

    /// Whether uWebSockets' experiment with io_uring can serve it: it receives into buffers of
    /// 2 KB, keeps one send buffer per connection while sends are in flight, and has no close.
    #[must_use]
    pub fn suits_experiment(&self) -> bool {
        match self {
            Self::Echo { size_bytes, depth } => size_bytes * depth <= 1024,
            Self::Connect => false,
            Self::FixedRate { .. } => true,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo { size_bytes, depth } => write!(f, "{}, depth {depth}", Size(*size_bytes)),
            Self::Connect => write!(f, "connect + upgrade + reset"),
            Self::FixedRate { size_bytes, rate } => {
                write!(f, "{} at {rate} messages/s", Size(*size_bytes))
            }
        }
    }
}

struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1024 && bytes % 1024 == 0 => write!(f, "{} KB", bytes / 1024),
            bytes => write!(f, "{bytes} B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_bar_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(Case::to_string).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.iter().all(|case| !case.bars().is_empty()));
        assert!(names.contains("16 KB, depth 1"));
    }

    #[test]
    fn a_message_of_512_bytes_has_the_bar_of_small_ones_and_one_byte_more_has_not() {
        let ratio = |size_bytes| Case::Echo { size_bytes, depth: 1 }.bars()[0].ratio_max;
        assert_eq!((ratio(512), ratio(513)), (0.90, 1.0));
    }
}
