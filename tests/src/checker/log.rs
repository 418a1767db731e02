//! The logs by themselves: one order (I2), each message once (I3), and who was a member when.

use std::collections::{BTreeMap, HashMap};

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

/// The ranges of seqs, both ends included, in which `user` was a member; the last is open (to
/// `u64::MAX`) while they still are. With history "all" each range starts at 1.
#[must_use]
pub fn intervals(log: &BTreeMap<u64, Event>, user: &str) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let sees_all = log.values().any(|event| event.what["created"]["history"] == "all");
    for (seq, event) in log {
        let inside = found.last().is_some_and(|(_, end)| *end == u64::MAX);
        match (membership_after(event, user), inside) {
            (Some(true), false) => found.push((if sees_all { 1 } else { *seq }, u64::MAX)),
            (Some(false), true) => found.last_mut().expect("inside").1 = *seq,
            _ => {}
        }
    }
    found
}

/// Whether the event makes `user` a member, or no member any more, or says nothing about it.
fn membership_after(event: &Event, user: &str) -> Option<bool> {
    if let Some(members) = event.what["created"]["members"].as_array() {
        return members.iter().any(|member| member["user"] == user).then_some(true);
    }
    let change = event.what.get("member")?;
    let named = change["users"].as_array()?.iter().any(|name| name == user);
    named.then(|| !change["left"].as_bool().unwrap_or(false))
}
