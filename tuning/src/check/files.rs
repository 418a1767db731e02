//! What files and earlier calls say about keys: fights, settings that do damage, values that the
//! next boot brings, and keys that a running gateway has read before they were changed.

use super::{Finding, Level, Subject};
use crate::host::{Assignment, SysctlFiles};
use crate::profile::Kind;
use crate::profile::ask::Ask;
use crate::value::Value;

pub(super) fn findings(subject: &Subject<'_>, asks: &[Ask<'_>]) -> Vec<Finding> {
    let files = SysctlFiles::read(subject.host);
    let mut findings = Vec::new();
    for ask in asks.iter().filter(|ask| ask.key.kind == Kind::Sysctl) {
        findings.extend(fight(&files, &ask.key.name));
        findings.extend(at_boot(subject, &files, ask));
    }
    findings.extend(subject.profile.left.iter().filter(|left| left.harmful).filter_map(|left| {
        let set = files.winner(&left.name)?;
        Some(Finding::of(&left.name, Level::Advice, place(set), &left.why, "take the line out"))
    }));
    findings.extend(stale_listener(subject, asks));
    if subject.is_unfinished {
        let why = "a crash or a refusal left some values as planned and others as before";
        let live = "begun and not ended".to_owned();
        let action = "throng-tune apply goes on, throng-tune rollback goes back";
        findings.push(Finding::of("apply", Level::Advice, live, why, action));
    }
    findings
}

fn place(assignment: &Assignment) -> String {
    let Assignment { file, line, value, .. } = assignment;
    format!("{file}:{line} sets {value}")
}

fn fight(files: &SysctlFiles, key: &str) -> Option<Finding> {
    let fight = files.fight(key)?;
    let live = format!("{}; {}, and wins", place(&fight.loser), place(&fight.winner));
    let why = "the file that comes later decides at the next boot, whatever the other one was for";
    Some(Finding::of(key, Level::Advice, live, why, "leave the key to one file"))
}

/// What the next boot makes of a key that is right now.
fn at_boot(subject: &Subject<'_>, files: &SysctlFiles, ask: &Ask<'_>) -> Option<Finding> {
    let set = files.winner(&ask.key.name)?;
    let value = Value::parse(&set.value);
    let live = Value::parse(&subject.host.sysctl(&ask.key.name).ok()?);
    if ask.is_met(&value) || !ask.is_met(&live) {
        return None;
    }
    let is_told = ask.key.lowers && !subject.lower_defaults;
    let level = if is_told { Level::Note } else { Level::Advice };
    let live = format!("now {live}; {}", place(set));
    Some(Finding::of(
        &ask.key.name,
        level,
        live,
        "the next boot takes the right value away",
        "change that line",
    ))
}

fn stale_listener(subject: &Subject<'_>, asks: &[Ask<'_>]) -> Option<Finding> {
    let key = asks.iter().find(|ask| ask.key.at_listen)?.key;
    if !subject.process.is_named() {
        return None;
    }
    let started_s = subject.process.started_s(subject.host).ok()?;
    let applied_s = subject.applied_s.filter(|applied_s| *applied_s > started_s)?;
    let live = format!("written {} s after the process started", applied_s - started_s);
    let why = "it is read at listen(): the running process has the old value";
    Some(Finding::of(&key.name, Level::Advice, live, why, "restart the gateway"))
}
