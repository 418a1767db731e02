//! Where values lie on an axis, and which of them are marked: round numbers.

/// An axis from its lowest to its highest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Between two marks, where they are not decimal.
    step: Option<f64>,
}

/// Marks that an axis should have, about.
const TICKS: f64 = 5.0;

/// Most marks of a logarithmic axis.
const LOG_TICKS_MAX: usize = 8;

impl Scale {
    /// From zero, to the round number above the highest value.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let scale = Self::tight(values);
        let step = round_step(scale.high / TICKS);
        Self { high: (scale.high / step - 1e-9).ceil() * step, ..scale }
    }

    /// The same for bytes, which are round in powers of 1024.
    pub(super) fn bytes(values: impl Iterator<Item = f64>) -> Self {
        let scale = Self::tight(values);
        let unit = 1024_f64.powf(scale.high.log(1024.0).floor().max(0.0));
        let step = round_step(scale.high / unit / TICKS) * unit;
        Self { high: (scale.high / step - 1e-9).ceil() * step, step: Some(step), ..scale }
    }

    /// From 0 to the highest value itself: for time and connections, whose end is the data's.
    pub(super) fn tight(values: impl Iterator<Item = f64>) -> Self {
        let high = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, log: false, step: None }
    }

    /// Between the 1-2-5 numbers around the positive values.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) =
            positive.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        if high == 0.0 {
            return Self { low: 1.0, high: 10.0, log: true, step: None };
        }
        let below = marks(low / 10.0, low * 1.0001).last().unwrap_or(low);
        let above = marks(high * 0.9999, high * 10.0).next().unwrap_or(high);
        Self {
            low: below,
            high: if above > below { above } else { below * 10.0 },
            log: true,
            step: None,
        }
    }

    /// 0 at the lowest value, 1 at the highest.
    pub(super) fn position(&self, value: f64) -> f64 {
        let at = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        at.clamp(0.0, 1.0)
    }

    /// The values to be marked.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.log {
            let step = self.step.unwrap_or_else(|| round_step((self.high - self.low) / TICKS));
            let values = (0..100).map(|n| f64::from(n) * step);
            return values.take_while(|value| *value <= self.high * (1.0 + 1e-9)).collect();
        }
        let all: Vec<f64> = marks(self.low * 0.9999, self.high * 1.0001).collect();
        if all.len() <= LOG_TICKS_MAX {
            return all;
        }
        let is_power = |value: &f64| (value.log10() - value.log10().round()).abs() < 1e-6;
        all.into_iter().filter(is_power).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at or above a value.
fn round_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let fits = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value * (1.0 - 1e-9));
    fits.unwrap_or(10.0) * power
}

/// 1, 2 and 5 times the powers of ten within bounds, upwards.
fn marks(low: f64, high: f64) -> impl Iterator<Item = f64> {
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a finite number")]
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (first..=last)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)))
        .filter(move |value| *value >= low && *value <= high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_round_number() {
        let scale = Scale::linear([3.0, 87.0].into_iter());
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!((scale.position(0.0), scale.position(50.0)), (0.0, 0.5));
    }

    #[test]
    fn a_logarithmic_axis_ends_at_one_two_or_five() {
        let scale = Scale::log([130.0, 1700.0].into_iter());
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * b;
        let ticks = scale.ticks();
        assert!(near(ticks[0], 100.0) && near(*ticks.last().unwrap(), 2000.0), "{ticks:?}");
        assert_eq!((scale.position(100.0), scale.position(2000.0)), (0.0, 1.0));
    }

    #[test]
    fn an_axis_of_bytes_is_round_in_powers_of_1024() {
        let mib = 1_048_576.0;
        let ticks = Scale::bytes(std::iter::once(70.0 * mib)).ticks();
        assert_eq!(ticks, [0.0, 20.0, 40.0, 60.0, 80.0].map(|value| value * mib));
    }

    #[test]
    fn nothing_still_has_an_axis() {
        assert!(Scale::linear(std::iter::empty()).ticks().len() > 1);
        assert!(Scale::log(std::iter::once(0.0)).ticks().len() > 1);
    }

    proptest! {
        #[test]
        fn every_value_has_its_place_and_there_are_few_ticks(
            values in prop::collection::vec(1e-3..1e12_f64, 1..20),
        ) {
            for make in [Scale::linear, Scale::log, Scale::tight, Scale::bytes] as [fn(_) -> Scale; 4] {
                let scale = make(values.clone().into_iter());
                for value in &values {
                    prop_assert!((0.0..=1.0).contains(&scale.position(*value)));
                }
                let ticks = scale.ticks().len();
                prop_assert!((1..=17).contains(&ticks), "{ticks}");
            }
        }
    }
}
