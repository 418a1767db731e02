//! The result block for people: verdict and few figures first, everything else below.

use std::fmt::{self, Write};

use super::build::{main_metric, uncorrected};
use super::format::{bytes, count, figure, number, time_us};
use super::histogram::{SpectrumPoint, from_text, spectrum};
use super::{Outcome, Percentiles, Side};
use crate::generator::{Cause, Metric};

/// Rows that a spectrum is thinned to.
const SPECTRUM_ROWS: usize = 20;

/// The block, ending with a line break.
#[must_use]
pub fn block(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(outcome, &mut text);
    text
}

fn write_all(outcome: &Outcome, out: &mut String) -> fmt::Result {
    writeln!(out, "\n{}", headline(outcome))?;
    for reason in &outcome.invalid {
        writeln!(out, "  invalid: {reason}")?;
    }
    for (name, value) in &outcome.figures {
        writeln!(out, "  {name:<34} {}", figure(name, *value))?;
    }
    write_thresholds(outcome, out)?;
    write_latency(outcome, out)?;
    write_spectrum(outcome, out)?;
    write_failures(outcome, out)?;
    write_side("server", outcome.server.as_ref(), out)?;
    write_side("generator", Some(&outcome.client), out)?;
    for finding in &outcome.findings {
        writeln!(out, "  finding: {finding}")?;
    }
    writeln!(out, "  {}", outcome.host.line())
}

/// One line: verdict, kind, connections, the main times.
#[must_use]
pub fn headline(outcome: &Outcome) -> String {
    let failed = outcome.failed.values().sum();
    let mut line = format!(
        "{}: {} of {:.1} s, {} established, {} failed",
        verdict(outcome),
        outcome.kind,
        outcome.seconds,
        count(outcome.established),
        count(failed)
    );
    let main = main_metric(&outcome.kind).name();
    if let Some(times) = outcome.latency_us.get(main) {
        let (p50, p99) = (time_us(times.p50), time_us(times.p99));
        let _ = write!(line, ", {main} p50 {p50}, p99 {p99}");
    }
    line
}

/// `INVALID`, `FAILED` (a threshold) or `ok`.
#[must_use]
pub fn verdict(outcome: &Outcome) -> &'static str {
    if !outcome.valid {
        "INVALID"
    } else if outcome.thresholds.iter().all(|verdict| verdict.passed) {
        "ok"
    } else {
        "FAILED"
    }
}

fn write_thresholds(outcome: &Outcome, out: &mut String) -> fmt::Result {
    for verdict in &outcome.thresholds {
        let mark = if verdict.passed { "kept  " } else { "BROKEN" };
        let value = verdict.value.map_or_else(|| "no data".to_owned(), number);
        writeln!(out, "  {mark} {} (is {value})", verdict.expression)?;
    }
    Ok(())
}

