//! `throng-edge`: reads its configuration, runs, and ends with a code from [`throng_edge::exit`].

use std::io::Write;
use std::process::ExitCode;

use throng_edge::config::{self, Asked};
use throng_edge::exit::{Exit, Fatal};
use throng_edge::process;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = match config::read(std::env::args_os()) {
        Ok(Asked::Print(text)) => print(&text),
        Ok(Asked::Run(settings)) => process::run(*settings).map_or_else(report, |()| Exit::Done),
        Err(fatal) => report(fatal),
    };
    ExitCode::from(exit as u8)
}

fn print(text: &str) -> Exit {
    // A reader that went away is not our fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Done
}

fn report(fatal: Fatal) -> Exit {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "throng-edge: {fatal}");
    fatal.exit
}
