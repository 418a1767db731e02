//! What a shard saw in one interval. A run's result is the sum of its samples.

mod codec;

pub use codec::SampleError;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Cause;

macro_rules! names {
    ($(#[doc = $title:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $item:ident = $name:literal,)+ }) => {
        $(#[doc = $title])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[doc = $doc])+ $item,)+
        }

        impl $type {
            /// All of them, in the order in which they are reported.
            pub const ALL: &[Self] = &[$(Self::$item),+];

            /// Its name in results and thresholds.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $name),+ }
            }

            /// By its name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$item),)+ _ => None }
            }
        }
    };
}

names! {
    /// A time that is measured, in nanoseconds. Those that end in `Sent` are the uncorrected twins:
    /// they count from the moment a message was handed to the driver, and leave out what it waited
    /// for before (coordinated omission).
    Metric {
        /// The TCP handshake: from `connect` to its completion.
        Connect = "connect",
        /// From the TCP connection to the answer to the upgrade.
        Upgrade = "upgrade",
        /// From the first message sent to its answer (Throng: `hello` to `welcome`).
        Hello = "hello",
        /// From the open WebSocket to the first message that came.
        FirstMessage = "first_message",
        /// From the intended moment of a connection's start until it is usable.
        Establish = "establish",
        /// From a ping to its pong.
        Heartbeat = "heartbeat",
        /// From the intended moment of an echo's message to the echo.
        Echo = "echo",
        /// From handing over the message to the echo.
        EchoSent = "echo_uncorrected",
        /// From the intended moment of a chat message to its ack.
        Ack = "ack",
        /// From handing over the chat message to its ack.
        AckSent = "ack_uncorrected",
        /// From the intended moment of a chat message to its arrival at a recipient.
        Deliver = "deliver",
        /// From handing over the chat message to its arrival at a recipient.
        DeliverSent = "deliver_uncorrected",
        /// From the intended moment of a group's message to its arrival at the last member.
        LastMember = "last_member",
        /// From a cut connection to the moment its client is usable again.
        Return = "return",
        /// By how much the generator itself was late: from an intended moment to the act.
        Lateness = "lateness",
    }
}

names! {
    /// Something that is counted.
    Counter {
        /// Connections started.
        Started = "started",
        /// Connections that became usable.
        Established = "established",
        /// Connections closed as the plan asked.
        ClosedAsAsked = "closed_as_asked",
        /// Connections that failed, of any cause.
        Failed = "failed",
        /// Messages that should have been sent by now.
        Intended = "intended",
        /// Messages that were due and that the generator did not get to.
        Unsent = "unsent",
        /// Messages that were not answered when the measured part ended.
        Unanswered = "unanswered",
        /// Messages sent.
        Sent = "sent",
        /// Messages that came.
        Received = "received",
        /// Chat messages acknowledged.
        Acked = "acked",
        /// Chat messages that came to recipients.
        Delivered = "delivered",
        /// Deliveries that acknowledged chat messages owe: to each device of each member but the
        /// one that sent it.
        DeliveriesExpected = "deliveries_expected",
        /// Sends refused by the server with an error that lets the client try again.
        Refused = "refused",
        /// Sends tried again.
        Retried = "retried",
        /// Acknowledged messages that a recipient did not get, neither pushed nor by asking.
        Lost = "lost",
        /// Messages that came twice as new.
        Doubled = "doubled",
        /// Messages out of the order of their log.
        Reordered = "reordered",
        /// Holes that a recipient saw in the pushed events and filled by asking.
        HolesFilled = "holes_filled",
        /// Heartbeats sent.
        HeartbeatsSent = "heartbeats_sent",
        /// Heartbeats answered.
        HeartbeatsAnswered = "heartbeats_answered",
        /// Acts of the generator that were later than the lateness that a run may have.
        Overruns = "overruns",
        /// Bytes of payload sent.
        BytesSent = "bytes_sent",
        /// Bytes of payload that came.
        BytesReceived = "bytes_received",
    }
}

/// Times of one metric: nanoseconds, three significant digits, as large as they come.
pub type Times = Histogram<u64>;

/// Longer times are recorded as this: it bounds the size of a histogram.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Significant digits of a time.
const DIGITS: u8 = 3;