fn write_latency(outcome: &Outcome, out: &mut String) -> fmt::Result {
    if outcome.latency_us.is_empty() {
        return Ok(());
    }
    let heads = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    write!(out, "  {:<22}{:>12}", "time", "count")?;
    heads.iter().try_for_each(|head| write!(out, "{head:>10}"))?;
    writeln!(out)?;
    for metric in Metric::ALL {
        if let Some(times) = outcome.latency_us.get(metric.name()) {
            write!(out, "  {:<22}{:>12}", metric.name(), count(times.count))?;
            let values = percentile_values(times);
            values.iter().try_for_each(|value| write!(out, "{:>10}", time_us(*value)))?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// In the order in which they are shown.
pub(super) fn percentile_values(times: &Percentiles) -> [f64; 6] {
    [times.p50, times.p90, times.p99, times.p99_9, times.p99_99, times.max]
}

/// The spectrum of the main metric, with the uncorrected twin beside it.
fn write_spectrum(outcome: &Outcome, out: &mut String) -> fmt::Result {
    let main = main_metric(&outcome.kind);
    let times = |metric: Metric| from_text(outcome.histograms.get(metric.name())?);
    let Some(corrected) = times(main) else { return Ok(()) };
    let twin = uncorrected(main).and_then(times);
    writeln!(out, "  spectrum of {}", main.name())?;
    write!(out, "  {:>12}{:>12}{:>14}{:>12}", "value", "percentile", "count", "1/(1-p)")?;
    writeln!(out, "{}", if twin.is_some() { "   uncorrected" } else { "" })?;
    for point in thinned(spectrum(&corrected)) {
        let beyond = 1.0 / (1.0 - point.quantile);
        let beyond = if beyond.is_finite() { number(beyond) } else { "inf".to_owned() };
        let (value, percentile) = (time_us(point.value_us), point.quantile * 100.0);
        let many = count(point.count);
        write!(out, "  {value:>12}{percentile:>12.5}{many:>14}{beyond:>12}")?;
        if let Some(twin) = &twin {
            let at = super::histogram::microseconds(twin.value_at_quantile(point.quantile));
            write!(out, "{:>14}", time_us(at))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Evenly fewer points, the last one kept.
fn thinned(points: Vec<SpectrumPoint>) -> impl Iterator<Item = SpectrumPoint> {
    let step = points.len().div_ceil(SPECTRUM_ROWS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = move |at: usize| at.is_multiple_of(step) || at == last;
    points.into_iter().enumerate().filter(move |(at, _)| kept(*at)).map(|(_, point)| point)
}

fn write_failures(outcome: &Outcome, out: &mut String) -> fmt::Result {
    for cause in Cause::ALL {
        let Some(failed) = outcome.failed.get(cause.name()) else { continue };
        write!(out, "  failed {cause}: {}", count(*failed))?;
        let prefix = format!("{cause}/");
        for (name, count) in &outcome.failed_detail {
            if let Some(detail) = name.strip_prefix(&prefix) {
                write!(out, " [{detail}: {count}]")?;
            }
        }
        writeln!(out, "\n    {}", cause.advice())?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
fn write_side(name: &str, side: Option<&Side>, out: &mut String) -> fmt::Result {
    let Some(side) = side else {
        return writeln!(out, "  {name}: not measured (give --server-pid or --admin)");
    };
    writeln!(
        out,
        "  {name}: {:.2} s of processor, {} resident ({} before), slab {}{}, socket data {}; \
         per connection {} user + {} kernel",
        side.cpu_seconds,
        bytes(side.rss_bytes as f64),
        bytes(side.rss_before_bytes as f64),
        bytes(side.slab_bytes as f64),
        if side.slab_shared { " (its share of this host's)" } else { "" },
        bytes(side.socket_bytes as f64),
        bytes(side.user_bytes_per_connection),
        bytes(side.kernel_bytes_per_connection)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;
    use crate::outcome::testing::echo_outcome;

    #[test]
    fn the_first_line_has_the_verdict_and_the_few_figures() {
        let line = headline(&echo_outcome());
        assert_eq!(
            line,
            "ok: echo of 10.0 s, 99 established, 1 failed, echo p50 1.00 ms, p99 1.98 ms"
        );
    }

    #[test]
    fn both_the_corrected_and_the_uncorrected_times_are_shown() {
        let text = block(&echo_outcome());
        let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name));
        assert!(row("echo ").unwrap().contains("1.98 ms"), "{text}");
        assert!(row("echo_uncorrected").unwrap().contains("990 µs"), "{text}");
        assert!(row("value").unwrap().ends_with("uncorrected"), "{text}");
        assert!(text.contains("100.00000         1,000         inf"), "{text}");
    }

    #[test]
    fn a_failure_comes_with_its_detail_and_what_to_do() {
        let text = block(&echo_outcome());
        assert!(text.contains("failed bad_upgrade: 1 [503: 1]"), "{text}");
        assert!(text.contains(Cause::BadUpgrade.advice()), "{text}");
    }

    #[test]
    fn both_sides_are_shown_and_a_missing_one_says_how_to_get_it() {
        let mut outcome = echo_outcome();
        assert!(block(&outcome).contains("per connection 500 B user + 3.91 KiB kernel"));
        outcome.server = None;
        assert!(block(&outcome).contains("server: not measured"));
    }

    #[test]
    fn a_broken_threshold_and_an_invalid_run_are_said_first() {
        let mut outcome = echo_outcome();
        let expression = "ack.p99_ms<5".to_owned();
        outcome.thresholds.push(Verdict { expression, value: None, passed: false });
        assert!(block(&outcome).contains("BROKEN ack.p99_ms<5 (is no data)"));
        assert_eq!(verdict(&outcome), "FAILED");
        outcome.valid = false;
        assert_eq!(verdict(&outcome), "INVALID");
    }
}
