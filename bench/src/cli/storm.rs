//! `throng-bench storm`: many connections are cut at once, and all come back.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use throng_bench::generator::arrival::parse_duration;
use throng_bench::generator::run::{RunRecord, SecondRecord};
use throng_bench::generator::sample::Times;
use throng_bench::generator::{Arrival, Counter, Metric};
use throng_bench::workload::storm::{Storm, StormPlan, Windows};

use super::run::{Errand, Protocol, RunArguments, execute};
use super::{Exit, Failure};

/// Names of a storm's own figures: times in microseconds, memory in bytes.
const FIGURES: [&str; 13] = [
    "cut",
    "full_service_s",
    "ping_before_p50_us",
    "ping_before_p99_us",
    "ping_during_p50_us",
    "ping_during_p99_us",
    "ping_after_p50_us",
    "ping_after_p99_us",
    "server_rss_before_cut_bytes",
    "server_rss_most_after_cut_bytes",
    "server_rss_at_end_bytes",
    "slab_before_cut_bytes",
    "slab_at_end_bytes",
];

/// Clients that fail on their way back have this long to come, beside the plan.
const SLACK: Duration = Duration::from_secs(120);

/// Many established connections, a share of them cut at once; all return within a time
#[derive(Args, Clone, Debug)]
pub(crate) struct StormArguments {
    #[command(flatten)]
    arguments: RunArguments,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Connections a second at the beginning
    #[arg(long, default_value = "5000")]
    rate: Arrival,
    /// Share of the connections that are cut, 0 to 1
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// All return within this, each at a random moment
    #[arg(long, value_parser = span, default_value = "10s")]
    within: Duration,
    /// From the last arrival of the schedule to the cut
    #[arg(long, value_parser = span, default_value = "5s")]
    before: Duration,
    /// How long is looked on after the return
    #[arg(long, value_parser = span, default_value = "5s")]
    after: Duration,
    /// Pings a second of those that are not cut
    #[arg(long, default_value = "200")]
    pings: Arrival,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no span above 0: 60s, 250ms, 2m"))
}

/// The figures of a storm whose cut was at `cut_at`.
fn figures(record: &RunRecord, windows: &Windows, cut_at: Duration) -> BTreeMap<String, f64> {
    let times = record.total.times(Metric::Return);
    let returned = times.map_or((0.0, 0.0), |times| (times.len() as f64, times.max() as f64 / 1e9));
    let quantiles = windows.sums().map(|sample| {
        let of = |quantile| {
            let times = sample.times(Metric::Echo);
            times.map_or(0.0, |times| times.value_at_quantile(quantile) as f64 / 1e3)
        };
        [of(0.5), of(0.99)]
    });
    let before = record.series.iter().rfind(|second| second.sample.at <= cut_at);
    let later = record.series.iter().filter(|second| second.sample.at > cut_at);
    let resident = |second: &SecondRecord| {
        second.readings.server.as_ref().map_or(0, |side| side.resident_bytes) as f64
    };
    let slab = |second: &SecondRecord| second.readings.kernel.slab_bytes as f64;
    let last = record.series.last();
    let mut values = vec![returned.0, returned.1];
    values.extend(quantiles.as_flattened());
    values.extend([
        before.map_or(0.0, resident),
        later.map(resident).fold(0.0, f64::max),
        last.map_or(0.0, resident),
        before.map_or(0.0, slab),
        last.map_or(0.0, slab),
    ]);
    FIGURES.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

/// Why a storm was none: not all were there to be cut, or not all came back.
fn judge(record: &mut RunRecord, plan: &StormPlan, connections: u32) {
    let total = &record.total;
    let established = total.count(Counter::Established);
    let returned = total.times(Metric::Return).map_or(0, Times::len);
    let open = total.open;
    if returned == 0 && plan.share > 0.0 {
        record.invalid.push(format!("setup: nobody was cut; {established} had come before"));
    } else if open < u64::from(connections) {
        let why = format!("server: {open} of {connections} clients are there at the end");
        record.invalid.push(why);
    }
}

pub(crate) fn main(storm: &StormArguments) -> Result<Exit, Failure> {
    if !(0.0..1.0).contains(&storm.share) || storm.connections < 2 {
        let why =
            "--share is 0 or more and below 1: somebody must be left; --connections 2 or more";
        return Err(Failure::Usage(why.to_owned()));
    }
    let arguments = storm.arguments.clone();
    if arguments.protocol() == Protocol::Raw {
        let why = "a storm needs Throng's protocol: say --protocol throng or throng-proto";
        return Err(Failure::Usage(why.to_owned()));
    }
    let thresholds = arguments.thresholds("storm", &FIGURES)?;
    let cut_at = storm.rate.moment(storm.connections.into()).saturating_add(storm.before);
    let plan = StormPlan {
        connects: storm.rate,
        greeting: arguments.greeting(),
        cut_at,
        share: storm.share,
        within: storm.within,
        after: storm.after,
        pings: storm.pings,
    };
    let duration = cut_at.saturating_add(storm.within + storm.after + SLACK);
    let mut of_run = arguments.plan(storm.connections, duration, Metric::Return)?;
    (of_run.cold, of_run.open_loop) = (true, true);
    let seconds = |span: Duration| json!(span.as_secs_f64());
    let parameters = BTreeMap::from([
        ("connections".to_owned(), json!(storm.connections)),
        ("rate".to_owned(), json!(storm.rate.to_string())),
        ("share".to_owned(), json!(storm.share)),
        ("within_s".to_owned(), seconds(storm.within)),
        ("before_s".to_owned(), seconds(storm.before)),
        ("after_s".to_owned(), seconds(storm.after)),
        ("pings".to_owned(), json!(storm.pings.to_string())),
    ]);
    let arrival = Some(storm.rate);
    let errand = Errand { kind: "storm", plan: of_run, arrival, parameters, calibrates: false };
    let windows = Windows::default();
    let (made, shared) = (plan.clone(), windows.clone());
    let make = move |info| Storm::new(made.clone(), info, shared.clone());
    let outcome = execute(&arguments, errand, &thresholds, make, |record| {
        judge(record, &plan, storm.connections);
        figures(record, &windows, cut_at)
    })?;
    arguments.report(&outcome)
}
