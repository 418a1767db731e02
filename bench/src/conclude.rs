//! From the record of a run to its result: both sides, what limited it, the time series.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnose::{self, Situation};
use crate::generator::run::{RunPlan, RunRecord, SecondReadings};
use crate::host::Host;
use crate::measure::kernel::Counters;
use crate::measure::{KernelGrowth, calibrate::EndBytes};
use crate::outcome::{Ingredients, Interval, Outcome, Side, build};
use crate::preflight::HostFacts;

/// What a result needs beside the record.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// The subcommand.
    pub kind: &'a str,
    /// The parameters by their names on the command line.
    pub parameters: BTreeMap<String, Value>,
    /// Figures of this kind of run.
    pub figures: BTreeMap<String, f64>,
    /// What the generator's end of a connection takes of the slab, if it was measured.
    pub own_end: Option<EndBytes>,
    /// The kernel's counters before the run.
    pub counters_before: &'a Counters,
    /// Longest time without progress while connections were being made.
    pub stalled: std::time::Duration,
}

/// Makes the result of a run.
#[must_use]
pub fn conclude(plan: &RunPlan, record: &RunRecord, about: Circumstances<'_>) -> Outcome {
    let (client, server) = sides(plan, record, about.own_end);
    let mut figures = about.figures;
    memory_figures(record, &mut figures);
    build(Ingredients {
        kind: about.kind,
        host: Host::read(),
        plan: about.parameters,
        started_ms: record.started_ms,
        measured: record.elapsed,
        total: &record.total,
        series: &intervals(record),
        findings: findings(record, server.as_ref(), about.counters_before, about.stalled),
        client,
        server,
        figures,
        invalid: record.invalid.clone(),
    })
}

/// Slab and resident memory after all connections were closed, beside what was there before.
fn memory_figures(record: &RunRecord, figures: &mut BTreeMap<String, f64>) {
    let [before, _, _, closed] = record.kernel;
    let mut add = |name: &str, value: u64| {
        figures.insert(name.to_owned(), value as f64);
    };
    add("slab_before_bytes", before.slab_bytes);
    add("slab_after_close_bytes", closed.slab_bytes);
    add("server_rss_after_close_bytes", record.resident_after_close.0);
    add("open_max", record.open_max);
}

/// The generator's and the server's part. Where both are on this host each socket's share of the
/// slab is the measured one of the generator's end and the rest; unmeasured, a half. With a
/// generator on other hosts each side has its own.
fn sides(plan: &RunPlan, record: &RunRecord, own_end: Option<EndBytes>) -> (Side, Option<Side>) {
    let [before, full, ..] = record.kernel;
    let growth = KernelGrowth::between(before, full, record.open_max);
    if let Some(theirs) = record.client_growth {
        let client = record.client.side(theirs, theirs.slab_bytes, false);
        let server = record.server.as_ref();
        return (client, server.map(|server| server.side(growth, growth.slab_bytes, false)));
    }
    let Some(readings) = &record.server else {
        return (record.client.side(growth, growth.slab_bytes, false), None);
    };
    let per_end = |end: EndBytes| end.bare + if plan.cold { end.armed_cold } else { 0.0 };
    let own = match own_end {
        Some(end) => (per_end(end) * record.open_max as f64) as u64,
        None => growth.slab_bytes / 2,
    };
    let own = own.min(growth.slab_bytes);
    let client = record.client.side(growth, own, true);
    (client, Some(readings.side(growth, growth.slab_bytes - own, true)))
}

/// The time series as results have it.
fn intervals(record: &RunRecord) -> Vec<Interval> {
    let cpu = |readings: &SecondReadings| readings.server.as_ref().map(|server| server.cpu);
    let mut former = record.server.as_ref().map(|readings| readings.before.cpu);
    let mut intervals = Vec::new();
    for second in &record.series {
        let now = cpu(&second.readings);
        let used = now.zip(former).map(|(now, former)| now.saturating_sub(former));
        former = now;
        intervals.push(Interval {
            sample: second.sample.clone(),
            server_cpu: used.unwrap_or_default(),
            server_rss_bytes: second.readings.server.as_ref().map_or(0, |side| side.resident_bytes),
            slab_bytes: second.readings.kernel.slab_bytes,
        });
    }
    intervals
}

fn findings(
    record: &RunRecord,
    server: Option<&Side>,
    before: &Counters,
    stalled: std::time::Duration,
) -> Vec<String> {
    let facts = HostFacts::read();
    let seconds = record.elapsed.as_secs_f64().max(1e-3) * facts.cores as f64;
    diagnose::findings(&Situation {
        total: &record.total,
        stalled,
        generator_busy: record.busy_max,
        server_busy: server.map(|side| side.cpu_seconds / seconds),
        kernel: (before, &Counters::read()),
        memory_available: facts.memory_available,
    })
}
