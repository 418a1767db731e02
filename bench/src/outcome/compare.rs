//! Two or more sets of results side by side. A side is one result or the repeated results of the
//! same plan; a figure is then the median with its lowest and highest round. Ratios are to the
//! first side: of medians, with the widest range that the rounds allow (low / high to high / low).
//!
//! Only like is compared with like: the kind, the plan and the hardware must be the same, except
//! where the server is and where results are written. Kernel and commit may differ (they are often
//! what is compared) and are shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Outcome;
use super::build::main_metric;
use super::text::percentile_values;
use crate::generator::Metric;
use crate::spread::Spread;

mod table;

pub use table::{Style, render};

/// Parameters that say where the server is and what becomes of the result, not what is measured.
const NOT_OF_THE_PLAN: &[&str] =
    &["url", "server_pid", "admin", "json", "hdr", "csv", "assert", "quiet"];

/// One side of a comparison: its name and its results.
pub struct Group {
    /// What the user called it: a file, or a pattern.
    pub name: String,
    /// At least one.
    pub outcomes: Vec<Outcome>,
}

/// Why results are not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Fewer than two sides.
    #[error("compare needs two sides or more, each with a result")]
    TooFew,
    /// They measure different things.
    #[error(
        "the configurations differ, and so do not compare:\n{}\n(--anyway compares them)",
        differences.join("\n")
    )]
    Different {
        /// `name: value of one side | value of the other`.
        differences: Vec<String>,
    },
}

/// A figure of all sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `echo p99`, `server cpu_seconds`.
    pub name: String,
    /// What its numbers are.
    pub unit: Unit,
    /// One for each side; none where a side has not measured it.
    pub sides: Vec<Option<Spread>>,
}

/// What a number of a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Time,
    /// Bytes.
    Bytes,
    /// A number.
    Number,
    /// As the row's name says.
    Figure,
}

impl Row {
    /// A side beside the first one.
    #[must_use]
    pub fn ratio(&self, side: usize) -> Option<Spread> {
        let (base, other) = ((*self.sides.first()?)?, (*self.sides.get(side)?)?);
        let divided = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        Some(Spread {
            low: divided(other.low, base.high)?,
            median: divided(other.median, base.median)?,
            high: divided(other.high, base.low)?,
        })
    }
}

/// A comparison, ready to be shown.
pub struct Comparison {
    /// Names of the sides.
    pub names: Vec<String>,
    /// How many results each has.
    pub rounds: Vec<usize>,
    /// What is to be known before the figures: invalid results, differences that were let pass.
    pub notes: Vec<String>,
    /// The figures.
    pub rows: Vec<Row>,
}

/// Compares.
///
/// # Errors
/// There is nothing to compare, or the configurations differ and `anyway` is not set.
pub fn compare(groups: &[Group], anyway: bool) -> Result<Comparison, CompareError> {
    if groups.len() < 2 || groups.iter().any(|group| group.outcomes.is_empty()) {
        return Err(CompareError::TooFew);
    }
    let differences = differences(groups);
    if !differences.is_empty() && !anyway {
        return Err(CompareError::Different { differences });
    }
    let mut notes: Vec<String> =
        differences.iter().map(|line| format!("DIFFERENT: {line}")).collect();
    notes.extend(invalid(groups));
    notes.extend(environment(groups));
    Ok(Comparison {
        names: groups.iter().map(|group| group.name.clone()).collect(),
        rounds: groups.iter().map(|group| group.outcomes.len()).collect(),
        notes,
        rows: rows(groups),
    })
}

/// What must be the same for a comparison to mean anything.
fn configuration(outcome: &Outcome) -> BTreeMap<String, String> {
    let plan = outcome.plan.iter().filter(|(name, _)| !NOT_OF_THE_PLAN.contains(&name.as_str()));
    let mut all: BTreeMap<_, _> = plan.map(|(name, value)| (name.clone(), shown(value))).collect();
    let host = &outcome.host;
    all.insert("(kind)".to_owned(), outcome.kind.clone());
    all.insert("(processor)".to_owned(), host.cpu.clone());
    all.insert("(cores)".to_owned(), host.cores.to_string());
    all.insert("(memory, GiB)".to_owned(), (host.memory_bytes >> 30).to_string());
    all
}

