//! The logs by themselves: one order (I2), each message once (I3), who was a member when, and that
//! only members wrote and read (I8).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{Invariant, Logs, Violation, report};
use crate::history::{Event, LogView};

/// Puts the members' readings together; what one reader saw otherwise than another is reported.
pub(super) fn merge(views: &[LogView], found: &mut Vec<Violation>) -> Logs {
    let mut logs = Logs::new();
    for view in views {
        check_view(view, found);
        let log = logs.entry(view.conv.clone()).or_default();
        for event in &view.events {
            let known = log.entry(event.seq).or_insert_with(|| event.clone());
            if known != event {
                let what = format!("{} reads {event:?} where others read {known:?}", view.user);
                report(found, Invariant::Ordered, what);
            }
        }
    }
    logs
}

fn check_view(view: &LogView, found: &mut Vec<Violation>) {
    let seqs: Vec<u64> = view.events.iter().map(|event| event.seq).collect();
    let expected: Vec<u64> = (view.min_seq..=view.head).collect();
    if seqs != expected {
        let what = format!(
            "{} reads seqs {seqs:?} of {}, the server says {}..={}",
            view.user, view.conv, view.min_seq, view.head
        );
        report(found, Invariant::Ordered, what);
    }
}

/// Seqs start at 1 and have no gap; time never goes back.
pub(super) fn check_whole(logs: &Logs, found: &mut Vec<Violation>) {
    for (conv, log) in logs {
        let mut time_ms = 0;
        for (expected, (seq, event)) in (1..).zip(log) {
            if *seq != expected {
                report(found, Invariant::Ordered, format!("{conv} has no event {expected}"));
                break;
            }
            if event.time_ms < time_ms {
                report(found, Invariant::Ordered, format!("time goes back at {event:?}"));
            }
            time_ms = event.time_ms;
        }
    }
}

/// No (sender, id) stands twice in a log.
pub(super) fn check_once(logs: &Logs, found: &mut Vec<Violation>) {
    for (conv, log) in logs {
        let mut places: HashMap<(&str, &str), u64> = HashMap::new();
        for event in log.values().filter(|event| !event.client_msg_id.is_empty()) {
            let key = (event.sender.as_str(), event.client_msg_id.as_str());
            if let Some(first) = places.insert(key, event.seq) {
                let what = format!("{key:?} is at {first} and at {} of {conv}", event.seq);
                report(found, Invariant::Once, what);
            }
        }
    }
}

/// Who wrote was a member.
pub(super) fn check_writers(logs: &Logs, found: &mut Vec<Violation>) {
    for log in logs.values() {
        let mut known: HashMap<&str, Vec<(u64, u64)>> = HashMap::new();
        for event in log.values() {
            let sender = event.sender.as_str();
            let ranges = known.entry(sender).or_insert_with(|| memberships(log, sender));
            if !contain(ranges, event.seq) {
                let what = format!("{event:?} of somebody who was a member at {ranges:?}");
                report(found, Invariant::Isolated, what);
            }
        }
    }
}

/// Who reads a log after the run is a member, and reads from where their last membership shows it;
/// and every member reads it.
pub(super) fn check_readers(views: &[LogView], logs: &Logs, found: &mut Vec<Violation>) {
    let mut readers: HashMap<&str, HashSet<&str>> = HashMap::new();
    for view in views {
        readers.entry(&view.conv).or_default().insert(&view.user);
        let last = intervals(&logs[&view.conv], &view.user).pop();
        if last != Some((view.min_seq, u64::MAX)) {
            let (user, conv, from) = (&view.user, &view.conv, view.min_seq);
            let what = format!("{user} reads {conv} from {from}, but may read {last:?}");
            report(found, Invariant::Isolated, what);
        }
    }
    for (conv, log) in logs {
        let named: HashSet<String> = log.values().flat_map(named_users).collect();
        for user in named.iter().filter(|user| !readers[conv.as_str()].contains(user.as_str())) {
            if memberships(log, user).last().is_some_and(|(_, to)| *to == u64::MAX) {
                let what = format!("{user} is a member of {conv} and cannot read it");
                report(found, Invariant::Contiguous, what);
            }
        }
    }
}

fn contain(ranges: &[(u64, u64)], seq: u64) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&seq))
}

/// The ranges of seqs, both ends included, whose events `user` may be shown; the last is open (to
/// `u64::MAX`) while they are a member. With history "all" each range starts at 1.
#[must_use]
pub fn intervals(log: &BTreeMap<u64, Event>, user: &str) -> Vec<(u64, u64)> {
    let sees_all = log.values().any(|event| event.what["created"]["history"] == "all");
    let ranges = memberships(log, user).into_iter();
    ranges.map(|(from, to)| (if sees_all { 1 } else { from }, to)).collect()
}

/// The ranges of seqs in which `user` was a member, from the event of joining to that of leaving.
pub(super) fn memberships(log: &BTreeMap<u64, Event>, user: &str) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for (seq, event) in log {
        let inside = found.last().is_some_and(|(_, end)| *end == u64::MAX);
        match (membership_after(event, user), inside) {
            (Some(true), false) => found.push((*seq, u64::MAX)),
            (Some(false), true) => found.last_mut().expect("inside").1 = *seq,
            _ => {}
        }
    }
    found
}

/// Whether the event makes `user` a member, or no member any more, or says nothing about it.
fn membership_after(event: &Event, user: &str) -> Option<bool> {
    let named = named_users(event).iter().any(|name| name == user);
    named.then(|| !event.what["member"]["left"].as_bool().unwrap_or(false))
}

/// Whom an event makes members, or not members.
fn named_users(event: &Event) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let founders = list(&event.what["created"]["members"]);
    let changed = list(&event.what["member"]["users"]);
    founders.iter().map(|member| &member["user"]).chain(&changed).filter_map(text).collect()
}
