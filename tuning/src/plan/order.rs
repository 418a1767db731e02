//! In which order limits are hit: for each the number of connections at which it is, now and after
//! what is proposed, and the counter that shows it.

use super::Inputs;
use super::budget::{largest, largest_that_fits};
use crate::limits::CONNECTIONS_MAX;
use crate::profile::ask::{Ask, AskError};
use crate::profile::{Expression, Key, Profile};
use crate::value::{Value, Word};

/// A limit and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The key, the resource, or the memory.
    pub name: String,
    /// Connections that it holds as the host is.
    pub now: u64,
    /// Connections that it holds once the proposal is applied.
    pub after: u64,
    /// What shows that it is hit.
    pub counter: String,
}

/// Every limit that is hit at some number of connections, the first one first. `live` gives the
/// value of a key on this host, if it can be known.
///
/// # Errors
/// A formula has no finite value.
pub fn limits(
    profile: &Profile,
    inputs: &Inputs,
    asks: &[Ask<'_>],
    live: impl Fn(&Key) -> Option<Value>,
) -> Result<Vec<Limit>, AskError> {
    let mut limits = vec![memory(profile, inputs)?];
    for resource in &profile.resources {
        let most = |have: &Expression| {
            let holds = |connections| {
                let variables = inputs.with_connections(connections).variables(profile)?;
                Ok(resource.need.value(&variables)? <= have.value(&variables)?)
            };
            Ok::<_, AskError>(largest(holds)?.unwrap_or(0))
        };
        let now = most(&resource.have)?;
        let after = resource.have_after.as_ref().map_or(Ok(now), most)?;
        let (name, counter) = (resource.name.clone(), resource.counter.clone());
        limits.push(Limit { name, now, after, counter });
    }
    for ask in asks {
        limits.extend(of_key(profile, inputs, ask, live(ask.key))?);
    }
    limits.retain(|limit| limit.now < CONNECTIONS_MAX);
    limits.sort_by(|a, b| (a.now, a.after, &a.name).cmp(&(b.now, b.after, &b.name)));
    Ok(limits)
}

fn memory(profile: &Profile, inputs: &Inputs) -> Result<Limit, AskError> {
    let most = largest_that_fits(profile, inputs)?.unwrap_or(0);
    let name = match inputs.facts.cgroup_bytes {
        Some(bytes) if bytes < inputs.facts.memory_bytes => "memory of the control group",
        _ => "memory",
    };
    let counter = "MemAvailable in /proc/meminfo; oom_kill in /proc/vmstat".to_owned();
    Ok(Limit { name: name.to_owned(), now: most, after: most, counter })
}

/// The limit of a key that a plan can fail by; nothing if its value is not known.
fn of_key(
    profile: &Profile,
    inputs: &Inputs,
    ask: &Ask<'_>,
    live: Option<Value>,
) -> Result<Option<Limit>, AskError> {
    let (Some((column, need)), Some(live)) = (&ask.key.need, live) else { return Ok(None) };
    let most = |value: &Value| {
        let have = value.0.get(*column).and_then(Word::as_number).unwrap_or(0);
        let holds = |connections| {
            let variables = inputs.with_connections(connections).variables(profile)?;
            let value = need.count(&variables)?;
            let asked = Ask { need: Some((*column, value)), ..ask.clone() };
            Ok(!asked.fails(&with_column(*column, have)))
        };
        Ok(largest(holds)?.unwrap_or(0))
    };
    let now = most(&live)?;
    let after = if ask.key.apply { most(&ask.proposal(&live))?.max(now) } else { now };
    Ok(Some(Limit { name: ask.key.name.clone(), now, after, counter: ask.key.counter.clone() }))
}

fn with_column(column: usize, number: u64) -> Value {
    Value::numbers(&vec![number; column + 1])
}
