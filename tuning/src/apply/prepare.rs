//! From a plan to the exact writes: values of the running kernel, and the files that bring them
//! back at the next boot.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::ValueEnum;

use super::journal::{Change, ChangeKind, Journal};
use crate::host::{Host, directive, unit_limit};
use crate::profile::ask::Ask;
use crate::profile::{Asked, Kind, Profile, Scope};
use crate::value::{Value, Word};

const SYSCTL_FILE: &str = "/etc/sysctl.d/99-throng-tune.conf";
const MODULES_FILE: &str = "/etc/modules-load.d/throng-tune.conf";
const TMPFILES_FILE: &str = "/etc/tmpfiles.d/throng-tune.conf";
const DROP_IN: &str = "99-throng-tune.conf";

/// How much of a plan is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ApplyScope {
    /// Everything, for this boot and the next
    Host,
    /// The keys of this network namespace; nothing for the next boot, which it does not live to see
    Netns,
}

/// The writes that bring a host to what is asked, with what it holds now. Values that are right are
/// not touched. `journal`: what an earlier call found; its old values count as the host's own.
#[must_use]
pub fn prepare(
    host: &Host,
    profile: &Profile,
    asks: &[Ask<'_>],
    journal: Option<&Journal>,
    scope: ApplyScope,
    lower_defaults: bool,
) -> Vec<Change> {
    let is_wanted = |ask: &&Ask<'_>| {
        let is_ours = scope == ApplyScope::Host || ask.key.scope == Scope::Netns;
        ask.key.apply && is_ours && (lower_defaults || !ask.key.lowers)
    };
    let asks: Vec<_> = asks.iter().filter(is_wanted).collect();
    let values: Vec<_> = asks.iter().filter_map(|ask| kernel_value(host, journal, ask)).collect();
    let mut changes: Vec<_> = values.iter().map(|(_, change)| change.clone()).collect();
    if scope == ApplyScope::Host {
        let files = [
            (SYSCTL_FILE.to_owned(), sysctl_file(&values)),
            (MODULES_FILE.to_owned(), modules_file(&values)),
            (TMPFILES_FILE.to_owned(), tmpfiles_file(&values)),
            (
                format!("/etc/systemd/system/{}.d/{DROP_IN}", profile.unit),
                drop_in(host, profile, &asks),
            ),
        ];
        changes.extend(files.into_iter().filter_map(|(path, text)| {
            let old = host.read(&path).ok();
            Some(Change { path, kind: ChangeKind::File, old, new: Some(text?) })
        }));
    }
    changes
}

/// What is written for a key of the running kernel, if it is not right by itself.
fn kernel_value<'a, 'p>(
    host: &Host,
    journal: Option<&Journal>,
    ask: &'a Ask<'p>,
) -> Option<(&'a Ask<'p>, Change)> {
    let path = ask.key.path()?;
    let live = host.read(&path).ok()?;
    let old = match journal.and_then(|journal| journal.before(&path)?.old.clone()) {
        Some(old) => old,
        None if ask.key.kind == Kind::Sysfs => Value::parse_choice(&live).to_string(),
        None => live.trim().to_owned(),
    };
    let value = Value::parse_choice(&old);
    if ask.is_met(&value) {
        return None;
    }
    let new = Some(proposal_text(ask, &old, &value));
    Some((ask, Change { path, kind: ChangeKind::Kernel, old: Some(old), new }))
}

/// As [`Ask::proposal`], but columns that stay keep the kernel's own words.
fn proposal_text(ask: &Ask<'_>, old: &str, value: &Value) -> String {
    let proposal = ask.proposal(value);
    let mut own = old.split_whitespace();
    let words =
        proposal.0.iter().enumerate().map(|(index, word)| match (own.next(), value.0.get(index)) {
            (Some(own), Some(same)) if same == word => own.to_owned(),
            _ => word.to_string(),
        });
    words.collect::<Vec<_>>().join(" ")
}

type Written<'a, 'p> = (&'a Ask<'p>, Change);

fn sysctl_file(values: &[Written<'_, '_>]) -> Option<String> {
    let lines = values.iter().filter(|(ask, _)| ask.key.kind == Kind::Sysctl);
    text(lines.map(|(ask, change)| {
        let value = change.new.as_deref().unwrap_or_default();
        (ask.key.why.as_str(), format!("{} = {value}", ask.key.name))
    }))
}

/// A key of a module that loads after the sysctls are set would be passed over at boot.
fn modules_file(values: &[Written<'_, '_>]) -> Option<String> {
    let modules: BTreeSet<_> =
        values.iter().filter_map(|(ask, _)| ask.key.module.as_deref()).collect();
    let why = "Its sysctls are set at boot only if it is there by then.";
    text(modules.into_iter().map(|module| (why, module.to_owned())))
}

fn tmpfiles_file(values: &[Written<'_, '_>]) -> Option<String> {
    let lines = values.iter().filter(|(ask, _)| ask.key.kind == Kind::Sysfs);
    text(lines.map(|(ask, change)| {
        let value = change.new.as_deref().unwrap_or_default();
        (ask.key.why.as_str(), format!("w {} - - - - {value}", ask.key.name))
    }))
}

/// Limits are the service's, whatever this process has; a larger one of another file stays.
fn drop_in(host: &Host, profile: &Profile, asks: &[&Ask<'_>]) -> Option<String> {
    let lines = asks.iter().filter(|ask| ask.key.kind == Kind::Limit).filter_map(|ask| {
        let of_others = unit_limit(host, &profile.unit, &ask.key.name, Some(DROP_IN));
        let is_met = of_others.is_some_and(|word: Word| ask.is_met(&Value(vec![word])));
        let is_number = matches!(ask.key.columns[0].asked, Asked::Number(_));
        let line = format!("{}={}", directive(&ask.key.name), ask.value);
        (is_number && !is_met).then_some((ask.key.why.as_str(), line))
    });
    let lines = text(lines)?;
    Some(lines.replacen("\n\n", "\n\n[Service]\n", 1))
}

/// A file of lines with their reasons; `None` if there are no lines.
fn text<'a>(lines: impl Iterator<Item = (&'a str, String)>) -> Option<String> {
    let mut out =
        String::from("# Written by throng-tune apply; throng-tune rollback takes it back.\n\n");
    let head = out.len();
    for (why, line) in lines {
        let _ = writeln!(out, "# {why}\n{line}");
    }
    (out.len() > head).then_some(out)
}
