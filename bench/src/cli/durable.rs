//! `throng-bench durable`: messages a second through the owner and the embedded store.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use throng_bench::durable::{self, DurablePlan};

use super::{Exit, Failure, write_json};

/// Durable messages a second through the owner and the embedded store
#[derive(Args, Debug)]
pub(crate) struct DurableArguments {
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
}

pub(crate) fn main(arguments: DurableArguments) -> Result<Exit, Failure> {
    let DurableArguments { conversations, in_flight, text_bytes, secs, no_sync, parent, json } =
        arguments;
    let sync = !no_sync;
    let plan = DurablePlan { conversations, in_flight, text_bytes, seconds: secs, sync };
    let result = durable::run(&plan, &parent)?;
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
    Ok(Exit::Pass)
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
