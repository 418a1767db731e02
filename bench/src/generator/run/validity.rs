//! When a run is not valid (each reason begins with `generator:`):
//! - in an open loop: more than [`OVERRUN_SHARE_MAX`] of the acts on a schedule were later than the
//!   plan's `lateness_max` (10 ms if it says nothing);
//! - in an open loop: a thread used [`BUSY_MAX`] of a core or more in over [`BUSY_SECONDS_MAX`] of
//!   the seconds (a closed loop is meant to be as fast as it can, and has no schedule but for
//!   making its connections);
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
    if plan.open_loop && share(overruns, acts) > OVERRUN_SHARE_MAX {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generator::run::SecondReadings;
    use crate::generator::{Cause, Target};

    fn plan(open_loop: bool) -> RunPlan {
        let target = Target::at("192.0.2.1:80".parse().unwrap(), "/");
        let mut plan = RunPlan::new(target, 1, Duration::from_secs(10), Metric::Establish);
        plan.open_loop = open_loop;
        plan
    }

    fn reasons(open_loop: bool, total: &Sample, busy: &[f64]) -> Vec<String> {
        let second = |&busy: &f64| SecondRecord {
            sample: Sample::default(),
            readings: SecondReadings::default(),
            busy,
        };
        let series: Vec<_> = busy.iter().map(second).collect();
        invalid_reasons(&plan(open_loop), total, &series)
    }

    /// `late` of 1,000 acts.
    fn acts(late: u64) -> Sample {
        let mut total = Sample::default();
        (0..1000).for_each(|_| total.record(Metric::Lateness, Duration::from_millis(1)));
        total.add(Counter::Overruns, late);
        total
    }

    #[test]
    fn one_act_in_a_hundred_may_be_late_and_no_more() {
        assert_eq!(reasons(true, &acts(10), &[]), [] as [String; 0]);
        let late = reasons(true, &acts(11), &[]);
        assert!(late.len() == 1 && late[0].starts_with("generator: 11 of 1000"), "{late:?}");
        assert_eq!(reasons(false, &acts(11), &[]), [] as [String; 0]);
    }

    #[test]
    fn a_saturated_thread_is_told_in_an_open_loop_alone() {
        let busy = [0.99, 0.99, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
        assert_eq!(reasons(true, &acts(0), &busy).len(), 1);
        assert_eq!(reasons(false, &acts(0), &busy).len(), 0);
        assert_eq!(reasons(true, &acts(0), &busy[1..]).len(), 0, "one second is none");
    }

    #[test]
    fn messages_that_were_due_and_not_sent_are_told() {
        let mut total = acts(0);
        total.add(Counter::Intended, 1000);
        total.add(Counter::Unsent, 10);
        assert_eq!(reasons(false, &total, &[]).len(), 0);
        total.add(Counter::Unsent, 1);
        assert_eq!(reasons(false, &total, &[]).len(), 1);
    }

    #[test]
    fn every_started_connection_must_have_its_end() {
        let mut total = acts(0);
        total.add(Counter::Started, 3);
        total.add(Counter::ClosedAsAsked, 2);
        assert!(reasons(false, &total, &[])[0].contains("books"));
        total.fail(Cause::Refused, 0);
        assert_eq!(reasons(false, &total, &[]).len(), 0);
    }
}
