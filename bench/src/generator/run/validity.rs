//! When a run is not valid (each reason begins with `generator:`):
//! - more than [`OVERRUN_SHARE_MAX`] of the acts on a schedule were later than the plan's
//!   `lateness_max` (10 ms if it says nothing);
//! - in an open loop: a thread used [`BUSY_MAX`] of a core or more in over [`BUSY_SECONDS_MAX`] of
//!   the seconds (a closed loop is meant to be as fast as it can);
//! - over [`OVERRUN_SHARE_MAX`] of the messages that were due when it ended were not sent because
//!   the generator did not get to them ([`Counter::Unsent`]);
//! - the books do not balance, or a shard's ring failed.

use super::{RunPlan, SecondRecord};
use crate::generator::{Counter, Metric, Sample};
use crate::limits::{BUSY_MAX, BUSY_SECONDS_MAX, OVERRUN_SHARE_MAX};

/// Why a run may not be believed. See the module header.
pub(super) fn invalid_reasons(
    plan: &RunPlan,
    total: &Sample,
    series: &[SecondRecord],
) -> Vec<String> {
    let mut reasons = Vec::new();
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let acts = total.times(Metric::Lateness).map_or(0, hdrhistogram::Histogram::len);
    let overruns = total.count(Counter::Overruns);
    if share(overruns, acts) > OVERRUN_SHARE_MAX {
        reasons.push(format!(
            "generator: {overruns} of {acts} acts on schedule were more than {:?} late",
            plan.lateness_max
        ));
    }
    let busy = series.iter().filter(|second| second.busy >= BUSY_MAX).count() as u64;
    let seconds = series.len() as u64;
    if plan.open_loop && busy > 1 && share(busy, seconds) > BUSY_SECONDS_MAX {
        reasons.push(format!(
            "generator: a thread was saturated in {busy} of {seconds} seconds; more shards, cores \
             or workers are needed"
        ));
    }
    let (intended, unsent) = (total.count(Counter::Intended), total.count(Counter::Unsent));
    if share(unsent, intended) > OVERRUN_SHARE_MAX {
        reasons.push(format!("generator: {unsent} of {intended} messages were due and not sent"));
    }
    let [started, asked, failed] =
        [Counter::Started, Counter::ClosedAsAsked, Counter::Failed].map(|name| total.count(name));
    if started != asked + failed {
        reasons.push(format!(
            "generator: the books do not balance: {started} started, {asked} closed as asked, \
             {failed} failed"
        ));
    }
    reasons
}
