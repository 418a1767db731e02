//! `throng-tune emit` and `throng-tune explain`

use std::io::Write;

use throng_tune::emit::Page;
use throng_tune::exit::{Exit, Fatal};
use throng_tune::explain;
use throng_tune::host::Process;
use throng_tune::profile::{Profile, Role};

use super::arguments::{EmitOptions, ExplainOptions};
use super::context::Context;

pub(crate) fn run(options: &EmitOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let context = Context::new(&options.host, Process::this())?;
    let sheet = context.sheet()?;
    if !sheet.holds() {
        write!(out, "{}", sheet.text(false).unwrap_or_default())?;
        return Ok(Exit::WouldFail);
    }
    let page = Page::new(&sheet, options.host.lower_defaults);
    write!(out, "{}", page.text(options.format))?;
    Ok(Exit::Fine)
}

pub(crate) fn explain(options: &ExplainOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let wrong = |error: throng_tune::profile::ProfileError| {
        Fatal::new(Exit::Configuration, error.to_string())
    };
    let Some(name) = &options.key else {
        let profiles: Result<Vec<_>, _> = Role::ALL.into_iter().map(Profile::of).collect();
        write!(out, "{}", explain::markdown(&profiles.map_err(wrong)?))?;
        return Ok(Exit::Fine);
    };
    let profile = Profile::of(options.role).map_err(wrong)?;
    let role = options.role;
    let text = explain::key(&profile, name).ok_or_else(|| {
        Fatal::new(Exit::Usage, format!("the {role} profile says nothing of {name}"))
    })?;
    write!(out, "{text}")?;
    Ok(Exit::Fine)
}
