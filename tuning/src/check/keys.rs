//! One key beside its live value.

use super::{Finding, Level, Subject};
use crate::host::{Facts, Host, Process, ReadError, directive, unit_limit};
use crate::profile::ask::Ask;
use crate::profile::{Key, Kind, Scope};
use crate::value::Value;

/// The value of a key on a host. A limit is that of `process` if it was named, else what systemd
/// will give `unit`, else the hard one of this process, to which a gateway raises its own.
///
/// # Errors
/// See [`ReadError`].
pub fn live_value(
    host: &Host,
    process: &Process,
    unit: &str,
    key: &Key,
) -> Result<Value, ReadError> {
    match (key.kind, key.path()) {
        (Kind::Sysfs, Some(path)) => Ok(Value::parse_choice(&host.read(&path)?)),
        (_, Some(path)) => Ok(Value::parse(&host.read(&path)?)),
        (_, None) => {
            if let Some(number) = key.capability
                && process.is_named()
                && process.has_capability(host, number)
            {
                return Ok(Value::parse("unlimited"));
            }
            let of_unit = || unit_limit(host, unit, &key.name, None);
            if process.is_named() {
                return Ok(Value(vec![process.limits(host, &key.name)?.soft]));
            }
            match of_unit() {
                Some(word) => Ok(Value(vec![word])),
                None => Ok(Value(vec![process.limits(host, &key.name)?.hard])),
            }
        }
    }
}

pub(super) fn finding(subject: &Subject<'_>, ask: &Ask<'_>) -> Finding {
    let key = ask.key;
    let live = live_value(subject.host, &subject.process, &subject.profile.unit, key);
    let level = match &live {
        Ok(live) => level(subject, ask, live),
        Err(error) => unknown(&subject.inputs.facts, ask, error),
    };
    let need = ask.need.map(|(_, need)| format!(", {need} needed")).unwrap_or_default();
    Finding {
        subject: key.name.clone(),
        level,
        asked: format!("{}{need}", ask.value),
        why: key.why.clone(),
        action: action(subject, ask, live.as_ref()),
        counter: key.counter.clone(),
        live: match live {
            Ok(live) => format!("{live}{}", whose(subject, key)),
            Err(error) => error.to_string(),
        },
    }
}

fn level(subject: &Subject<'_>, ask: &Ask<'_>, live: &Value) -> Level {
    if ask.fails(live) {
        return Level::Fails;
    }
    if ask.is_met(live) {
        return Level::Good;
    }
    let is_told = !ask.key.apply || (ask.key.lowers && !subject.lower_defaults);
    if is_told { Level::Note } else { Level::Advice }
}

/// A key that is younger than the kernel, or of another namespace, is no fault of the host; one
/// that should be there and is needed must not pass.
fn unknown(facts: &Facts, ask: &Ask<'_>, error: &ReadError) -> Level {
    let is_absent = matches!(error, ReadError::Absent(_));
    if is_absent && facts.kernel < ask.key.kernel {
        return Level::Note;
    }
    match ask.need {
        Some(_) => Level::Unreadable,
        None if !ask.key.apply => Level::Note,
        None => Level::Advice,
    }
}

fn whose(subject: &Subject<'_>, key: &Key) -> String {
    if key.kind != Kind::Limit || subject.process.is_named() {
        return String::new();
    }
    let unit = &subject.profile.unit;
    match unit_limit(subject.host, unit, &key.name, None) {
        Some(_) => format!(" (as {unit} will have it)"),
        None => " (of this program; --pid looks at the gateway's)".to_owned(),
    }
}

fn action(subject: &Subject<'_>, ask: &Ask<'_>, live: Result<&Value, &ReadError>) -> String {
    let key = ask.key;
    let facts = &subject.inputs.facts;
    let value = match live {
        Ok(live) => ask.proposal(live),
        Err(ReadError::Absent(_)) if facts.kernel < key.kernel => {
            return format!(
                "nothing: kernel {} does not have it, {} does",
                facts.kernel, key.kernel
            );
        }
        Err(ReadError::Absent(_)) if key.scope == Scope::Host => {
            return "look at it from the host: this namespace does not show it".to_owned();
        }
        Err(_) => return "find out why it cannot be read".to_owned(),
    };
    let restart =
        if key.at_listen { ", then restart the gateway: it is read at listen()" } else { "" };
    match key.kind {
        Kind::Sysctl => {
            format!("throng-tune apply, or: sysctl -w {}=\"{value}\"{restart}", key.name)
        }
        Kind::Limit => {
            format!("throng-tune apply, or {}={value} in the unit", directive(&key.name))
        }
        Kind::Sysfs if key.apply => format!("throng-tune apply, or: echo {value} > {}", key.name),
        Kind::Sysfs => format!("find out why it is not one of them; {}", key.risk),
        Kind::Boot => format!("{}={value} on the kernel's command line", key.name),
    }
}
