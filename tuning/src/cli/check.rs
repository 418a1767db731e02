//! `throng-tune check`

use std::io::Write;

use throng_tune::check::{self, Subject, report};
use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::Process;

use super::arguments::CheckOptions;
use super::context::{Context, wrong_profile};

pub(crate) fn run(options: &CheckOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let process = options.pid.map_or_else(Process::this, Process::of);
    let context = Context::new(&options.host, process)?;
    let subject = Subject {
        host: &context.host,
        process: context.process.clone(),
        profile: &context.profile,
        inputs: &context.inputs,
        lower_defaults: options.host.lower_defaults,
        applied_s: None,
    };
    let findings = check::check(&subject).map_err(|error| wrong_profile(&error))?;
    if options.json {
        report::json(out, &findings)?;
    } else {
        report::text(out, &findings)?;
    }
    Ok(check::exit(&findings))
}
