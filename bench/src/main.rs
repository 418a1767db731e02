//! `throng-bench`: what a host holds, how fast and how late, on both sides. See docs/benchmarks.md.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::Exit;

#[derive(Parser)]
#[command(version, about = "Load and measurements for Throng, and for any WebSocket server")]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Make the connections of a flood that another throng-bench coordinates
    /// (flood --coordinator), then end
    #[arg(long, value_name = "HOST:PORT")]
    worker: Option<String>,
    /// Without one: a half-minute tour with a gateway of its own
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Flood(cli::flood::FloodArguments),
    Echo(cli::echo::EchoArguments),
    Chat(cli::chat::ChatArguments),
    Fanout(cli::fanout::FanoutArguments),
    Storm(cli::storm::StormArguments),
    Idle(cli::idle::IdleArguments),
    Durable(cli::durable::DurableArguments),
    Peers(cli::peers::PeersArguments),
    Compare(cli::compare::CompareArguments),
    Report(cli::report::ReportArguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors, and go to stdout.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Pass };
            let _ = error.print();
            return exit.into();
        }
    };
    let ended = match (arguments.worker, arguments.command) {
        (Some(coordinator), _) => cli::coordinate::worker(&coordinator),
        (None, None) => cli::tour::main(),
        (None, Some(Command::Flood(flood))) => cli::flood::main(&flood),
        (None, Some(Command::Echo(echo))) => cli::echo::main(&echo),
        (None, Some(Command::Chat(chat))) => cli::chat::main(&chat),
        (None, Some(Command::Fanout(fanout))) => cli::fanout::main(&fanout),
        (None, Some(Command::Storm(storm))) => cli::storm::main(&storm),
        (None, Some(Command::Idle(idle))) => cli::idle::main(idle),
        (None, Some(Command::Durable(durable))) => cli::durable::main(durable),
        (None, Some(Command::Peers(peers))) => cli::peers::main(peers),
        (None, Some(Command::Compare(compare))) => cli::compare::main(&compare),
        (None, Some(Command::Report(report))) => cli::report::main(&report),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "throng-bench: {failure}");
            failure.exit().into()
        }
    }
}
