//! Histograms between memory, text and microseconds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use super::Percentiles;
use crate::generator::sample::Times;

/// Characters of a histogram in text. The fullest one that a run can make has 32,768 counters.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Points of a spectrum per halving of the distance to 100 %.
const TICKS_PER_HALVING: u32 = 5;

/// HdrHistogram V2, deflated, in base64: what other tools of HdrHistogram read.
///
/// Empty if the histogram cannot be written, which only a failing allocator could cause.
#[must_use]
pub fn to_text(times: &Times) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(times, &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        Err(_) => String::new(),
    }
}

/// Reads what [`to_text`] wrote; `None` if it is anything else.
#[must_use]
pub fn from_text(text: &str) -> Option<Times> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

/// Nanoseconds in microseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "times of a run are far below 2^53 ns")]
pub fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

impl Percentiles {
    /// Where the times lie. `None` if there are none: no time is no figure, and not zero.
    #[must_use]
    pub fn of(times: &Times) -> Option<Self> {
        let at = |quantile| microseconds(times.value_at_quantile(quantile));
        (!times.is_empty()).then(|| Self {
            count: times.len(),
            min: microseconds(times.min()),
            mean: times.mean().round() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: microseconds(times.max()),
        })
    }
}

/// A point of a percentile spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectrumPoint {
    /// The share of times at or below the value, 0 to 1.
    pub quantile: f64,
    /// Microseconds.
    pub value_us: f64,
    /// How many times are at or below it.
    pub count: u64,
}

/// The spectrum: denser towards 100 %, and ending there.
pub fn spectrum(times: &Times) -> Vec<SpectrumPoint> {
    times
        .iter_quantiles(TICKS_PER_HALVING)
        .map(|step| SpectrumPoint {
            quantile: step.quantile_iterated_to(),
            value_us: microseconds(step.value_iterated_to()),
            count: times.count_between(0, step.value_iterated_to()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(nanoseconds: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::new(3).unwrap();
        nanoseconds.into_iter().for_each(|time| times.record(time).unwrap());
        times
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() <= wanted * 0.001
    }

    #[test]
    fn percentiles_of_known_times_are_known() {
        let percentiles = Percentiles::of(&of((1..=100_000).map(|us| us * 1000))).unwrap();
        assert_eq!(percentiles.count, 100_000);
        assert!(near(percentiles.p50, 50_000.0), "{percentiles:?}");
        assert!(near(percentiles.p90, 90_000.0), "{percentiles:?}");
        assert!(near(percentiles.p99, 99_000.0), "{percentiles:?}");
        assert!(near(percentiles.p99_9, 99_900.0), "{percentiles:?}");
        assert!(near(percentiles.p99_99, 99_990.0), "{percentiles:?}");
        assert!(near(percentiles.max, 100_000.0) && near(percentiles.min, 1.0), "{percentiles:?}");
        assert!(near(percentiles.mean, 50_000.5), "{percentiles:?}");
    }

    #[test]
    fn no_time_has_no_percentiles() {
        assert_eq!(Percentiles::of(&of([])), None);
    }

    #[test]
    fn one_slow_message_of_a_thousand_is_in_the_last_percentiles_alone() {
        let percentiles =
            Percentiles::of(&of((0..1000).map(|n| if n == 7 { 1_000_000_000 } else { 1000 })));
        let percentiles = percentiles.unwrap();
        assert!(near(percentiles.p99_9, 1.0), "{percentiles:?}");
        assert!(near(percentiles.p99_99, 1e6), "{percentiles:?}");
    }

    #[test]
    fn a_spectrum_ends_with_all_times_at_the_highest() {
        let points = spectrum(&of((1..=10_000).map(|us| us * 1000)));
        let last = points.last().unwrap();
        assert_eq!((last.quantile, last.count), (1.0, 10_000));
        assert!(points.is_sorted_by(|a, b| a.quantile <= b.quantile && a.value_us <= b.value_us));
    }

    #[test]
    fn text_of_something_else_is_no_histogram() {
        for text in ["", "!", "AAAA", "HISTFAAAABl4"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_keeps_a_histogram(times in prop::collection::vec(0..3_600_000_000_000_u64, 0..300)) {
            let times = of(times);
            prop_assert_eq!(from_text(&to_text(&times)).unwrap(), times);
        }

        #[test]
        fn merged_histograms_are_the_histogram_of_all(
            one in prop::collection::vec(0..3_600_000_000_000_u64, 0..300),
            other in prop::collection::vec(0..3_600_000_000_000_u64, 0..300),
        ) {
            let mut merged = from_text(&to_text(&of(one.clone()))).unwrap();
            merged.auto(true);
            merged.add(of(other.clone())).unwrap();
            prop_assert_eq!(merged, of(one.into_iter().chain(other)));
        }
    }
}
