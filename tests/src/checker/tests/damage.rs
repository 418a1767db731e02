//! The mutation switch: each function damages a good run in one way and says whether it found a
//! place to do so.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Invariant, intervals};
use crate::history::{Event, History, LogView, Step};

type Damage = fn(&mut History, u64) -> bool;

pub(super) const ALL: &[(&str, Damage, &Invariant)] = &[
    ("an event is dropped from the log", drop_from_log, &Invariant::Ordered),
    ("the acknowledged head of the log is lost", lose_acknowledged_head, &Invariant::Durable),
    ("a client misses an event", drop_from_client, &Invariant::Contiguous),
    ("a client misses the newest event", drop_last_from_client, &Invariant::Contiguous),
    ("a message stands twice", double, &Invariant::Once),
    ("a retry gets another seq", second_result, &Invariant::Once),
    ("a retry is new again", new_twice, &Invariant::Once),
    ("one reader sees another order", reorder_for_one, &Invariant::Ordered),
    ("a device's messages change places", reorder_for_all, &Invariant::Ordered),
    ("time goes back", turn_back_time, &Invariant::Ordered),
    ("a text is altered in the log", alter, &Invariant::Durable),
    ("a client is shown another text", alter_for_client, &Invariant::Contiguous),
    ("somebody outside is shown an event", leak, &Invariant::Isolated),
    ("a member is shown what was before the joining", leak_before, &Invariant::Isolated),
    ("a member is shown what was after the leaving", leak_after, &Invariant::Isolated),
    ("a member reads from before the joining", read_before, &Invariant::Isolated),
    ("a message of somebody outside is in the log", write_outside, &Invariant::Isolated),
    ("a member finds no log to read", take_view, &Invariant::Contiguous),
    ("a refused message is in the log", refuse_acknowledged, &Invariant::Once),
    ("what changed nothing is in the log", unchange_acknowledged, &Invariant::Once),
];

fn pick<T>(items: &[T], choice: u64) -> Option<&T> {
    let length = items.len() as u64;
    (length > 0).then(|| &items[usize::try_from(choice % length).unwrap()])
}

fn head(history: &History) -> u64 {
    history.logs[0].head
}

fn for_events(history: &mut History, mut change: impl FnMut(&mut Event)) {
    for view in &mut history.logs {
        view.events.iter_mut().for_each(&mut change);
    }
    for client in &mut history.clients {
        for step in &mut client.steps {
            if let Step::Saw { event, .. } = step {
                change(event);
            }
        }
    }
}

fn whole_view(history: &History) -> &LogView {
    history.logs.iter().find(|view| view.min_seq == 1).expect("ann reads from 1")
}

/// Every new acknowledgement: (index of the client, index of the step, id, seq).
fn acknowledged(history: &History) -> Vec<(usize, usize, String, u64)> {
    let mut found = Vec::new();
    for (client, story) in history.clients.iter().enumerate() {
        for (step, taken) in story.steps.iter().enumerate() {
            if let Step::Acked { id, seq, duplicate: false, .. } = taken {
                found.push((client, step, id.clone(), *seq));
            }
        }
    }
    found
}

fn drop_from_log(history: &mut History, choice: u64) -> bool {
    let end = head(history);
    if end < 3 {
        return false;
    }
    let dropped = 2 + choice % (end - 2);
    for view in &mut history.logs {
        view.events.retain(|event| event.seq != dropped);
    }
    true
}

fn lose_acknowledged_head(history: &mut History, _: u64) -> bool {
    let last = acknowledged(history).into_iter().map(|(.., seq)| seq).max();
    let Some(lost) = last else { return false };
    for view in &mut history.logs {
        view.events.retain(|event| event.seq < lost);
        view.head = lost - 1;
    }
    history.logs.retain(|view| view.min_seq < lost);
    for client in &mut history.clients {
        client.steps.retain(|step| match step {
            Step::Saw { event, .. } => event.seq < lost,
            Step::Applied { seq, .. } => *seq < lost,
            _ => true,
        });
    }
    true
}

fn drop_from_client(history: &mut History, choice: u64) -> bool {
    let member = history.clients.iter_mut().find(|client| client.user == "ann");
    let Some(client) = member else { return false };
    let places: Vec<usize> = positions(&client.steps, |step| matches!(step, Step::Applied { .. }));
    let inner = places.get(1..places.len().saturating_sub(1)).unwrap_or_default();
    let Some(at) = pick(inner, choice).copied() else { return false };
    client.steps.remove(at);
    true
}

