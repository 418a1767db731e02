//! `throng-bench` without arguments: half a minute with a gateway of its own, and the few figures
//! that matter.

use std::io::{self, Write};

use clap::{Args, Command};
use throng_bench::gateway::{Server, beside};
use throng_bench::outcome::Outcome;
use throng_bench::outcome::format::{bytes, count, time_us};

use super::chat::ChatArguments;
use super::echo::EchoArguments;
use super::flood::FloodArguments;
use super::{Exit, Failure};

/// Of the small flood: connections, arrivals a second, how long they are held.
const FLOOD: [&str; 3] = ["5000", "2000", "4s"];

/// Of the chat: users, messages a second, for how long.
const CHAT: [&str; 3] = ["200", "200", "5s"];

/// Of the echoes: connections, messages a second of the open loop, seconds.
const ECHO: [&str; 3] = ["100", "2000", "3"];

/// Lateness that a machine may have on which everything runs at once.
const LATENESS_MAX: &str = "50ms";

pub(crate) fn main() -> Result<Exit, Failure> {
    let mut out = io::stdout();
    writeln!(out, "A gateway on this machine, half a minute of load. See --help for more.\n")?;
    let [flood, chat] = with_store()?;
    let [closed, open] = echoes()?;
    writeln!(out)?;
    print_flood(&flood)?;
    print_chat(&chat)?;
    print_echo(&closed, &open)?;
    let runs = [&flood, &chat, &closed, &open];
    for reason in runs.iter().flat_map(|run| &run.invalid) {
        line("not to be believed", reason)?;
    }
    Ok(if runs.iter().all(|run| run.valid) { Exit::Pass } else { Exit::Invalid })
}

fn print_flood(flood: &Outcome) -> io::Result<()> {
    let [_, rate, hold] = FLOOD;
    let established = count(flood.established);
    writeln!(io::stdout(), "{established} connections opened at {rate}/s, held for {hold}:")?;
    line("failed", &count(flood.failed.values().sum()))?;
    line("until usable, p50 and p99", &p50_p99(flood, "establish"))?;
    let Some(server) = &flood.server else { return Ok(()) };
    line("memory each, server", &bytes(server.user_bytes_per_connection))?;
    if server.kernel_bytes_per_connection > 0.0 {
        line("kernel memory each, server", &bytes(server.kernel_bytes_per_connection))?;
    }
    Ok(())
}

fn print_chat(chat: &Outcome) -> io::Result<()> {
    let [users, rate, _] = CHAT;
    writeln!(io::stdout(), "chat of {users} users, {rate} messages/s, each synced to disk:")?;
    line("send to ack, p50 and p99", &p50_p99(chat, "ack"))?;
    line("send to delivery, p50 and p99", &p50_p99(chat, "deliver"))
}

fn print_echo(closed: &Outcome, open: &Outcome) -> io::Result<()> {
    let [connections, rate, _] = ECHO;
    writeln!(io::stdout(), "echo of 64 B over {connections} connections:")?;
    let figure = |name| closed.figures.get(name).copied().unwrap_or_default();
    let per_second = count(figure("messages_per_second") as u64);
    line("as fast as they come back", &format!("{per_second}/s"))?;
    line("server's processor time each", &time_us(figure("server_cpu_us")))?;
    line(&format!("at {rate}/s, p50 and p99"), &p50_p99(open, "echo"))
}

fn line(name: &str, value: &str) -> io::Result<()> {
    writeln!(io::stdout(), "  {name:<32} {value}")
}

fn p50_p99(outcome: &Outcome, metric: &str) -> String {
    match outcome.latency_us.get(metric) {
        Some(times) => format!("{}, {}", time_us(times.p50), time_us(times.p99)),
        None => "none".to_owned(),
    }
}

fn with_store() -> Result<[Outcome; 2], Failure> {
    let data = tempfile::Builder::new().prefix("throng-bench-").tempdir()?;
    let data_path = data.path().display().to_string();
    let gateway = gateway(&["--data", &data_path])?;
    let [connections, rate, hold] = FLOOD;
    let flood = ["--connections", connections, "--rate", rate, "--hold", hold];
    let flood = arguments::<FloodArguments>(&gateway, "/v1/ws", &flood)?.measure()?;
    let [users, rate, secs] = CHAT;
    let chat = ["--users", users, "--rate", rate, "--secs", secs, "--drain", "3s"];
    let chat = arguments::<ChatArguments>(&gateway, "/v1/ws", &chat)?.measure()?;
    Ok([flood, chat])
}

fn echoes() -> Result<[Outcome; 2], Failure> {
    let gateway = gateway(&["--echo"])?;
    let [connections, rate, secs] = ECHO;
    let closed = ["--connections", connections, "--secs", secs];
    let open = [&closed[..], &["--rate", rate]].concat();
    let measure = |given: &[&str]| arguments::<EchoArguments>(&gateway, "/", given)?.measure();
    Ok([measure(&closed)?, measure(&open)?])
}

fn gateway(further: &[&str]) -> Result<Server, Failure> {
    let mut all = vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shards", "1"];
    all.extend(further);
    Ok(Server::start(&beside("throng-edge")?, &all, None)?)
}

/// A subcommand's arguments against a gateway, with its defaults, by the parser itself.
fn arguments<A: Args>(gateway: &Server, path: &str, further: &[&str]) -> Result<A, Failure> {
    let url = format!("ws://{}{path}", gateway.address);
    let pid = gateway.pid().to_string();
    let given = ["tour", "--url", &url, "--server-pid", &pid, "--lateness-max", LATENESS_MAX];
    let command = A::augment_args(Command::new("tour"));
    let matches = command.try_get_matches_from(given.iter().chain(further));
    A::from_arg_matches(&matches.map_err(Failure::usage)?).map_err(Failure::usage)
}
