//! A [`Sample`] as bytes, for a worker to send to its coordinator.
//!
//! Form: version, how many counters, metrics and causes this build knows; then `at`, `cpu`, `open`,
//! the counters; the histograms, each as its metric, the number of its values and pairs of
//! (distance from the value before, count); the failures as (cause, detail, count). All are LEB128
//! numbers. Worker and coordinator must be of one build: what a number means is a matter of the
//! lists above.
//!
//! Bytes of a stranger cost at most their own length in failures and one full histogram per metric:
//! nothing is reserved on the word of a length.

use std::time::Duration;

use super::{Sample, TIME_MAX, Times, empty_times, nanoseconds};
use crate::generator::{Cause, Counter, Metric};

/// The form's version.
const VERSION: u64 = 1;

/// Highest value of a histogram, in nanoseconds.
const VALUE_MAX: u64 = 1 << 42;

// A value is sent as the highest that is equivalent to it, which lies above it by 0.1 % at most.
const _: () = assert!(TIME_MAX.as_nanos() * 1002 / 1000 < VALUE_MAX as u128);

/// Why bytes are no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The bytes end too early.
    #[error("the sample ends too early")]
    Truncated,
    /// There is something behind it, or a number that cannot be.
    #[error("the sample is malformed")]
    Malformed,
    /// The worker was built from another commit.
    #[error("the sample is of another build: run the same throng-bench on all hosts")]
    OtherBuild,
}

impl Sample {
    /// Appends this sample.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in BUILD {
            put(out, number);
        }
        put(out, nanoseconds(self.at));
        put(out, nanoseconds(self.cpu));
        put(out, self.open);
        for &count in &self.counts {
            put(out, count);
        }
        put(out, self.times.iter().flatten().count() as u64);
        for (&metric, times) in Metric::ALL.iter().zip(&self.times) {
            if let Some(times) = times {
                put(out, metric as u64);
                put_times(out, times);
            }
        }
        put(out, self.failures.len() as u64);
        for (&(cause, detail), &count) in &self.failures {
            put(out, cause as u64);
            put(out, u64::from(detail));
            put(out, count);
        }
    }

    /// Reads what [`Sample::encode`] wrote, and nothing behind it.
    ///
    /// # Errors
    /// See [`SampleError`]; never panics.
    pub fn decode(bytes: &[u8]) -> Result<Self, SampleError> {
        let mut reader = Reader { bytes };
        for number in BUILD {
            if reader.number()? != number {
                return Err(SampleError::OtherBuild);
            }
        }
        let mut sample = Self {
            at: Duration::from_nanos(reader.number()?),
            cpu: Duration::from_nanos(reader.number()?),
            open: reader.number()?,
            ..Self::default()
        };
        for count in &mut sample.counts {
            *count = reader.number()?;
        }
        sample.read_times(&mut reader)?;
        sample.read_failures(&mut reader)?;
        if reader.bytes.is_empty() { Ok(sample) } else { Err(SampleError::Malformed) }
    }

    fn read_times(&mut self, reader: &mut Reader<'_>) -> Result<(), SampleError> {
        for _ in 0..reader.number()? {
            let place = self.times.get_mut(reader.index()?).ok_or(SampleError::Malformed)?;
            if place.is_some() {
                return Err(SampleError::Malformed);
            }
            *place = Some(reader.times()?);
        }
        Ok(())
    }

    fn read_failures(&mut self, reader: &mut Reader<'_>) -> Result<(), SampleError> {
        for _ in 0..reader.number()? {
            let cause = *Cause::ALL.get(reader.index()?).ok_or(SampleError::Malformed)?;
            let detail = u32::try_from(reader.number()?).map_err(|_| SampleError::Malformed)?;
            if self.failures.insert((cause, detail), reader.number()?).is_some() {
                return Err(SampleError::Malformed);
            }
        }
        Ok(())
    }
}

