//! `throng-tune`: what a host needs to hold what is planned, and how it gets there and back.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let exit = cli::run(std::env::args_os(), &mut out).unwrap_or_else(|fatal| {
        let _ = writeln!(io::stderr(), "throng-tune: {fatal}");
        fatal.exit
    });
    ExitCode::from(exit as u8)
}
