//! `throng-tune plan`

use std::io::Write;

use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::Process;

use super::arguments::PlanOptions;
use super::context::Context;

pub(crate) fn run(options: &PlanOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let context = Context::new(&options.host, Process::this())?;
    let sheet = context.sheet()?;
    let told = |error| Fatal::new(Exit::NotChanged, format!("cannot write the plan: {error}"));
    write!(out, "{}", sheet.text(options.host.lower_defaults).map_err(told)?)?;
    Ok(if sheet.holds() { Exit::Fine } else { Exit::WouldFail })
}