fn drop_last_from_client(history: &mut History, _: u64) -> bool {
    let member = history.clients.iter_mut().find(|client| client.user == "ann");
    let Some(client) = member else { return false };
    let places = positions(&client.steps, |step| matches!(step, Step::Applied { .. }));
    let Some(at) = places.last() else { return false };
    client.steps.remove(*at);
    true
}

fn positions(steps: &[Step], wanted: fn(&Step) -> bool) -> Vec<usize> {
    steps.iter().enumerate().filter(|(_, step)| wanted(step)).map(|(at, _)| at).collect()
}

/// The copy comes at the head and reaches everybody: only its id gives it away.
fn double(history: &mut History, choice: u64) -> bool {
    let members: Vec<String> = history.logs.iter().map(|view| view.user.clone()).collect();
    let events = whole_view(history).events.clone();
    let messages: Vec<&Event> = events.iter().filter(|event| event.text().is_some()).collect();
    let Some(&copied) = pick(&messages, choice) else { return false };
    let seq = head(history) + 1;
    let copy = Event { seq, time_ms: events.last().unwrap().time_ms, ..copied.clone() };
    for view in &mut history.logs {
        view.events.push(copy.clone());
        view.head = seq;
    }
    for client in history.clients.iter_mut().filter(|client| members.contains(&client.user)) {
        client.steps.push(Step::Saw { event: copy.clone(), pushed: false });
        client.steps.push(Step::Applied { conv: copy.conv.clone(), seq });
    }
    true
}

fn second_result(history: &mut History, choice: u64) -> bool {
    let Some((client, _, id, seq)) = pick(&acknowledged(history), choice).cloned() else {
        return false;
    };
    let conv = history.logs[0].conv.clone();
    let other = Step::Acked { conv, id, seq: seq + 1, duplicate: true };
    history.clients[client].steps.push(other);
    true
}

fn new_twice(history: &mut History, choice: u64) -> bool {
    let Some((client, step, ..)) = pick(&acknowledged(history), choice).cloned() else {
        return false;
    };
    let again = history.clients[client].steps[step].clone();
    history.clients[client].steps.push(again);
    true
}

/// The last reader is ann, a member from the start, or somebody whom she overlaps.
fn reorder_for_one(history: &mut History, choice: u64) -> bool {
    let readers = history.logs.len();
    let Some(view) = history.logs.last_mut().filter(|view| view.min_seq + 2 < view.head) else {
        return false;
    };
    let at = usize::try_from(choice % (view.events.len() as u64 - 1)).unwrap();
    let (low, high) = (view.events[at].seq, view.events[at + 1].seq);
    view.events.swap(at, at + 1);
    view.events[at].seq = low;
    view.events[at + 1].seq = high;
    readers > 1
}

/// Two messages of one connection change places for everybody, their acknowledgements too.
fn reorder_for_all(history: &mut History, _: u64) -> bool {
    let Some((first, second)) = two_of_one_connection(history) else { return false };
    let other = |seq: u64| match seq {
        seq if seq == first => second,
        seq if seq == second => first,
        seq => seq,
    };
    let events = whole_view(history).events.clone();
    let content = |seq: u64| events[usize::try_from(other(seq)).unwrap() - 1].clone();
    for_events(history, |event| {
        if other(event.seq) != event.seq {
            *event = Event { seq: event.seq, time_ms: event.time_ms, ..content(event.seq) };
        }
    });
    for client in &mut history.clients {
        for step in &mut client.steps {
            if let Step::Acked { seq, .. } = step {
                *seq = other(*seq);
            }
        }
    }
    true
}

fn two_of_one_connection(history: &History) -> Option<(u64, u64)> {
    let connections = history
        .clients
        .iter()
        .flat_map(|client| client.steps.split(|step| matches!(step, Step::Connected { .. })));
    connections
        .map(|steps| steps.iter().filter_map(new_seq).collect::<Vec<u64>>())
        .find(|seqs| seqs.len() > 1)
        .map(|seqs| (seqs[0], seqs[1]))
}

fn new_seq(step: &Step) -> Option<u64> {
    match step {
        Step::Acked { seq, duplicate: false, .. } => Some(*seq),
        _ => None,
    }
}

fn turn_back_time(history: &mut History, choice: u64) -> bool {
    let end = head(history);
    if end < 3 {
        return false;
    }
    let early = 2 + choice % (end - 1);
    for_events(history, |event| {
        if event.seq == early {
            event.time_ms = 1;
        }
    });
    true
}

