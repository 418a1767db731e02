//! Which charts a report has.

use super::Entry;
use super::chart::{Axis, Figure, Line};
use super::scale::Scale;
use crate::generator::Metric;
use crate::outcome::build::{main_metric, uncorrected};
use crate::outcome::format::{bytes, number, time_us};
use crate::outcome::histogram::{from_text, spectrum};
use crate::outcome::{Second, Side};

type Points = Vec<(f64, f64)>;

/// All charts that the results have data for.
pub(super) fn all(entries: &[Entry]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = percentiles(entries).into_iter().collect();
    figures.extend(series(entries));
    figures.extend(memory(entries));
    figures.retain(|figure| figure.lines.iter().any(|line| !line.points.is_empty()));
    figures
}

/// What a line is called: by its result if there are several.
fn label(entries: &[Entry], entry: &Entry, what: &str) -> String {
    match (entries.len(), what) {
        (1, what) => what.to_owned(),
        (_, "") => entry.name.clone(),
        (_, what) => format!("{} {what}", entry.name),
    }
}

const SPECTRUM: &str = "Time at each percentile, from the intended moment; the axis is logarithmic \
                        in 1/(1-p).";

const UNCORRECTED: &str = " Dashed: from the sending, which leaves out what waited before.";

/// Corrected and uncorrected times over the share of messages that were slower still.
fn percentiles(entries: &[Entry]) -> Option<Figure> {
    let mut lines = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let main = main_metric(&entry.outcome.kind);
        let metrics = [(Some(main), false), (uncorrected(main), true)];
        for (metric, dashed) in metrics {
            let Some(points) = metric.and_then(|metric| spectrum_points(entry, metric)) else {
                continue;
            };
            let what = if dashed { "uncorrected" } else { main.name() };
            let colour = if entries.len() == 1 { lines.len() } else { at };
            lines.push(Line { label: label(entries, entry, what), points, colour, dashed });
        }
    }
    let main = main_metric(&entries.first()?.outcome.kind).name();
    let all = || lines.iter().flat_map(|line| &line.points);
    let twins = lines.iter().any(|line| line.dashed);
    Some(Figure {
        title: format!("Percentiles of {main}"),
        description: format!("{SPECTRUM}{}", if twins { UNCORRECTED } else { "" }),
        x_scale: Scale::tight(all().map(|point| point.0)),
        y_scale: Scale::log(all().map(|point| point.1)),
        x: Axis { title: "percentile", show: percentile },
        y: Axis { title: "time", show: time_us },
        lines,
    })
}

/// The highest value lies where one time of all is slower: at 1/(1-p) = count.
#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
fn spectrum_points(entry: &Entry, metric: Metric) -> Option<Points> {
    let times = from_text(entry.outcome.histograms.get(metric.name())?)?;
    let end = (times.len() as f64).log10();
    let nines = |quantile: f64| (-(1.0 - quantile).log10()).min(end);
    Some(spectrum(&times).iter().map(|point| (nines(point.quantile), point.value_us)).collect())
}

/// `99.9 %` for 3 nines.
fn percentile(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
    let decimals = if nines <= 2.0 { 0.0 } else { (nines - 2.0).ceil() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 14")]
    let decimals = decimals.min(14.0) as usize;
    format!("{percent:.decimals$}%")
}

/// A value of a second; none where it was not measured.
type Field = fn(&Second) -> Option<f64>;

/// Title, description, unit, and for each line its name and field. The second one is dashed.
type Chart = (&'static str, &'static str, fn(f64) -> String, &'static [(&'static str, Field)]);

/// The series whose unit is bytes.
const MEMORY: &str = "Memory";

#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
const SERIES: &[Chart] = &[
    (
        "Open connections",
        "Usable at the end of each second.",
        number,
        &[("open", |s| Some(s.open as f64))],
    ),
    (
        "Connections a second",
        "Established in each second; dashed: failed.",
        number,
        &[("established", |s| Some(s.established as f64)), ("failed", |s| Some(s.failed as f64))],
    ),
    (
        "Messages a second",
        "Received in each second; dashed: sent.",
        number,
        &[("received", |s| Some(s.received as f64)), ("sent", |s| Some(s.sent as f64))],
    ),
    (
        "Times, second by second",
        "99 % of the main metric in each second; dashed: its median.",
        time_us,
        &[("p99", |s| measured(s.p99_us)), ("p50", |s| measured(s.p50_us))],
    ),
    (
        "Lateness of the generator",
        "99 % of what the generator itself was late in each second.",
        time_us,
        &[("lateness p99", |s| measured(s.lateness_p99_us))],
    ),
    (
        "Processor",
        "Processors busy: the server; dashed: the generator.",
        number,
        &[
            ("server", |s| measured(s.server_cpu_seconds)),
            ("generator", |s| Some(s.client_cpu_seconds)),
        ],
    ),
    (
        MEMORY,
        "Resident memory of the server; dashed: slab of the whole host.",
        bytes,
        &[
            ("server RSS", |s| measured(s.server_rss_bytes as f64)),
            ("host slab", |s| measured(s.slab_bytes as f64)),
        ],
    ),
];

