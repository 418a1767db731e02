//! `throng-bench`: measures Throng's parts and the gateway as a whole. See docs/benchmarks.md.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;
use throng_bench::durable::{self, DurablePlan};
use throng_bench::host::Host;
use throng_bench::idle::{self, IdlePlan};
use throng_bench::limits::{IDLE_KERNEL_BYTES_MAX, IDLE_USER_BYTES_MAX};
use throng_bench::peers::{self, PeersPlan, Progress};

/// Exit code of a measurement that is above its limit.
const EXIT_ABOVE_LIMIT: u8 = 99;

/// Exit code of a measurement that could not be made.
const EXIT_ENVIRONMENT: u8 = 69;

#[derive(Parser)]
#[command(version, about = "Measures Throng's parts and the gateway as a whole")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Memory of idle established connections, user and kernel; fails above the limits
    Idle {
        /// Connections measured
        #[arg(long, default_value_t = 15_000)]
        connections: usize,
        /// Seconds of silence before the reading
        #[arg(long, default_value_t = 15)]
        settle: u64,
        /// Also write the result as JSON
        #[arg(long)]
        json: Option<PathBuf>,
        /// Further arguments for the gateway, after `--`
        #[arg(last = true)]
        gateway: Vec<String>,
    },
    /// Durable messages a second through the owner and the embedded store
    Durable {
        /// Direct conversations, each with a sender of its own
        #[arg(long, default_value_t = 256)]
        conversations: usize,
        /// Sends under way at one time
        #[arg(long, default_value_t = 128)]
        in_flight: usize,
        /// Bytes of text in a message
        #[arg(long, default_value_t = 128)]
        text_bytes: usize,
        /// Seconds measured
        #[arg(long, default_value_t = 5.0)]
        secs: f64,
        /// Do not wait for the disk
        #[arg(long)]
        no_sync: bool,
        /// Where the data directory is made
        #[arg(long, default_value = ".")]
        parent: PathBuf,
        /// Also write the result as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The gateway's echo beside other servers', interleaved, one pinned core each
    Peers {
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
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "throng-bench: {error}");
            ExitCode::from(EXIT_ENVIRONMENT)
        }
    }
}

fn run(command: Command) -> io::Result<ExitCode> {
    let mut out = io::stdout();
    writeln!(out, "{}", Host::read().line())?;
    match command {
        Command::Idle { connections, settle, json, gateway } => {
            let settle = Duration::from_secs(settle);
            run_idle(&IdlePlan { connections, settle, gateway_arguments: gateway }, json)
        }
        Command::Durable { conversations, in_flight, text_bytes, secs, no_sync, parent, json } => {
            let sync = !no_sync;
            let plan = DurablePlan { conversations, in_flight, text_bytes, seconds: secs, sync };
            run_durable(&plan, &parent, json)
        }
        Command::Peers { connections, secs, rounds, only, case, markdown, json } => {
            let plan = PeersPlan { connections, seconds: secs, rounds, only, cases: case };
            run_peers(&plan, json, markdown)
        }
    }
}

fn run_idle(plan: &IdlePlan, json: Option<PathBuf>) -> io::Result<ExitCode> {
    let result = idle::run(plan)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "idle connections {}: user {:.0} B each (limit {IDLE_USER_BYTES_MAX:.0}), \
         kernel {:.0} B each (limit {IDLE_KERNEL_BYTES_MAX:.0}); generator's end {:.0} B",
        result.connections, result.user_bytes, result.kernel_bytes, result.generator_kernel_bytes
    )?;
    write_json(json, &result)?;
    Ok(if result.passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ABOVE_LIMIT) })
}

fn run_durable(plan: &DurablePlan, parent: &Path, json: Option<PathBuf>) -> io::Result<ExitCode> {
    let result = durable::run(plan, parent)?;
    let mut out = io::stdout();
    let [p50, p99, p999, max] = result.latency_us;
    writeln!(
        out,
        "{} conversations, {} under way, {} B, sync {}: {:.0} messages/s, {:.1} us of processor \
         each; send to ack p50 {p50} p99 {p99} p99.9 {p999} max {max} us",
        plan.conversations, plan.in_flight, plan.text_bytes, plan.sync, result.rate, result.cpu_us
    )?;
    print_buckets(&mut out, "rows per commit", &result.rows_per_commit)?;
    print_buckets(&mut out, "us per commit", &result.commit_us)?;
    write_json(json, &result)?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each bucket, with a bar for its share.
fn print_buckets(
    out: &mut impl Write,
    title: &str,
    buckets: &[(Option<u64>, u64)],
) -> io::Result<()> {
    let all: u64 = buckets.iter().map(|(_, commits)| commits).sum();
    writeln!(out, "{title}:")?;
    for (bound, commits) in buckets {
        let bound = bound.map_or_else(|| "more".to_owned(), |bound| format!("<= {bound}"));
        let bar = "#".repeat(usize::try_from(commits * 50 / all.max(1)).unwrap_or(0));
        writeln!(out, "  {bound:>10} {commits:>8} {bar}")?;
    }
    Ok(())
}

fn run_peers(plan: &PeersPlan, json: Option<PathBuf>, markdown: bool) -> io::Result<ExitCode> {
    let comparison = peers::run(plan, &mut |progress| {
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
    Ok(if comparison.passed() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ABOVE_LIMIT) })
}

fn write_json(path: Option<PathBuf>, result: &impl Serialize) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(result)?)
}
