//! Compares a host with a profile for a plan. Changes nothing.

use std::collections::BTreeMap;

use crate::formula::FormulaError;
use crate::live::Host;
use crate::profile::{Bound, Key, Profile, Severity};

/// What the host should hold.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections at one time.
    pub connections: u64,
    /// Shards of the gateway.
    pub shards: u64,
}

/// How one key stands.
#[derive(Clone, Debug)]
pub struct Finding<'p> {
    /// The key.
    pub key: &'p Key,
    /// What the host has; `None`: this host does not have the key.
    pub live: Option<f64>,
    /// What the plan asks for.
    pub asked: f64,
    /// The verdict.
    pub verdict: Verdict,
}

/// The verdict on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As asked, or better.
    Good,
    /// On the wrong side of the bound.
    Wrong(Severity),
    /// The kernel has no such key: nothing to compare.
    Absent,
}

/// Compares every key of the profile.
///
/// # Errors
/// A formula uses a variable that a plan does not have, or its value is not finite.
pub fn check<'p>(
    profile: &'p Profile,
    plan: Plan,
    host: &Host,
) -> Result<Vec<Finding<'p>>, FormulaError> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of connections are far below 2^53")]
    let variables = BTreeMap::from([
        ("connections", plan.connections as f64),
        ("shards", plan.shards as f64),
        ("memory_bytes", host.memory_bytes().unwrap_or(0.0)),
    ]);
    let finding = |key: &'p Key| {
        let asked = key.formula.value(&variables)?;
        let live = host.value(key);
        Ok(Finding { key, live, asked, verdict: verdict(key, live, asked) })
    };
    profile.keys.iter().map(finding).collect()
}

fn verdict(key: &Key, live: Option<f64>, asked: f64) -> Verdict {
    let good = match (live, key.bound) {
        (None, _) => return Verdict::Absent,
        (Some(live), Bound::AtLeast) => live >= asked,
        (Some(live), Bound::AtMost) => live <= asked,
    };
    if good { Verdict::Good } else { Verdict::Wrong(key.severity) }
}