fn measured(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

fn series(entries: &[Entry]) -> impl Iterator<Item = Figure> {
    SERIES.iter().map(|&(title, description, show, fields)| {
        let mut lines = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            for (nth, (what, field)) in fields.iter().enumerate() {
                let points = points(&entry.outcome.series, *field);
                // A line that lies on zero all the time says nothing.
                if points.iter().any(|point| point.1 > 0.0) {
                    let what = if fields.len() == 1 && entries.len() > 1 { "" } else { what };
                    let label = label(entries, entry, what);
                    let colour = if entries.len() == 1 { nth } else { at };
                    lines.push(Line { label, points, colour, dashed: nth > 0 });
                }
            }
        }
        let all = || lines.iter().flat_map(|line| &line.points);
        Figure {
            title: title.to_owned(),
            description: description.to_owned(),
            x_scale: Scale::tight(all().map(|point| point.0)),
            y_scale: if title == MEMORY {
                Scale::bytes(all().map(|point| point.1))
            } else {
                Scale::linear(all().map(|point| point.1))
            },
            x: Axis { title: "seconds", show: number },
            y: Axis { title, show },
            lines,
        }
    })
}

fn points(series: &[Second], field: Field) -> Points {
    series.iter().filter_map(|second| Some((second.second, field(second)?))).collect()
}

/// How much of something there is more than at first.
type Grown<'a> = &'a dyn Fn(&Second) -> u64;

/// Memory against connections while they come: the slope is what one of them costs.
#[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
fn memory(entries: &[Entry]) -> Option<Figure> {
    let mut lines = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let Some(server) = &entry.outcome.server else { continue };
        let growing = growing(&entry.outcome.series);
        let first_slab = growing.first().map_or(0, |second| second.slab_bytes);
        let resident = |s: &Second| s.server_rss_bytes.saturating_sub(server.rss_before_bytes);
        let slab = |s: &Second| s.slab_bytes.saturating_sub(first_slab);
        let grown: [(&str, Grown<'_>); 2] = [("user", &resident), ("slab", &slab)];
        for (nth, (what, of)) in grown.into_iter().enumerate() {
            let points: Points =
                growing.iter().map(|second| (second.open as f64, of(second) as f64)).collect();
            let colour = if entries.len() == 1 { nth } else { at };
            // One point has no slope.
            if points.len() > 1 && points.iter().any(|point| point.1 > 0.0) {
                let label = label(entries, entry, what);
                lines.push(Line { label, points, colour, dashed: nth > 0 });
            }
        }
    }
    let sides: Vec<&Side> = entries.iter().filter_map(|one| one.outcome.server.as_ref()).collect();
    let all = || lines.iter().flat_map(|line| &line.points);
    Some(Figure {
        title: "Memory against connections".to_owned(),
        description: description(sides.first()?),
        x_scale: Scale::tight(all().map(|point| point.0)),
        y_scale: Scale::bytes(all().map(|point| point.1)),
        x: Axis { title: "open connections", show: number },
        y: Axis { title: "memory", show: bytes },
        lines,
    })
}

fn description(server: &Side) -> String {
    format!(
        "Growth while connections come: of the server's resident memory, and dashed of the host's \
         slab since the first second, generator included if it is on this host. At the fullest: \
         {} user and {} kernel memory per connection of the server.",
        bytes(server.user_bytes_per_connection),
        bytes(server.kernel_bytes_per_connection)
    )
}

/// The seconds in which the number of connections reached a new height.
fn growing(series: &[Second]) -> Vec<&Second> {
    let mut highest = 0;
    series
        .iter()
        .filter(|second| {
            let grew = second.open > highest;
            highest = highest.max(second.open);
            grew
        })
        .collect()
}
