//! `report`: results as one HTML file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use throng_bench::outcome::read::read;
use throng_bench::report::{Entry, render};

use super::{Exit, Failure};

/// One self-contained HTML file from JSON results
#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    /// JSON results; several are drawn over each other
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, default_value = "report.html")]
    output: PathBuf,
}

pub(crate) fn main(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let entries =
        arguments.results.iter().map(|path| entry(path)).collect::<Result<Vec<_>, Failure>>()?;
    std::fs::write(&arguments.output, render(&entries)).map_err(|error| {
        Failure::Environment(format!("{}: {error}", arguments.output.display()))
    })?;
    writeln!(io::stdout(), "{}", arguments.output.display())?;
    Ok(Exit::Pass)
}

fn entry(path: &Path) -> Result<Entry, Failure> {
    let outcome = read(path).map_err(Failure::usage)?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Entry { name, outcome })
}
