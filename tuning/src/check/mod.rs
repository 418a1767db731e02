//! A host beside its plan. Reads only.
//!
//! Every statement is a [`Finding`] with a level. A larger default is never a fault; what cannot be
//! read never passes; what the plan cannot do without and what would merely be better are apart.

mod conditions;
mod files;
mod keys;
pub mod report;

use serde::Serialize;

use crate::exit::Exit;
use crate::host::{Host, Process};
use crate::plan::budget::largest_that_fits;
use crate::plan::render::binary;
use crate::plan::{Budget, Inputs};
use crate::profile::Profile;
use crate::profile::ask::{Ask, AskError};
use crate::value::grouped;

pub use keys::live_value;

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As asked, or better.
    Good,
    /// Something to know; nothing to do.
    Note,
    /// The plan holds, but this should be better.
    Advice,
    /// It has to be known, and cannot be read.
    Unreadable,
    /// The plan would fail.
    Fails,
}

/// One statement about the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub subject: String,
    /// What it means.
    pub level: Level,
    /// What is there.
    pub live: String,
    /// What is asked.
    pub asked: String,
    /// Why it is asked.
    pub why: String,
    /// What to do.
    pub action: String,
    /// What shows the need.
    pub counter: String,
}

impl Finding {
    /// Of something that has neither a value to be asked for nor a counter of its own.
    fn of(subject: &str, level: Level, live: String, why: &str, action: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            level,
            live,
            asked: String::new(),
            why: why.to_owned(),
            action: action.to_owned(),
            counter: String::new(),
        }
    }
}

/// What is compared with what.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The host.
    pub host: &'a Host,
    /// Whose limits and control groups count.
    pub process: Process,
    /// What is asked of it.
    pub profile: &'a Profile,
    /// For which plan.
    pub inputs: &'a Inputs,
    /// Asks for values below the kernel's own, too.
    pub lower_defaults: bool,
    /// When keys that are read at listen() were last written by this program, in seconds since the
    /// epoch.
    pub applied_s: Option<u64>,
    /// An apply or rollback did not come to its end.
    pub is_unfinished: bool,
}

/// Looks at everything.
///
/// # Errors
/// A formula of the profile has no value for this plan.
pub fn check(subject: &Subject<'_>) -> Result<Vec<Finding>, AskError> {
    let (memory, asks) = memory_and_asks(subject)?;
    let mut findings = vec![memory];
    findings.extend(kernel(subject));
    findings.extend(resources(subject)?);
    findings.extend(asks.iter().map(|ask| keys::finding(subject, ask)));
    findings.extend(conditions::findings(subject));
    findings.extend(files::findings(subject, &asks));
    Ok(findings)
}

/// The exit code for all findings together: the worst one's.
#[must_use]
pub fn exit(findings: &[Finding]) -> Exit {
    match findings.iter().map(|finding| finding.level).max() {
        None | Some(Level::Good | Level::Note) => Exit::Fine,
        Some(Level::Advice) => Exit::Advice,
        Some(Level::Unreadable) => Exit::Unreadable,
        Some(Level::Fails) => Exit::WouldFail,
    }
}

/// Whether the budget fits; the keys are worked out for the most connections that do.
fn memory_and_asks<'a>(subject: &Subject<'a>) -> Result<(Finding, Vec<Ask<'a>>), AskError> {
    let Subject { profile, inputs, .. } = *subject;
    let budget = Budget::of(profile, inputs)?;
    let largest = largest_that_fits(profile, inputs)?;
    let holds = largest.map_or_else(|| "not even the program".to_owned(), grouped);
    let finding = Finding {
        subject: "memory".to_owned(),
        level: if budget.fits() { Level::Good } else { Level::Fails },
        live: format!("{}, for {holds} connections", binary(budget.memory_bytes)),
        asked: binary(budget.total_bytes()),
        why: "program, slab, queued data, page cache and a reserve have to fit together".to_owned(),
        action: format!(
            "plan for {holds} connections, or give it more memory; `plan` has the parts"
        ),
        counter: "MemAvailable in /proc/meminfo; oom_kill in /proc/vmstat".to_owned(),
    };
    let judged = inputs.connections.min(largest.unwrap_or(0));
    let variables = inputs.with_connections(judged).variables(profile)?;
    Ok((finding, profile.ask(&variables)?))
}

fn kernel(subject: &Subject<'_>) -> Option<Finding> {
    let first = subject.profile.kernel?;
    let kernel = subject.inputs.facts.kernel;
    Some(Finding {
        subject: "kernel".to_owned(),
        level: if kernel >= first { Level::Good } else { Level::Fails },
        live: kernel.to_string(),
        asked: first.to_string(),
        why: "an older one lacks what shards use of io_uring".to_owned(),
        action: "a newer kernel".to_owned(),
        counter: "the log says that it runs over epoll, and why".to_owned(),
    })
}

fn resources(subject: &Subject<'_>) -> Result<Vec<Finding>, AskError> {
    let variables = subject.inputs.variables(subject.profile)?;
    let finding = |resource: &crate::profile::Resource| {
        let need = resource.need.value(&variables)?;
        let have = resource.have.value(&variables)?;
        Ok(Finding {
            subject: resource.name.clone(),
            level: if need <= have { Level::Good } else { Level::Fails },
            live: format!("{have}"),
            asked: format!("{need:.2}").trim_end_matches(".00").to_owned(),
            why: resource.why.clone(),
            action: resource.action.clone(),
            counter: resource.counter.clone(),
        })
    };
    subject.profile.resources.iter().map(finding).collect()
}
