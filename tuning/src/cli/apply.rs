//! `throng-tune apply` and `throng-tune rollback`

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use throng_tune::apply::{
    ApplyError, Change, ChangeKind, HostStorage, Journal, Report, apply, prepare, rollback,
};
use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::{Host, Process};
use throng_tune::profile::Kind;

use super::arguments::{ApplyOptions, RollbackOptions};
use super::context::{Context, wrong_profile};

pub(crate) fn run(options: &ApplyOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let context = Context::new(&options.host, Process::this())?;
    let sheet = context.sheet()?;
    if !sheet.holds() {
        write!(out, "{}", sheet.text(false).unwrap_or_default())?;
        return Ok(Exit::WouldFail);
    }
    let host = &context.host;
    let asks = context.asks().map_err(|error| wrong_profile(&error))?;
    let lock = if options.dry_run { None } else { Some(HostStorage::lock(host).map_err(no_lock)?) };
    let mut storage = HostStorage::new(host);
    let journal = Journal::load(&storage).map_err(refused)?;
    let lower = options.host.lower_defaults;
    let changes = prepare(host, &context.profile, &asks, journal.as_ref(), options.scope, lower);
    if options.dry_run {
        show(out, &changes)?;
        return Ok(Exit::Fine);
    }
    let report =
        apply(&mut storage, &changes, &host.network_namespace(), now_s()).map_err(refused)?;
    drop(lock);
    tell(out, &report)?;
    for change in sheet.changes.iter().filter(|change| change.ask.key.kind == Kind::Boot) {
        if let Some(value) = change.proposal(lower) {
            writeln!(out, "by hand: {}={value} on the kernel's command line", change.ask.key.name)?;
        }
    }
    if report.written.iter().any(|path| path.contains("/systemd/")) {
        writeln!(out, "now: systemctl daemon-reload, and restart {}", context.profile.unit)?;
    }
    Ok(Exit::Fine)
}

pub(crate) fn run_back(options: &RollbackOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let host = Host::at(&options.root);
    if !host.has(throng_tune::apply::STATE_DIRECTORY) {
        writeln!(out, "nothing was applied")?;
        return Ok(Exit::Fine);
    }
    let _lock = HostStorage::lock(&host).map_err(no_lock)?;
    let report =
        rollback(&mut HostStorage::new(&host), &host.network_namespace()).map_err(refused)?;
    tell(out, &report)?;
    Ok(Exit::Fine)
}

fn no_lock(error: std::io::Error) -> Fatal {
    let place = throng_tune::apply::STATE_DIRECTORY;
    Fatal::new(Exit::NotChanged, format!("{place}: {error}; changing a host needs root"))
}

fn refused(error: ApplyError) -> Fatal {
    let exit = match error {
        ApplyError::Journal { .. } => Exit::Configuration,
        ApplyError::Storage { .. }
        | ApplyError::OtherNamespace { .. }
        | ApplyError::PutBack { .. }
        | ApplyError::HalfWay { .. } => Exit::NotChanged,
    };
    Fatal::new(exit, error.to_string())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn show(out: &mut impl Write, changes: &[Change]) -> Result<(), Fatal> {
    for Change { path, kind, old, new } in changes {
        let new = new.as_deref().unwrap_or_default();
        match kind {
            ChangeKind::Kernel => {
                let old = old.as_deref().unwrap_or_default();
                writeln!(out, "write {path}: {old} -> {new}")?;
            }
            ChangeKind::File => {
                writeln!(out, "{} {path}:", if old.is_some() { "replace" } else { "create" })?;
                for line in new.lines() {
                    writeln!(out, "    {line}")?;
                }
            }
        }
    }
    writeln!(out, "{} writes; nothing was written", changes.len())?;
    Ok(())
}

fn tell(out: &mut impl Write, report: &Report) -> Result<(), Fatal> {
    for path in &report.written {
        writeln!(out, "written: {path}")?;
    }
    for path in &report.vanished {
        writeln!(out, "no longer there: {path}")?;
    }
    for (path, value) in &report.overwritten {
        writeln!(out, "had been changed by another to {value:?}: {path}")?;
    }
    writeln!(out, "{} written", report.written.len())?;
    Ok(())
}