fn alter(history: &mut History, choice: u64) -> bool {
    let Some((.., altered)) = pick(&acknowledged(history), choice).cloned() else { return false };
    for_events(history, |event| {
        if event.seq == altered {
            event.what = json!({"message": {"kind": "text", "text": "altered"}});
        }
    });
    true
}

fn alter_for_client(history: &mut History, choice: u64) -> bool {
    let seen: Vec<&mut Event> = history
        .clients
        .iter_mut()
        .flat_map(|client| &mut client.steps)
        .filter_map(|step| if let Step::Saw { event, .. } = step { Some(event) } else { None })
        .filter(|event| event.text().is_some())
        .collect();
    let length = seen.len() as u64;
    let Some(event) = seen.into_iter().nth(usize::try_from(choice % length.max(1)).unwrap()) else {
        return false;
    };
    event.what = json!({"message": {"kind": "text", "text": "altered"}});
    true
}

fn leak(history: &mut History, choice: u64) -> bool {
    let events = whole_view(history).events.clone();
    let Some(event) = pick(&events, choice).cloned() else { return false };
    let mut stranger = history.clients[0].clone();
    stranger.user = "eve".into();
    stranger.caught_up = false;
    stranger.steps = vec![Step::Connected { time_ms: 1 }, Step::Saw { event, pushed: false }];
    history.clients.push(stranger);
    true
}

/// Shows a device an event that its user must not see, of those that `is_wanted` takes, given the
/// user's intervals.
fn show(history: &mut History, choice: u64, is_wanted: fn(&[(u64, u64)], u64) -> bool) -> bool {
    let log = whole_log(history);
    let mut places = Vec::new();
    for (client, story) in history.clients.iter().enumerate() {
        let ranges = intervals(&log, &story.user);
        places.extend(log.keys().filter(|seq| is_wanted(&ranges, **seq)).map(|seq| (client, *seq)));
    }
    let Some((client, seq)) = pick(&places, choice).copied() else { return false };
    let steps = &mut history.clients[client].steps;
    steps.push(Step::Saw { event: log[&seq].clone(), pushed: false });
    true
}

fn whole_log(history: &History) -> BTreeMap<u64, Event> {
    whole_view(history).events.iter().map(|event| (event.seq, event.clone())).collect()
}

/// Just before a joining, which is the first or follows a leaving.
fn leak_before(history: &mut History, choice: u64) -> bool {
    show(history, choice, |ranges, seq| {
        let is_outside = !ranges.iter().any(|(from, to)| (*from..=*to).contains(&seq));
        is_outside && ranges.iter().any(|(from, _)| seq + 1 == *from)
    })
}

/// Just after a leaving, which is the last or precedes a joining.
fn leak_after(history: &mut History, choice: u64) -> bool {
    show(history, choice, |ranges, seq| {
        let is_outside = !ranges.iter().any(|(from, to)| (*from..=*to).contains(&seq));
        is_outside && ranges.iter().any(|(_, to)| *to != u64::MAX && seq == *to + 1)
    })
}

fn read_before(history: &mut History, _: u64) -> bool {
    let log = whole_log(history);
    let Some(view) = history.logs.iter_mut().find(|view| view.min_seq > 1) else { return false };
    view.min_seq -= 1;
    view.events.insert(0, log[&view.min_seq].clone());
    true
}

fn write_outside(history: &mut History, choice: u64) -> bool {
    let Some((.., taken)) = pick(&acknowledged(history), choice).cloned() else { return false };
    for_events(history, |event| {
        if event.seq == taken {
            event.sender = "eve".into();
        }
    });
    true
}

/// The log stays whole: ann's reading of it is the first.
fn take_view(history: &mut History, _: u64) -> bool {
    history.logs.len() > 1 && history.logs.pop().is_some()
}

fn refuse_acknowledged(history: &mut History, choice: u64) -> bool {
    let Some((client, _, id, _)) = pick(&acknowledged(history), choice).cloned() else {
        return false;
    };
    let conv = history.logs[0].conv.clone();
    history.clients[client].steps.push(Step::Refused { conv, id, code: "forbidden".into() });
    true
}

fn unchange_acknowledged(history: &mut History, choice: u64) -> bool {
    let Some((client, _, id, _)) = pick(&acknowledged(history), choice).cloned() else {
        return false;
    };
    let conv = history.logs[0].conv.clone();
    history.clients[client].steps.push(Step::Unchanged { conv, id });
    true
}
