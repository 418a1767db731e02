//! Where each counter is, and how it is read there.

use serde::Deserialize;

use super::News;
use super::metrics;
use crate::host::Host;
use crate::profile::ProfileError;

const FILE: &str = "counters.toml";

/// All that is watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// The share of its most from which on a level is told.
    pub told_share: f64,
    /// What only grows.
    #[serde(rename = "count")]
    pub counts: Vec<Count>,
    /// What has a most.
    #[serde(rename = "level")]
    pub levels: Vec<Level>,
}

/// A number that only grows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Its name, in a table the kernel's own.
    pub name: String,
    means: String,
    action: String,
    #[serde(default)]
    file: String,
    table: Option<String>,
    column: Option<usize>,
    heading: Option<String>,
    line: Option<String>,
    metric: Option<String>,
}

/// Something with a most.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its name.
    pub name: String,
    means: String,
    action: String,
    pub(super) used: Place,
    pub(super) most: Place,
}

/// A number in a file: a word of the first line, or what follows a word of a named line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    file: String,
    word: Option<usize>,
    line: Option<String>,
    after: Option<String>,
}

impl Watch {
    /// What comes with this program.
    ///
    /// # Errors
    /// Never, as a test proves; the signature spares a panic.
    pub fn new() -> Result<Self, ProfileError> {
        let text = include_str!("../../profiles/counters.toml");
        toml::from_str(text).map_err(|error| ProfileError::syntax(FILE, text, &error))
    }
}

impl Count {
    /// Whether the gateway counts it, and not the kernel.
    #[must_use]
    pub fn is_of_gateway(&self) -> bool {
        self.metric.is_some()
    }

    pub(super) fn value(&self, host: &Host, metrics: &str) -> Option<u64> {
        if let Some(metric) = &self.metric {
            return metrics::sum(metrics, metric);
        }
        let text = host.read(&self.file).ok()?;
        match (&self.table, self.column, &self.heading, &self.line) {
            (Some(table), ..) => in_table(&text, table, &self.name),
            (_, Some(column), ..) => sum_of_column(text.lines(), column),
            (_, _, Some(heading), _) => {
                let mut lines = text.lines();
                let column = lines.next()?.split_whitespace().position(|name| name == heading)?;
                sum_of_column(lines, column)
            }
            (_, _, _, Some(name)) => {
                let line = text.lines().find_map(|line| line.strip_prefix(name.as_str()))?;
                line.trim().parse().ok()
            }
            (None, None, None, None) => None,
        }
    }

    pub(super) fn news(&self, amount: String) -> News {
        let Self { name, means, action, .. } = self.clone();
        News { name, amount, means, action }
    }
}

impl Level {
    pub(super) fn news(&self, amount: String) -> News {
        let Self { name, means, action, .. } = self.clone();
        News { name, amount, means, action }
    }
}

impl Place {
    pub(super) fn value(&self, host: &Host) -> Option<u64> {
        let text = host.read(&self.file).ok()?;
        let line = match &self.line {
            Some(name) => text.lines().find_map(|line| line.strip_prefix(name.as_str()))?,
            None => text.lines().next()?,
        };
        let mut words = line.split_whitespace();
        let word = match (&self.after, self.word) {
            (Some(name), _) => words.find(|word| word == name).and_then(|_| words.next()),
            (None, index) => words.nth(index.unwrap_or(0)),
        };
        word?.parse().ok()
    }
}

/// Tables of /proc/net come as pairs of lines with the same title: names, then numbers.
fn in_table(text: &str, table: &str, name: &str) -> Option<u64> {
    let of_table = |line: &&str| line.split_once(':').is_some_and(|(title, _)| title == table);
    let mut lines = text.lines().filter(of_table);
    let column = lines.next()?.split_whitespace().position(|other| other == name)?;
    lines.next()?.split_whitespace().nth(column)?.parse().ok()
}

/// A line for each processor, numbers in base 16.
fn sum_of_column<'a>(lines: impl Iterator<Item = &'a str>, column: usize) -> Option<u64> {
    let number = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    lines.map(number).sum()
}
