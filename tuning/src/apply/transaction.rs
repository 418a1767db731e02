//! Making changes, and taking them back, so that a crash leaves what the next call can end.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use super::journal::{Change, ChangeKind, JOURNAL_FILE, Journal, STATE_DIRECTORY, State};
use super::storage::Storage;
use crate::value::Value;

/// Why a host was not changed, or not wholly.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The record is not one that this program can read; nothing was changed by this call.
    #[error("the record {JOURNAL_FILE}: {cause}")]
    Journal {
        /// The reader's words.
        cause: String,
    },
    /// The record cannot be read from disk or written there; no value was changed by this call.
    #[error("the record {JOURNAL_FILE}: {cause}")]
    Storage {
        /// The kernel's words.
        cause: String,
    },
    /// The same keys have other values here; nothing was changed by this call.
    #[error(
        "the values of the network namespace {recorded} were changed, and this is {here}: run it \
         there (nsenter, ip netns exec); if that one is gone, so are its values: remove \
         {JOURNAL_FILE}"
    )]
    OtherNamespace {
        /// Where it was applied.
        recorded: String,
        /// Where this process is.
        here: String,
    },
    /// A change was refused, and everything was put back.
    #[error("{path}: {cause}; everything is as it was before")]
    PutBack {
        /// Whose.
        path: String,
        /// The kernel's words.
        cause: String,
    },
    /// A change was refused, and so was a way back: `rollback` tries again.
    #[error("{path}: {cause}; not everything could be put back: run throng-tune rollback")]
    HalfWay {
        /// Whose.
        path: String,
        /// The kernel's words.
        cause: String,
    },
}

/// What a call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Paths that now hold something else.
    pub written: Vec<String>,
    /// Keys that were there when the plan was applied and are no more.
    pub vanished: Vec<String>,
    /// Paths that somebody else had changed since, with what they held.
    pub overwritten: Vec<(String, String)>,
}

/// Makes the changes `wanted` in this network namespace, whose `old` is what it holds now. What an
/// earlier call changed keeps the old value of that call; what only that call wanted goes back.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(
    storage: &mut impl Storage,
    wanted: &[Change],
    network_namespace: &str,
    now_s: u64,
) -> Result<Report, ApplyError> {
    let earlier = load(storage, network_namespace)?;
    let changes = merged(earlier.as_ref(), wanted);
    if changes.iter().all(|change| change.old == change.new) {
        return rollback(storage, network_namespace);
    }
    let directories = directories(storage, earlier.as_ref(), &changes);
    let mut journal = Journal::new(network_namespace, now_s, changes, directories);
    journal.save(storage)?;
    let mut report = Report::default();
    if let Err((path, cause)) = make(storage, &journal, &mut report) {
        return Err(match rollback(storage, network_namespace) {
            Ok(_) => ApplyError::PutBack { path, cause },
            Err(_) => ApplyError::HalfWay { path, cause },
        });
    }
    journal.state = State::Applied;
    // What went back to its old value is no longer this program's.
    journal.changes.retain(|change| change.old != change.new);
    journal.save(storage)?;
    Ok(report)
}

/// Puts back what was before the first `apply`, whatever happened since. Does nothing where nothing
/// was applied.
///
/// # Errors
/// A value was refused; the record stays, and the next call tries again.
pub fn rollback(storage: &mut impl Storage, network_namespace: &str) -> Result<Report, ApplyError> {
    let mut report = Report::default();
    if let Some(mut journal) = load(storage, network_namespace)? {
        if journal.state != State::RollingBack {
            journal.state = State::RollingBack;
            journal.save(storage)?;
        }
        let refused = take_back(storage, &journal, &mut report);
        if let Some((path, cause)) = refused {
            return Err(ApplyError::HalfWay { path, cause });
        }
    }
    let told = |error: io::Error| ApplyError::Storage { cause: error.to_string() };
    storage.clear(JOURNAL_FILE).map_err(told)?;
    storage.remove_directory(STATE_DIRECTORY).map_err(told)?;
    Ok(report)
}

/// The record, if it is one of this network namespace.
fn load(storage: &impl Storage, here: &str) -> Result<Option<Journal>, ApplyError> {
    let journal = Journal::load(storage)?;
    match journal.as_ref().map(|journal| &journal.network_namespace) {
        Some(recorded) if recorded != here => {
            Err(ApplyError::OtherNamespace { recorded: recorded.clone(), here: here.to_owned() })
        }
        _ => Ok(journal),
    }
}

/// The changes from before the first call to what is wanted now.
fn merged(earlier: Option<&Journal>, wanted: &[Change]) -> Vec<Change> {
    let mut by_path: BTreeMap<&str, Change> = BTreeMap::new();
    for change in earlier.iter().flat_map(|journal| &journal.changes) {
        by_path.insert(&change.path, Change { new: change.old.clone(), ..change.clone() });
    }
    for change in wanted {
        let entry = by_path.entry(&change.path).or_insert_with(|| change.clone());
        entry.new.clone_from(&change.new);
    }
    // Kernel values first: what the kernel refuses must not wait for the next boot in a file.
    let (kernel, files): (Vec<_>, Vec<_>) =
        by_path.into_values().partition(|change| change.kind == ChangeKind::Kernel);
    kernel.into_iter().chain(files).collect()
}

