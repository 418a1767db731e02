//! The command line: what it says, and which part of the library does it.

mod apply;
mod arguments;
mod check;
mod context;
mod emit;
mod plan;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;
use throng_tune::exit::{Exit, Fatal};

use arguments::{Arguments, Command};

/// Parses `arguments` and does what they say; the output goes to `out`.
pub(crate) fn run(
    arguments: impl Iterator<Item = OsString>,
    out: &mut impl Write,
) -> Result<Exit, Fatal> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // Help and version are asked for; everything else is a mistake.
        Err(error) if !error.use_stderr() => {
            write!(out, "{error}")?;
            return Ok(Exit::Fine);
        }
        Err(error) => {
            let _ = write!(io::stderr(), "{error}");
            return Ok(Exit::Usage);
        }
    };
    match arguments.command {
        Command::Plan(options) => plan::run(&options, out),
        Command::Check(options) => check::run(&options, out),
        Command::Emit(options) => emit::run(&options, out),
        Command::Explain(options) => emit::explain(&options, out),
        Command::Watch(options) => watch::run(&options, out),
        Command::Apply(options) => apply::run(&options, out),
        Command::Rollback(options) => apply::run_back(&options, out),
    }
}
