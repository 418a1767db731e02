//! `throng-tune`: whether this host can hold what a gateway is planned to hold.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use throng_tune::check::{Finding, Plan, Verdict, check};
use throng_tune::live::Host;
use throng_tune::profile::{Profile, Severity};

/// Exit code when the plan may hold, at a price.
const EXIT_WARNING: u8 = 1;

/// Exit code when the plan does not hold.
const EXIT_FAULT: u8 = 2;

#[derive(Parser)]
#[command(version, about = "Checks whether a host can hold what a gateway is planned to hold")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare this host with what the plan needs; changes nothing
    Check {
        /// Connections that the gateway should hold
        #[arg(long, default_value_t = 15_000)]
        connections: u64,
        /// Shards of the gateway (--shards)
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        shards: u64,
    },
}

fn main() -> ExitCode {
    let Command::Check { connections, shards } = Arguments::parse().command;
    match run(Plan { connections, shards }) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "throng-tune: {error}");
            ExitCode::from(EXIT_FAULT)
        }
    }
}

fn run(plan: Plan) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let profile = Profile::edge()?;
    let findings = check(&profile, plan, &Host::this())?;
    let mut out = io::stdout();
    for finding in &findings {
        print(&mut out, finding)?;
    }
    let worst = findings.iter().filter_map(|finding| match finding.verdict {
        Verdict::Wrong(severity) => Some(severity),
        Verdict::Good | Verdict::Absent => None,
    });
    Ok(match worst.max() {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(EXIT_WARNING),
        Some(Severity::Fault) => ExitCode::from(EXIT_FAULT),
    })
}

fn print(out: &mut impl Write, finding: &Finding<'_>) -> io::Result<()> {
    let key = finding.key;
    let word = match finding.verdict {
        Verdict::Good => "good",
        Verdict::Wrong(Severity::Warning) => "warning",
        Verdict::Wrong(Severity::Fault) => "FAULT",
        Verdict::Absent => "absent",
    };
    let live = match finding.live {
        None => "not on this host".to_owned(),
        Some(f64::MAX) => "unlimited".to_owned(),
        Some(live) => format!("{live:.0}"),
    };
    writeln!(out, "{word:<8} {:<32} {live} (asked: {:.0})", key.name, finding.asked)?;
    if matches!(finding.verdict, Verdict::Wrong(_)) {
        writeln!(out, "         why: {}", key.why)?;
        writeln!(out, "         do: {}", key.action)?;
        writeln!(out, "         shows in: {}", key.counter)?;
    }
    Ok(())
}
