//! From what a run saw to its result.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::histogram::{microseconds, to_text};
use super::{Outcome, Percentiles, SCHEMA, Second, Side};
use crate::generator::sample::Times;
use crate::generator::{Counter, Metric, Sample};
use crate::host::Host;

/// Everything that a result is made of.
pub struct Ingredients<'a> {
    /// The subcommand.
    pub kind: &'a str,
    /// What it ran on.
    pub host: Host,
    /// The parameters, defaults included.
    pub plan: BTreeMap<String, Value>,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// How long the measured part took.
    pub measured: Duration,
    /// The sum of all samples.
    pub total: &'a Sample,
    /// Second by second, in order.
    pub series: &'a [Interval],
    /// What the generator cost.
    pub client: Side,
    /// What the server cost, if it could be read.
    pub server: Option<Side>,
    /// Figures of this kind of run alone.
    pub figures: BTreeMap<String, f64>,
    /// What limited the run.
    pub findings: Vec<String>,
    /// Why the figures may not be believed; empty if they may.
    pub invalid: Vec<String>,
}

/// What was seen in one second, of all shards together.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// The samples of all shards, added up; `open` too.
    pub sample: Sample,
    /// Processor time of the server in it.
    pub server_cpu: Duration,
    /// Resident memory of the server at its end; 0 if unknown.
    pub server_rss_bytes: u64,
    /// Slab of the host at its end; 0 if unknown.
    pub slab_bytes: u64,
}

/// The metric that a kind of run is about: a threshold without a prefix means it, and the series
/// shows it.
#[must_use]
pub fn main_metric(kind: &str) -> Metric {
    match kind {
        "echo" => Metric::Echo,
        "chat" => Metric::Ack,
        "fanout" => Metric::LastMember,
        "storm" => Metric::Return,
        _ => Metric::Establish,
    }
}

/// The twin of a metric that leaves out what was never sent in time.
#[must_use]
pub fn uncorrected(metric: Metric) -> Option<Metric> {
    match metric {
        Metric::Echo => Some(Metric::EchoSent),
        Metric::Ack => Some(Metric::AckSent),
        Metric::Deliver => Some(Metric::DeliverSent),
        _ => None,
    }
}

/// The result of a run. Thresholds are judged afterwards, see [`super::threshold`].
#[must_use]
pub fn build(run: Ingredients<'_>) -> Outcome {
    let total = run.total;
    let (failed, failed_detail) = failures(total);
    let main = main_metric(run.kind);
    Outcome {
        schema: SCHEMA.to_owned(),
        kind: run.kind.to_owned(),
        valid: run.invalid.is_empty(),
        invalid: run.invalid,
        host: run.host,
        plan: run.plan,
        started_ms: run.started_ms,
        seconds: run.measured.as_secs_f64(),
        established: total.count(Counter::Established),
        failed,
        failed_detail,
        counters: Counter::ALL.iter().map(|&c| (c.name().to_owned(), total.count(c))).collect(),
        latency_us: per_metric(total, Percentiles::of),
        histograms: per_metric(total, |times| (!times.is_empty()).then(|| to_text(times))),
        server: run.server,
        client: run.client,
        series: run.series.iter().map(|interval| second(interval, main)).collect(),
        figures: run.figures,
        findings: run.findings,
        thresholds: Vec::new(),
    }
}

fn per_metric<T>(total: &Sample, of: impl Fn(&Times) -> Option<T>) -> BTreeMap<String, T> {
    let all = Metric::ALL.iter();
    all.filter_map(|&metric| Some((metric.name().to_owned(), of(total.times(metric)?)?))).collect()
}

/// Failed connections by cause, and by cause and detail where there is a detail.
fn failures(total: &Sample) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut by_cause, mut by_detail) = (BTreeMap::new(), BTreeMap::new());
    for (cause, detail, count) in total.failures() {
        *by_cause.entry(cause.name().to_owned()).or_default() += count;
        if detail != 0 {
            by_detail.insert(format!("{cause}/{detail}"), count);
        }
    }
    (by_cause, by_detail)
}

