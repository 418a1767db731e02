//! `throng-bench` without arguments: half a minute with a gateway of its own, and the few figures
//! that matter.

use std::io::{self, Write};

use clap::{Args, Command, FromArgMatches};
use throng_bench::gateway::{Server, beside};
use throng_bench::outcome::Outcome;
use throng_bench::outcome::format::{bytes, count, time_us};

use super::echo::EchoArguments;
use super::flood::FloodArguments;
use super::run::RunArguments;
use super::{Exit, Failure};

/// Connections and arrivals a second of the small flood.
const FLOOD: (u32, f64) = (5_000, 1_000.0);

/// Connections of the echo runs.
const CONNECTIONS: u32 = 100;

/// Messages a second of the open loop.
const RATE: f64 = 2_000.0;

pub(crate) fn main() -> Result<Exit, Failure> {
    let mut out = io::stdout();
    writeln!(out, "A gateway on this machine, half a minute of load. See --help for more.\n")?;
    let flood = flood()?;
    let [closed, open] = echoes()?;
    writeln!(out, "\n{} connections opened at {}/s, held for 5 s:", flood.established, FLOOD.1)?;
    line("failed", &count(flood.failed.values().sum()))?;
    if let Some(times) = flood.latency_us.get("establish") {
        line("until usable, p50 and p99", &both(times.p50, times.p99))?;
    }
    if let Some(server) = &flood.server {
        line("memory each, server", &bytes(server.user_bytes_per_connection))?;
        line("kernel memory each, server", &bytes(server.kernel_bytes_per_connection))?;
    }
    let rate = closed.figures.get("messages_per_second").copied().unwrap_or_default();
    writeln!(out, "echo of 64 B over {CONNECTIONS} connections:")?;
    line("as fast as they come back", &format!("{}/s", count(rate as u64)))?;
    if let Some(cpu) = closed.figures.get("server_cpu_us") {
        line("server's processor time each", &time_us(*cpu))?;
    }
    if let Some(times) = open.latency_us.get("echo") {
        line(&format!("at {RATE}/s, p50 and p99"), &both(times.p50, times.p99))?;
    }
    let runs = [&flood, &closed, &open];
    for reason in runs.iter().flat_map(|run| &run.invalid) {
        line("not to be believed", reason)?;
    }
    Ok(if runs.iter().all(|run| run.valid) { Exit::Pass } else { Exit::Invalid })
}

fn line(name: &str, value: &str) -> io::Result<()> {
    writeln!(io::stdout(), "  {name:<32} {value}")
}

fn both(p50: f64, p99: f64) -> String {
    format!("{}, {}", time_us(p50), time_us(p99))
}

fn flood() -> Result<Outcome, Failure> {
    let data = tempfile::Builder::new().prefix("throng-bench-").tempdir()?;
    let data_path = data.path().display().to_string();
    let gateway = gateway(&["--data", &data_path])?;
    let run = arguments(&gateway, "/v1/ws")?;
    FloodArguments::simple(run, FLOOD.0, FLOOD.1, "5s").measure()
}

fn echoes() -> Result<[Outcome; 2], Failure> {
    let gateway = gateway(&["--echo"])?;
    let measure = |rate| {
        let run = arguments(&gateway, "/")?;
        EchoArguments::simple(run, CONNECTIONS, rate, 5.0).measure()
    };
    Ok([measure(None)?, measure(Some(RATE))?])
}

fn gateway(further: &[&str]) -> Result<Server, Failure> {
    let mut all = vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shards", "1"];
    all.extend(further);
    Ok(Server::start(&beside("throng-edge")?, &all, None)?)
}

/// The defaults of a run against a gateway, by the parser itself.
fn arguments(gateway: &Server, path: &str) -> Result<RunArguments, Failure> {
    let url = format!("ws://{}{path}", gateway.address);
    let pid = gateway.pid().to_string();
    let given = ["tour", "--url", &url, "--server-pid", &pid, "--lateness-max", "50ms"];
    let command = RunArguments::augment_args(Command::new("tour"));
    let matches = command.try_get_matches_from(given).map_err(Failure::usage)?;
    RunArguments::from_arg_matches(&matches).map_err(Failure::usage)
}