/// Every result is held against the first one: rounds of one side must agree, too.
fn differences(groups: &[Group]) -> Vec<String> {
    let all: Vec<_> = groups
        .iter()
        .flat_map(|group| group.outcomes.iter().map(|one| (&group.name, configuration(one))))
        .collect();
    let Some((base_name, base)) = all.first() else { return Vec::new() };
    let absent = || "(absent)".to_owned();
    let mut lines = BTreeSet::new();
    for (name, other) in &all[1..] {
        let keys: BTreeSet<_> = base.keys().chain(other.keys()).collect();
        for key in keys.into_iter().filter(|key| base.get(*key) != other.get(*key)) {
            let value =
                |map: &BTreeMap<String, String>| map.get(key).cloned().unwrap_or_else(absent);
            let (one, two) = (value(base), value(other));
            lines.insert(format!("{key}: {one} in {base_name} | {two} in {name}"));
        }
    }
    lines.into_iter().collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn invalid(groups: &[Group]) -> impl Iterator<Item = String> {
    groups.iter().flat_map(|group| {
        let invalid = group.outcomes.iter().filter(|outcome| !outcome.valid);
        invalid.map(|outcome| format!("INVALID: {}: {}", group.name, outcome.invalid.join("; ")))
    })
}

type Fact = fn(&Outcome) -> &str;

/// Kernels and commits, where they are not the same.
fn environment(groups: &[Group]) -> Vec<String> {
    let facts: [(&str, Fact); 2] = [("kernel", |o| &o.host.kernel), ("commit", |o| &o.host.commit)];
    let mut notes = Vec::new();
    for (name, fact) in facts {
        let of_group = |group: &Group| {
            let values: BTreeSet<&str> = group.outcomes.iter().map(fact).collect();
            values.into_iter().collect::<Vec<_>>().join(", ")
        };
        let values: Vec<_> = groups.iter().map(of_group).collect();
        if values.iter().any(|value| *value != values[0]) {
            notes.push(format!("{name}: {}", values.join(" | ")));
        }
    }
    notes
}

type Figures = Vec<(String, Unit, f64)>;

/// All figures of all sides, in the order of the first result that has each.
fn rows(groups: &[Group]) -> Vec<Row> {
    let figures: Vec<Vec<Figures>> =
        groups.iter().map(|group| group.outcomes.iter().map(figures_of).collect()).collect();
    let mut known = Vec::new();
    for (name, unit, _) in figures.iter().flatten().flatten() {
        if !known.iter().any(|(other, _)| other == name) {
            known.push((name.clone(), *unit));
        }
    }
    let spread = |side: &Vec<Figures>, name: &str| {
        let values: Vec<f64> = side
            .iter()
            .flatten()
            .filter(|(other, _, _)| other == name)
            .map(|(_, _, value)| *value)
            .collect();
        Spread::of(&values)
    };
    known
        .into_iter()
        .map(|(name, unit)| {
            let sides = figures.iter().map(|side| spread(side, &name)).collect();
            Row { name, unit, sides }
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
fn figures_of(outcome: &Outcome) -> Figures {
    let failed: u64 = outcome.failed.values().sum();
    let mut all: Figures = vec![
        ("established".to_owned(), Unit::Number, outcome.established as f64),
        ("failed".to_owned(), Unit::Number, failed as f64),
    ];
    all.extend(outcome.figures.iter().map(|(name, value)| (name.clone(), Unit::Figure, *value)));
    let main = main_metric(&outcome.kind);
    let others = Metric::ALL.iter().copied().filter(|metric| *metric != main);
    for metric in [main].into_iter().chain(others) {
        if let Some(times) = outcome.latency_us.get(metric.name()) {
            let heads = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
            for (head, value) in heads.iter().zip(percentile_values(times)) {
                all.push((format!("{} {head}", metric.name()), Unit::Time, value));
            }
        }
    }
    for (name, side) in [("server", outcome.server.as_ref()), ("client", Some(&outcome.client))] {
        let Some(side) = side else { continue };
        let mut push = |field, unit, value| all.push((format!("{name} {field}"), unit, value));
        push("cpu_seconds", Unit::Number, side.cpu_seconds);
        push("rss_bytes", Unit::Bytes, side.rss_bytes as f64);
        push("slab_bytes", Unit::Bytes, side.slab_bytes as f64);
        push("user bytes per connection", Unit::Bytes, side.user_bytes_per_connection);
        push("kernel bytes per connection", Unit::Bytes, side.kernel_bytes_per_connection);
    }
    all
}

#[cfg(test)]
mod tests;