fn second(interval: &Interval, main: Metric) -> Second {
    let sample = &interval.sample;
    let at = |metric, quantile| {
        let times = sample.times(metric).filter(|times| !times.is_empty());
        times.map_or(0.0, |times| microseconds(times.value_at_quantile(quantile)))
    };
    Second {
        second: sample.at.as_secs_f64(),
        open: sample.open,
        established: sample.count(Counter::Established),
        failed: sample.count(Counter::Failed),
        sent: sample.count(Counter::Sent),
        received: sample.count(Counter::Received),
        p50_us: at(main, 0.5),
        p99_us: at(main, 0.99),
        lateness_p99_us: at(Metric::Lateness, 0.99),
        client_cpu_seconds: sample.cpu.as_secs_f64(),
        server_cpu_seconds: interval.server_cpu.as_secs_f64(),
        server_rss_bytes: interval.server_rss_bytes,
        slab_bytes: interval.slab_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Cause;
    use crate::outcome::histogram::from_text;
    use crate::outcome::testing::ingredients;

    #[test]
    fn percentiles_come_from_the_merged_times_and_the_histogram_is_kept_whole() {
        let (mut total, mut other) = (Sample::default(), Sample::default());
        (0..99).for_each(|_| total.record(Metric::Echo, Duration::from_millis(1)));
        other.record(Metric::Echo, Duration::from_secs(1));
        total.merge(&other);
        let outcome = build(ingredients("echo", &total, &[]));
        let echo = outcome.latency_us["echo"];
        assert_eq!(echo.count, 100);
        assert!(echo.p99 < 1010.0 && echo.p99_9 > 999_000.0, "{echo:?}");
        let kept = from_text(&outcome.histograms["echo"]).unwrap();
        assert_eq!(&kept, total.times(Metric::Echo).unwrap());
        assert!(!outcome.latency_us.contains_key("ack"), "what was not measured is not there");
    }

    #[test]
    fn failures_are_named_with_and_without_their_detail() {
        let mut total = Sample::default();
        total.fail(Cause::BadUpgrade, 503);
        total.fail(Cause::BadUpgrade, 404);
        total.fail(Cause::Refused, 0);
        let outcome = build(ingredients("flood", &total, &[]));
        let pairs = |map: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
            map.iter().map(|(name, &count)| (name.clone(), count)).collect()
        };
        let wanted = [("bad_upgrade".to_owned(), 2), ("refused".to_owned(), 1)];
        assert_eq!(pairs(&outcome.failed), wanted);
        let wanted = [("bad_upgrade/404".to_owned(), 1), ("bad_upgrade/503".to_owned(), 1)];
        assert_eq!(pairs(&outcome.failed_detail), wanted);
        assert_eq!(outcome.counters["failed"], 3);
    }

    #[test]
    fn a_second_shows_the_main_metric_of_its_kind() {
        let mut sample = Sample::default();
        (sample.at, sample.open) = (Duration::from_secs(3), 5);
        sample.record(Metric::Ack, Duration::from_micros(700));
        sample.record(Metric::Establish, Duration::from_millis(90));
        let interval = Interval { sample, slab_bytes: 9, ..Interval::default() };
        let outcome = build(ingredients("chat", &Sample::default(), &[interval]));
        let second = &outcome.series[0];
        assert!((second.p50_us - 700.0).abs() < 1.0, "{second:?}");
        assert_eq!((second.second, second.open, second.slab_bytes), (3.0, 5, 9));
    }

    #[test]
    fn a_run_with_a_reason_against_it_is_not_valid() {
        let total = Sample::default();
        let mut run = ingredients("flood", &total, &[]);
        run.invalid.push("generator: it lagged".to_owned());
        assert!(!build(run).valid);
    }
}
