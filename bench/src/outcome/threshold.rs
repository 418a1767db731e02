//! Thresholds: `--assert 'p99_ms<5'`.
//!
//! ```text
//! threshold  = name operator number
//! operator   = "<" | "<=" | ">" | ">=" | "==" | "!="
//! name       = [metric "."] statistic "_" unit     a time; without a metric: the kind's main one
//!            | metric ".count"                     how many times were recorded
//!            | counter                             failed, established, sent, lost, …
//!            | "failed." cause                     failed.refused; 0 if it did not happen
//!            | ("server" | "client") "." field     server.user_bytes_per_connection
//!            | figure                              what this kind of run adds
//! statistic  = min | mean | p50 | p90 | p99 | p99.9 | p99.99 | max      (p99_9 is p99.9)
//! unit       = ns | us | ms | s
//! ```
//!
//! A name that does not exist is an error before the run starts, not a threshold that passes. One
//! that exists and has no data in this run (no server was read, nothing was recorded) fails.

use super::build::main_metric;
use super::{Outcome, Percentiles, Side, Verdict};
use crate::generator::{Cause, Counter, Metric};

/// Why an expression is no threshold. The user's fault; nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No operator, or no number behind it.
    #[error("--assert {0:?}: write a name, one of < <= > >= == !=, and a number, as in 'p99_ms<5'")]
    Form(String),
    /// Nothing is called so.
    #[error("--assert: there is no {name:?}; near it: {}", near.join(", "))]
    Unknown {
        /// As it was given.
        name: String,
        /// Names that exist, the nearest first.
        near: Vec<String>,
    },
}

/// What a run must keep.
#[derive(Clone, Debug)]
pub struct Threshold {
    expression: String,
    quantity: Quantity,
    operator: Operator,
    bound: f64,
}

#[derive(Clone, Debug)]
enum Quantity {
    Time { metric: Metric, statistic: Statistic, unit_us: f64 },
    Recorded(Metric),
    Counter(Counter),
    Cause(Cause),
    Server(SideField),
    Client(SideField),
    Figure(String),
}

type Statistic = fn(&Percentiles) -> f64;
type SideField = fn(&Side) -> f64;

const STATISTICS: &[(&str, Statistic)] = &[
    ("min", |p| p.min),
    ("mean", |p| p.mean),
    ("p50", |p| p.p50),
    ("p90", |p| p.p90),
    ("p99", |p| p.p99),
    ("p99.9", |p| p.p99_9),
    ("p99_9", |p| p.p99_9),
    ("p99.99", |p| p.p99_99),
    ("p99_99", |p| p.p99_99),
    ("max", |p| p.max),
];

/// Units in microseconds.
const UNITS: &[(&str, f64)] = &[("ns", 1e-3), ("us", 1.0), ("ms", 1e3), ("s", 1e6)];

#[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
const SIDE_FIELDS: &[(&str, SideField)] = &[
    ("cpu_seconds", |side| side.cpu_seconds),
    ("rss_bytes", |side| side.rss_bytes as f64),
    ("rss_before_bytes", |side| side.rss_before_bytes as f64),
    ("slab_bytes", |side| side.slab_bytes as f64),
    ("socket_bytes", |side| side.socket_bytes as f64),
    ("user_bytes_per_connection", |side| side.user_bytes_per_connection),
    ("kernel_bytes_per_connection", |side| side.kernel_bytes_per_connection),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    NotEqual,
}

/// The longer ones first, so that `<=` is not read as `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// How many near names an error lists.
const NEAR_NAMES: usize = 4;

impl Threshold {
    /// Reads an expression for a run of `kind`, which adds these figures.
    ///
    /// # Errors
    /// See [`ThresholdError`].
    pub fn parse(expression: &str, kind: &str, figures: &[&str]) -> Result<Self, ThresholdError> {
        let form = || ThresholdError::Form(expression.to_owned());
        let at = expression.find(['<', '>', '=', '!']).ok_or_else(form)?;
        let (name, rest) = (expression[..at].trim(), &expression[at..]);
        let mut operators = OPERATORS.iter();
        let (operator, number) = operators
            .find_map(|&(text, operator)| Some((operator, rest.strip_prefix(text)?)))
            .ok_or_else(form)?;
        let bound: f64 = number.trim().parse().map_err(|_| form())?;
        if name.is_empty() || !bound.is_finite() {
            return Err(form());
        }
        let quantity = quantity(name, kind, figures).ok_or_else(|| ThresholdError::Unknown {
            name: name.to_owned(),
            near: near(name, figures),
        })?;
        Ok(Self { expression: expression.to_owned(), quantity, operator, bound })
    }