/// Directories that the files need and this host did not have, outer ones first.
fn directories(
    storage: &impl Storage,
    earlier: Option<&Journal>,
    changes: &[Change],
) -> Vec<String> {
    let mut directories = earlier.map(|journal| journal.directories.clone()).unwrap_or_default();
    let files = changes.iter().filter(|change| change.kind == ChangeKind::File);
    for change in files.filter(|change| change.new.is_some()) {
        let ends = change.path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
        for directory in ends.map(|at| &change.path[..at]) {
            // Reading a directory fails otherwise than by its absence.
            let is_absent = matches!(storage.read(directory), Ok(None));
            if is_absent && !directories.iter().any(|known| known == directory) {
                directories.push(directory.to_owned());
            }
        }
    }
    directories
}

/// Whose change was refused, and why.
type Refusal = (String, String);

fn make(storage: &mut impl Storage, journal: &Journal, report: &mut Report) -> Result<(), Refusal> {
    for directory in &journal.directories {
        storage
            .make_directory(directory)
            .map_err(|error| (directory.clone(), error.to_string()))?;
    }
    for change in &journal.changes {
        let is_written = put(storage, change, change.new.as_deref())
            .map_err(|cause| (change.path.clone(), cause))?;
        match is_written {
            Some(true) => report.written.push(change.path.clone()),
            Some(false) => {}
            None if change.old == change.new => report.vanished.push(change.path.clone()),
            None => return Err((change.path.clone(), "the key is not there".to_owned())),
        }
    }
    // Keys can depend on each other: all are looked at once more when the last one is written.
    for change in &journal.changes {
        let live =
            storage.read(&change.path).map_err(|error| (change.path.clone(), error.to_string()))?;
        if live.is_some() != change.new.is_some()
            || !holds(change, live.as_deref(), change.new.as_deref())
        {
            return Err((change.path.clone(), "does not hold what was written".to_owned()));
        }
    }
    Ok(())
}

/// Goes on past what is refused, and returns the first of it.
fn take_back(
    storage: &mut impl Storage,
    journal: &Journal,
    report: &mut Report,
) -> Option<Refusal> {
    let mut refused = None;
    for change in journal.changes.iter().rev() {
        if let Ok(Some(live)) = storage.read(&change.path) {
            let is_known = [&change.new, &change.old]
                .into_iter()
                .any(|text| holds(change, Some(&live), text.as_deref()));
            if !is_known {
                report.overwritten.push((change.path.clone(), live.trim().to_owned()));
            }
        }
        match put(storage, change, change.old.as_deref()) {
            Ok(Some(true)) => report.written.push(change.path.clone()),
            Ok(Some(false)) => {}
            Ok(None) => report.vanished.push(change.path.clone()),
            Err(cause) => refused = refused.or(Some((change.path.clone(), cause))),
        }
    }
    for directory in journal.directories.iter().rev() {
        if let Err(error) = storage.remove_directory(directory) {
            refused = refused.or_else(|| Some((directory.clone(), error.to_string())));
        }
    }
    refused
}

/// Brings a path to a text. `Some(true)`: it was written; `Some(false)`: it held that already;
/// `None`: a key that this kernel does not have.
fn put(
    storage: &mut impl Storage,
    change: &Change,
    text: Option<&str>,
) -> Result<Option<bool>, String> {
    let live = storage.read(&change.path).map_err(|error| error.to_string())?;
    let holds_it = holds(change, live.as_deref(), text);
    match (change.kind, text) {
        (ChangeKind::Kernel, _) if live.is_none() => return Ok(None),
        (ChangeKind::Kernel, _) if holds_it => return Ok(Some(false)),
        (ChangeKind::Kernel, text) => set(storage, change, text.unwrap_or_default())?,
        // A replacement may have been left half done even where the file is right.
        (ChangeKind::File, Some(_)) if holds_it => {
            storage.sweep(&change.path).map_err(|error| error.to_string())?;
            return Ok(Some(false));
        }
        (ChangeKind::File, Some(text)) => {
            storage.replace(&change.path, text).map_err(|error| error.to_string())?;
        }
        (ChangeKind::File, None) => {
            storage.clear(&change.path).map_err(|error| error.to_string())?;
            return Ok(Some(live.is_some()));
        }
    }
    Ok(Some(true))
}

fn set(storage: &mut impl Storage, change: &Change, text: &str) -> Result<(), String> {
    storage.set(&change.path, text).map_err(|error| error.to_string())?;
    let live = storage.read(&change.path).map_err(|error| error.to_string())?;
    if holds(change, live.as_deref(), Some(text)) {
        return Ok(());
    }
    Err(format!("the kernel made {:?} of {text:?}", live.unwrap_or_default().trim()))
}

/// Whether a text says what another one says: files by their bytes, values by their meaning.
fn holds(change: &Change, live: Option<&str>, text: Option<&str>) -> bool {
    match (change.kind, live, text) {
        (ChangeKind::Kernel, Some(live), Some(text)) => {
            Value::parse_choice(live) == Value::parse_choice(text)
        }
        (_, live, text) => live == text,
    }
}
