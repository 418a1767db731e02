//! `throng-bench peers`: the gateway's echo beside other servers'.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use throng_bench::peers::{self, PeersPlan, Progress};

use super::{Exit, Failure, write_json};

/// The gateway's echo beside other servers', interleaved, one pinned core each
#[derive(Args, Debug)]
pub(crate) struct PeersArguments {
    /// Connections of every case
    #[arg(long, default_value_t = 500)]
    connections: usize,
    /// Seconds per round
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// Rounds per case and server
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these servers, beside Throng
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only cases whose name contains one of these
    #[arg(long)]
    case: Vec<String>,
    /// Print the tables as one document at the end
    #[arg(long)]
    markdown: bool,
    /// Also write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn main(arguments: PeersArguments) -> Result<Exit, Failure> {
    let PeersArguments { connections, secs, rounds, only, case, markdown, json } = arguments;
    let plan = PeersPlan { connections, seconds: secs, rounds, only, cases: case };
    let comparison = peers::run(&plan, &mut |progress| {
        let _ = match progress {
            Progress::Building(step) => writeln!(io::stderr(), "{step}"),
            Progress::Round(case, server, round) => writeln!(
                io::stderr(),
                "{case}: {server} {:.3} us each, {:.1} k/s, server {:.0} % busy",
                round.server_cpu_us,
                round.rate / 1e3,
                round.server_busy * 100.0
            ),
            Progress::Case(result) if !markdown => {
                let mut table = String::new();
                result.markdown(&mut table);
                writeln!(io::stdout(), "{table}")
            }
            Progress::Case(_) => Ok(()),
        };
    })?;
    if markdown {
        writeln!(io::stdout(), "{}", comparison.markdown())?;
    }
    write_json(json, &comparison)?;
    Ok(if comparison.passed() { Exit::Pass } else { Exit::Threshold })
}