/// What one shard saw in one interval; or the sum of many, which is the result of a run.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The end of the interval, since the start of the run. Of a sum: the latest.
    pub at: Duration,
    /// Processor time of the shard's thread in the interval.
    pub cpu: Duration,
    /// Connections usable at the end of the interval.
    pub open: u64,
    counts: [u64; Counter::ALL.len()],
    times: [Option<Box<Times>>; Metric::ALL.len()],
    failures: BTreeMap<(Cause, u32), u64>,
}

impl Sample {
    /// Counts.
    #[inline]
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.counts[counter as usize] += count;
    }

    /// How often.
    #[must_use]
    pub fn count(&self, counter: Counter) -> u64 {
        self.counts[counter as usize]
    }

    /// Records a time.
    #[inline]
    pub fn record(&mut self, metric: Metric, time: Duration) {
        let times = self.times[metric as usize].get_or_insert_with(empty_times);
        // Refused only by a histogram that does not resize itself.
        let _ = times.record(nanoseconds(time.min(TIME_MAX)));
    }

    /// The times of a metric, if there are any.
    #[must_use]
    pub fn times(&self, metric: Metric) -> Option<&Times> {
        self.times[metric as usize].as_deref()
    }

    /// Forgets the times of all other metrics.
    pub fn keep_times(&mut self, kept: &[Metric]) {
        for metric in Metric::ALL.iter().filter(|metric| !kept.contains(metric)) {
            self.times[*metric as usize] = None;
        }
    }

    /// Counts a failed connection.
    pub fn fail(&mut self, cause: Cause, detail: u32) {
        self.add(Counter::Failed, 1);
        *self.failures.entry((cause, detail)).or_default() += 1;
    }

    /// Failed connections by cause and detail (see [`Cause`] for what the detail is).
    pub fn failures(&self) -> impl Iterator<Item = (Cause, u32, u64)> {
        self.failures.iter().map(|(&(cause, detail), &count)| (cause, detail, count))
    }

    /// Adds another shard's sample of the same interval, or the next interval of the same shards.
    ///
    /// `open` is not added up: it is the sum over shards of the newest interval, which only the
    /// caller knows.
    pub fn merge(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.cpu += other.cpu;
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            if let Some(theirs) = theirs {
                // Both resize themselves and have the same digits: adding cannot fail.
                let _ = mine.get_or_insert_with(empty_times).add(&**theirs);
            }
        }
        for (key, count) in &other.failures {
            *self.failures.entry(*key).or_default() += count;
        }
    }
}

/// Whole nanoseconds, the most there are if they are more.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn empty_times() -> Box<Times> {
    // Refused only for more than five digits.
    Box::new(Times::new(DIGITS).unwrap_or_else(|_| unreachable!("{DIGITS} digits are allowed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_the_times_of_all_and_not_the_mean_of_their_percentiles() {
        let (mut fast, mut slow) = (Sample::default(), Sample::default());
        for _ in 0..99 {
            fast.record(Metric::Echo, Duration::from_millis(1));
        }
        slow.record(Metric::Echo, Duration::from_secs(1));
        fast.merge(&slow);
        let times = fast.times(Metric::Echo).unwrap();
        assert_eq!(times.len(), 100);
        assert!(times.value_at_quantile(0.99) < 1_010_000);
        assert!(times.max() >= 999_000_000);
    }

    #[test]
    fn failures_are_counted_by_cause_and_detail() {
        let (mut one, mut other) = (Sample::default(), Sample::default());
        one.fail(Cause::BadUpgrade, 503);
        other.fail(Cause::BadUpgrade, 503);
        other.fail(Cause::BadUpgrade, 404);
        one.merge(&other);
        let failures: Vec<_> = one.failures().collect();
        assert_eq!(failures, [(Cause::BadUpgrade, 404, 1), (Cause::BadUpgrade, 503, 2)]);
        assert_eq!(one.count(Counter::Failed), 3);
    }

    #[test]
    fn names_find_their_metric_and_no_other_does() {
        for metric in Metric::ALL {
            assert_eq!(Metric::named(metric.name()), Some(*metric));
        }
        assert_eq!(Metric::named("p99"), None);
    }
}