    /// What became of it. Without data it fails.
    #[must_use]
    pub fn judge(&self, outcome: &Outcome) -> Verdict {
        let value = self.quantity.of(outcome).filter(|value| value.is_finite());
        let passed = value.is_some_and(|value| self.operator.holds(value, self.bound));
        Verdict { expression: self.expression.clone(), value, passed }
    }
}

/// Judges all of them and notes the verdicts in the result; whether all hold.
pub fn judge(thresholds: &[Threshold], outcome: &mut Outcome) -> bool {
    outcome.thresholds = thresholds.iter().map(|threshold| threshold.judge(outcome)).collect();
    outcome.thresholds.iter().all(|verdict| verdict.passed)
}

impl Operator {
    #[expect(clippy::float_cmp, reason = "counts are whole numbers and are asked for exactly")]
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::More => value > bound,
            Self::AtLeast => value >= bound,
            Self::Equal => value == bound,
            Self::NotEqual => value != bound,
        }
    }
}

impl Quantity {
    #[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
    fn of(&self, outcome: &Outcome) -> Option<f64> {
        match self {
            Self::Time { metric, statistic, unit_us } => {
                Some(statistic(outcome.latency_us.get(metric.name())?) / unit_us)
            }
            Self::Recorded(metric) => Some(outcome.latency_us.get(metric.name())?.count as f64),
            Self::Counter(counter) => Some(*outcome.counters.get(counter.name())? as f64),
            Self::Cause(cause) => {
                Some(outcome.failed.get(cause.name()).copied().unwrap_or_default() as f64)
            }
            Self::Server(field) => outcome.server.as_ref().map(field),
            Self::Client(field) => Some(field(&outcome.client)),
            Self::Figure(name) => outcome.figures.get(name).copied(),
        }
    }
}

fn quantity(name: &str, kind: &str, figures: &[&str]) -> Option<Quantity> {
    if let Some(counter) = Counter::named(name) {
        return Some(Quantity::Counter(counter));
    }
    if figures.contains(&name) {
        return Some(Quantity::Figure(name.to_owned()));
    }
    match name.split_once('.') {
        Some(("failed", cause)) => {
            Cause::ALL.iter().find(|known| known.name() == cause).map(|&c| Quantity::Cause(c))
        }
        Some(("server", field)) => look_up(SIDE_FIELDS, field).map(Quantity::Server),
        Some(("client", field)) => look_up(SIDE_FIELDS, field).map(Quantity::Client),
        Some((metric, rest)) if let Some(metric) = Metric::named(metric) => match rest {
            "count" => Some(Quantity::Recorded(metric)),
            _ => time(metric, rest),
        },
        _ => time(main_metric(kind), name),
    }
}

/// `p99.9_ms` of a metric.
fn time(metric: Metric, name: &str) -> Option<Quantity> {
    let (statistic, unit) = name.rsplit_once('_')?;
    let (statistic, unit_us) = (look_up(STATISTICS, statistic)?, look_up(UNITS, unit)?);
    Some(Quantity::Time { metric, statistic, unit_us })
}

fn look_up<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
}

/// The names nearest to one that does not exist, all of them being such that exist.
fn near(name: &str, figures: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = figures.iter().map(|&figure| figure.to_owned()).collect();
    names.extend(Counter::ALL.iter().map(|counter| counter.name().to_owned()));
    names.extend(Cause::ALL.iter().map(|cause| format!("failed.{cause}")));
    for side in ["server", "client"] {
        names.extend(SIDE_FIELDS.iter().map(|(field, _)| format!("{side}.{field}")));
    }
    let prefixes = Metric::ALL.iter().map(|metric| format!("{}.", metric.name()));
    for prefix in prefixes.chain([String::new()]) {
        let times = STATISTICS.iter().flat_map(|(statistic, _)| {
            UNITS.iter().map(move |(unit, _)| format!("{statistic}_{unit}"))
        });
        names.extend(times.map(|time| format!("{prefix}{time}")));
    }
    names.sort_by_cached_key(|known| strsim::damerau_levenshtein(name, known));
    names.truncate(NEAR_NAMES);
    names
}

#[cfg(test)]
mod tests;
