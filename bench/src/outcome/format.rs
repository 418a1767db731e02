//! Figures as people read them: three digits that matter, and a unit.

/// A time in microseconds: `812 µs`, `3.42 ms`, `1.20 s`.
#[must_use]
pub fn time_us(us: f64) -> String {
    scaled(us, &[("ns", 1e-3), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)])
}

/// Bytes, in powers of 1024: `512 B`, `4.10 KiB`, `130 MiB`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let mib = 1_048_576.0;
    scaled(bytes, &[("B", 1.0), ("KiB", 1024.0), ("MiB", mib), ("GiB", mib * 1024.0)])
}

/// A number without a unit: `1,000,000`, `3.42`, `0.251`.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        return thousands(value);
    }
    let text = format!("{value:.*}", decimals(value));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A figure of a run, in the unit that its name ends in (`rss_bytes`, `cpu_us`).
#[must_use]
pub fn figure(name: &str, value: f64) -> String {
    let ends = |unit: &str| name.strip_suffix(unit).is_some_and(|head| head.ends_with('_'));
    if ends("bytes") || name.contains("bytes_per_") {
        bytes(value)
    } else if ends("us") {
        time_us(value)
    } else if ends("ms") {
        time_us(value * 1e3)
    } else {
        number(value)
    }
}

/// A count: `1,000,000`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
pub fn count(count: u64) -> String {
    thousands(count as f64)
}

/// In the largest of the units that leaves at least one before the point.
fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    let fits = |unit: &&(&str, f64)| value.abs() >= unit.1 * 0.9995;
    match units.iter().rev().find(fits).or_else(|| units.first()) {
        Some(_) if value == 0.0 => "0".to_owned(),
        Some((name, unit)) if *name == "B" => format!("{:.0} {name}", value / unit),
        Some((name, unit)) => format!("{:.*} {name}", decimals(value / unit), value / unit),
        None => number(value),
    }
}

/// How many decimals leave three digits that matter.
fn decimals(value: f64) -> usize {
    match value.abs() {
        value if value >= 99.95 || value == 0.0 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.9995 => 2,
        value if value >= 0.09995 => 3,
        _ => 4,
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_the_unit_that_fits() {
        let texts = [0.0, 0.25, 1.0, 812.4, 999.4, 999.9, 3_420.0, 1_200_000.0].map(time_us);
        let wanted = ["0", "250 ns", "1.00 µs", "812 µs", "999 µs", "1.00 ms", "3.42 ms", "1.20 s"];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn bytes_are_whole_until_a_kibibyte() {
        let texts = [3.0, 1023.0, 1024.0, 4_200.0, 136_314_880.0].map(bytes);
        assert_eq!(texts, ["3 B", "1023 B", "1.00 KiB", "4.10 KiB", "130 MiB"]);
    }

    #[test]
    fn a_figure_has_the_unit_of_its_name() {
        let figures = [("rss_bytes", 2048.0), ("user_bytes_per_connection", 500.0)];
        assert_eq!(figures.map(|(name, value)| figure(name, value)), ["2.00 KiB", "500 B"]);
        let figures = [("cpu_us", 2.0), ("gap_ms", 3.0), ("plus", 3.0), ("open_max", 3.0)];
        let wanted = ["2.00 µs", "3.00 ms", "3", "3"];
        assert_eq!(figures.map(|(name, value)| figure(name, value)), wanted);
    }

    #[test]
    fn numbers_keep_three_digits_that_matter() {
        let texts = [0.0, 0.251, 3.0, 3.416, 999.0, 1000.0, 1_234_567.0, -1000.0].map(number);
        let wanted = ["0", "0.251", "3", "3.42", "999", "1,000", "1,234,567", "-1,000"];
        assert_eq!(texts, wanted);
    }
}