/// What must be the same at both ends.
const BUILD: [u64; 4] =
    [VERSION, Counter::ALL.len() as u64, Metric::ALL.len() as u64, Cause::ALL.len() as u64];

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_times(out: &mut Vec<u8>, times: &Times) {
    put(out, times.iter_recorded().count() as u64);
    let mut before = 0;
    for step in times.iter_recorded() {
        let value = step.value_iterated_to();
        put(out, value - before);
        put(out, step.count_at_value());
        before = value;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn number(&mut self) -> Result<u64, SampleError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(SampleError::Truncated)?;
            self.bytes = rest;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(SampleError::Malformed);
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(SampleError::Malformed)
    }

    fn index(&mut self) -> Result<usize, SampleError> {
        usize::try_from(self.number()?).map_err(|_| SampleError::Malformed)
    }

    fn times(&mut self) -> Result<Box<Times>, SampleError> {
        let mut times = empty_times();
        let mut value = 0_u64;
        for _ in 0..self.number()? {
            value = value.saturating_add(self.number()?);
            let count = self.number()?;
            if value > VALUE_MAX || count == 0 {
                return Err(SampleError::Malformed);
            }
            times.record_n(value, count).map_err(|_| SampleError::Malformed)?;
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(sample: &Sample) -> Vec<u8> {
        let mut bytes = Vec::new();
        sample.encode(&mut bytes);
        bytes
    }

    fn any_sample() -> impl Strategy<Value = Sample> {
        let times = prop::collection::vec((0..Metric::ALL.len(), 0..u64::MAX), 0..200);
        let counts = prop::collection::vec((0..Counter::ALL.len(), 0..u64::MAX / 300), 0..30);
        let failures = prop::collection::vec((0..Cause::ALL.len(), 0..5_u32), 0..30);
        (times, counts, failures, 0..u64::MAX, any::<u64>()).prop_map(
            |(times, counts, failures, at, open)| {
                let at = Duration::from_nanos(at);
                let mut sample = Sample { at, open, ..Sample::default() };
                for (metric, time) in times {
                    sample.record(Metric::ALL[metric], Duration::from_nanos(time));
                }
                for (counter, count) in counts {
                    sample.add(Counter::ALL[counter], count);
                }
                for (cause, detail) in failures {
                    sample.fail(Cause::ALL[cause], detail);
                }
                sample
            },
        )
    }

    proptest! {
        // A full histogram has 32,768 counters: few cases are enough work.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_was_encoded_is_decoded(sample in any_sample()) {
            let bytes = encoded(&sample);
            let back = Sample::decode(&bytes).unwrap();
            prop_assert_eq!(encoded(&back), bytes);
            for metric in Metric::ALL {
                prop_assert_eq!(back.times(*metric), sample.times(*metric));
            }
            for counter in Counter::ALL {
                prop_assert_eq!(back.count(*counter), sample.count(*counter));
            }
            prop_assert_eq!((back.at, back.open), (sample.at, sample.open));
            prop_assert!(back.failures().eq(sample.failures()));
        }

        #[test]
        fn no_bytes_of_a_stranger_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes: Vec<u8> = Vec::new();
            BUILD.iter().for_each(|number| put(&mut bytes, *number));
            bytes.extend(tail);
            let _ = Sample::decode(&bytes);
        }

        #[test]
        fn a_sample_that_was_cut_off_is_none(sample in any_sample(), at in any::<prop::sample::Index>()) {
            let bytes = encoded(&sample);
            let cut = &bytes[..at.index(bytes.len())];
            prop_assert_eq!(Sample::decode(cut).unwrap_err(), SampleError::Truncated);
        }
    }

    #[test]
    fn another_build_is_refused() {
        let mut bytes = encoded(&Sample::default());
        bytes[1] += 1;
        assert_eq!(Sample::decode(&bytes).unwrap_err(), SampleError::OtherBuild);
    }

    #[test]
    fn nothing_may_follow() {
        let mut bytes = encoded(&Sample::default());
        bytes.push(0);
        assert_eq!(Sample::decode(&bytes).unwrap_err(), SampleError::Malformed);
    }

    #[test]
    fn a_value_may_be_the_highest_and_no_higher() {
        let with_value = |value| {
            let mut bytes = encoded(&Sample::default());
            bytes.truncate(bytes.len() - 2); // no histograms, no failures
            [1, 0, 1, value, 1, 0].iter().for_each(|number| put(&mut bytes, *number));
            Sample::decode(&bytes)
        };
        assert!(with_value(VALUE_MAX).is_ok());
        assert_eq!(with_value(VALUE_MAX + 1).unwrap_err(), SampleError::Malformed);
    }
}
