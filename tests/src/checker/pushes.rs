//! What came by push. A client that asks for everything in the end would hide a gateway that pushes
//! nothing, so a run is also asked how its events came.

use std::collections::HashSet;

use super::log::{self, memberships};
use crate::history::{ClientHistory, Event, History, Step};

/// Of the events that these clients were shown, each counted once per client, the share that was
/// pushed.
#[must_use]
pub fn pushed_share<'a>(clients: impl IntoIterator<Item = &'a ClientHistory>) -> f64 {
    let (mut seen, mut came) = (HashSet::new(), HashSet::new());
    for (client, story) in clients.into_iter().enumerate() {
        for step in &story.steps {
            let Step::Saw { event, pushed } = step else { continue };
            seen.insert((client, &event.conv, event.seq));
            if *pushed {
                came.insert((client, &event.conv, event.seq));
            }
        }
    }
    let (seen, came) = (u32::try_from(seen.len()), u32::try_from(came.len()));
    f64::from(came.expect("a small run")) / f64::from(seen.expect("a small run").max(1))
}

/// Every event that was not pushed to a client that was a member and had its only connection by
/// then. What a device sent itself it is not owed.
#[must_use]
pub fn not_pushed(history: &History) -> Vec<String> {
    let logs = log::merge(&history.logs, &mut Vec::new());
    let mut found = Vec::new();
    for client in &history.clients {
        let Some(connected_ms) = only_connection(client) else { continue };
        let came = pushed(client);
        for (conv, log) in &logs {
            let ranges = memberships(log, &client.user);
            let is_owed = |event: &&Event| {
                let own = event.sender == client.user && event.device == client.device;
                let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&event.seq));
                event.time_ms > connected_ms && inside && !own
            };
            for event in log.values().filter(is_owed) {
                if !came.contains(&(conv.as_str(), event.seq)) {
                    found.push(format!(
                        "{}/{} was not pushed {event:?}",
                        client.user, client.device
                    ));
                }
            }
        }
    }
    found
}

/// When the client was welcomed, if that was once.
fn only_connection(client: &ClientHistory) -> Option<u64> {
    let mut welcomes = client.steps.iter().filter_map(|step| match step {
        Step::Connected { time_ms } => Some(*time_ms),
        _ => None,
    });
    welcomes.next().filter(|_| welcomes.next().is_none())
}

fn pushed(client: &ClientHistory) -> HashSet<(&str, u64)> {
    let pushes = client.steps.iter().filter_map(|step| match step {
        Step::Saw { event, pushed: true } => Some((event.conv.as_str(), event.seq)),
        _ => None,
    });
    pushes.collect()
}
