//! `throng-tune check`

use std::io::Write;

use throng_tune::apply::{ApplyError, HostStorage, Journal, State};
use throng_tune::check::{self, Subject, report};
use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::Process;
use throng_tune::profile::Profile;

use super::arguments::CheckOptions;
use super::context::{Context, wrong_profile};

pub(crate) fn run(options: &CheckOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let process = options.pid.map_or_else(Process::this, Process::of);
    let context = Context::new(&options.host, process)?;
    let journal = match Journal::load(&HostStorage::new(&context.host)) {
        Ok(journal) => journal,
        // Who is not root may not be shown it; everything else can be judged without.
        Err(ApplyError::Storage { .. }) => None,
        Err(error) => return Err(Fatal::new(Exit::Configuration, error.to_string())),
    };
    let subject = Subject {
        host: &context.host,
        process: context.process.clone(),
        profile: &context.profile,
        inputs: &context.inputs,
        lower_defaults: options.host.lower_defaults,
        applied_s: journal.as_ref().and_then(|journal| applied_s(journal, &context.profile)),
        is_unfinished: journal.is_some_and(|journal| journal.state != State::Applied),
    };
    let findings = check::check(&subject).map_err(|error| wrong_profile(&error))?;
    if options.json {
        report::json(out, &findings)?;
    } else {
        report::text(out, &findings)?;
    }
    Ok(check::exit(&findings))
}

/// When a key that is read at listen() was written, if it was.
fn applied_s(journal: &Journal, profile: &Profile) -> Option<u64> {
    let at_listen = profile.keys.iter().filter(|key| key.at_listen);
    let mut paths = at_listen.filter_map(throng_tune::profile::Key::path);
    paths.any(|path| journal.before(&path).is_some()).then_some(journal.begun_s)
}
