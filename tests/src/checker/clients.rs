//! Each client's story held against the logs.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{Invariant, Logs, Violation, intervals, report};
use crate::history::{ClientHistory, Event, Step};

/// All answers about one message name one seq, and at most one of them calls it new (I3).
pub(super) fn check_answers_agree(clients: &[ClientHistory], found: &mut Vec<Violation>) {
    let mut answers: HashMap<(&str, &str, &str), (u64, u32)> = HashMap::new();
    for client in clients {
        for step in &client.steps {
            let Step::Acked { conv, id, seq, duplicate } = step else { continue };
            let answer = answers.entry((conv, &client.user, id)).or_insert((*seq, 0));
            answer.1 += u32::from(!duplicate);
            if answer.0 != *seq || answer.1 > 1 {
                let what = format!("{} got {step:?} after {answer:?}", client.user);
                report(found, Invariant::Once, what);
            }
        }
    }
}

/// Everything that concerns one client.
pub(super) fn check(client: &ClientHistory, logs: &Logs, found: &mut Vec<Violation>) {
    check_acknowledged(client, logs, found);
    check_order_on_connections(client, found);
    check_order_of_device(client, logs, found);
    check_seen(client, logs, found);
    check_cursors(client, logs, found);
}

fn event_at<'a>(logs: &'a Logs, conv: &str, seq: u64) -> Option<&'a Event> {
    logs.get(conv)?.get(&seq)
}

fn name(client: &ClientHistory) -> String {
    format!("{}/{}", client.user, client.device)
}

/// I1, and that what was refused, or would have changed nothing, is not there.
fn check_acknowledged(client: &ClientHistory, logs: &Logs, found: &mut Vec<Violation>) {
    let mut wanted: HashMap<(&str, &str), &Value> = HashMap::new();
    for step in &client.steps {
        match step {
            Step::Sent { conv, id, what } => {
                wanted.insert((conv, id), what);
            }
            Step::Acked { conv, id, seq, .. } => {
                let sent = wanted.get(&(conv.as_str(), id.as_str())).copied();
                let kept = event_at(logs, conv, *seq).is_some_and(|event| {
                    event.sender == client.user
                        && event.client_msg_id == *id
                        && Some(&event.what) == sent
                });
                if !kept {
                    let there = event_at(logs, conv, *seq);
                    let what =
                        format!("{}: {step:?} of {sent:?}, but there is {there:?}", name(client));
                    report(found, Invariant::Durable, what);
                }
            }
            Step::Refused { conv, id, .. } | Step::Unchanged { conv, id } => {
                let mut events = logs.get(conv).into_iter().flat_map(BTreeMap::values);
                if events.any(|event| event.sender == client.user && event.client_msg_id == *id) {
                    let what = format!("{}: {step:?}, but it is in the log", name(client));
                    report(found, Invariant::Once, what);
                }
            }
            Step::Connected { .. } | Step::Saw { .. } | Step::Applied { .. } => {}
        }
    }
}

/// New messages of one connection got their seqs in the order in which they were sent (I2).
fn check_order_on_connections(client: &ClientHistory, found: &mut Vec<Violation>) {
    for connection in client.steps.split(|step| matches!(step, Step::Connected { .. })) {
        let mut new: HashMap<(&str, &str), u64> = HashMap::new();
        for step in connection {
            if let Step::Acked { conv, id, seq, duplicate: false } = step {
                new.insert((conv, id), *seq);
            }
        }
        let mut last: HashMap<&str, u64> = HashMap::new();
        for step in connection {
            let Step::Sent { conv, id, .. } = step else { continue };
            let Some(seq) = new.remove(&(conv.as_str(), id.as_str())) else { continue };
            let before = last.insert(conv, seq).unwrap_or(0);
            if seq <= before {
                let what = format!("{}: {step:?} got {seq} after {before}", name(client));
                report(found, Invariant::Ordered, what);
            }
        }
    }
}

/// What a device sent to a conversation stands in the order of the first sending (I2): the client
/// sends again in its own order, so connections that end do not change it.
fn check_order_of_device(client: &ClientHistory, logs: &Logs, found: &mut Vec<Violation>) {
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut known = HashSet::new();
    for step in &client.steps {
        if let Step::Sent { conv, id, .. } = step
            && known.insert((conv, id))
        {
            order.entry(conv).or_default().push(id);
        }
    }
    for (conv, ids) in order {
        let Some(log) = logs.get(conv) else { continue };
        let own = log.values().filter(|event| event.sender == client.user);
        let places: HashMap<&str, u64> =
            own.map(|event| (event.client_msg_id.as_str(), event.seq)).collect();
        let seqs: Vec<u64> = ids.iter().filter_map(|id| places.get(id).copied()).collect();
        if !seqs.is_sorted() {
            let what = format!("{} sent to {conv}, in this order: {seqs:?}", name(client));
            report(found, Invariant::Ordered, what);
        }
    }
}

/// What was shown is in the log (I4), and was the client's to see (I8).
fn check_seen(client: &ClientHistory, logs: &Logs, found: &mut Vec<Violation>) {
    let mut visible: HashMap<&str, Vec<(u64, u64)>> = HashMap::new();
    for step in &client.steps {
        let Step::Saw { event, .. } = step else { continue };
        if event_at(logs, &event.conv, event.seq) != Some(event) {
            let there = event_at(logs, &event.conv, event.seq);
            let what = format!("{} saw {event:?}, the log has {there:?}", name(client));
            report(found, Invariant::Contiguous, what);
        }
        let ranges = visible.entry(&event.conv).or_insert_with(|| {
            logs.get(&event.conv).map(|log| intervals(log, &client.user)).unwrap_or_default()
        });
        if !ranges.iter().any(|(from, to)| (*from..=*to).contains(&event.seq)) {
            let what = format!("{} saw {event:?} but was a member at {ranges:?}", name(client));
            report(found, Invariant::Isolated, what);
        }
    }
}

/// The cursor of each conversation moves by one, or to where a membership begins (I4); who caught
/// up stands at the head of every conversation that they are a member of.
fn check_cursors(client: &ClientHistory, logs: &Logs, found: &mut Vec<Violation>) {
    let mut cursors: HashMap<&str, u64> = HashMap::new();
    for step in &client.steps {
        let Step::Applied { conv, seq } = step else { continue };
        let before = cursors.insert(conv, *seq);
        let begins = || {
            let log = logs.get(conv);
            log.is_some_and(|log| intervals(log, &client.user).iter().any(|(from, _)| from == seq))
        };
        if before.map(|before| before + 1) != Some(*seq) && !(before < Some(*seq) && begins()) {
            let what = format!("{}: cursor of {conv} from {before:?} to {seq}", name(client));
            report(found, Invariant::Contiguous, what);
        }
    }
    for (conv, log) in logs.iter().filter(|_| client.caught_up) {
        let is_member = intervals(log, &client.user).last().is_some_and(|(_, to)| *to == u64::MAX);
        let head = log.keys().next_back().copied();
        if is_member && cursors.get(conv.as_str()).copied() != head {
            let at = cursors.get(conv.as_str());
            let what = format!("{} ended at {at:?} of {conv}, the head is {head:?}", name(client));
            report(found, Invariant::Contiguous, what);
        }
    }
}
