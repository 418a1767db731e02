//! What can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};
use throng_tune::apply::ApplyScope;
use throng_tune::emit::Format;
use throng_tune::limits::CONNECTIONS_MAX;
use throng_tune::plan::Transport;
use throng_tune::profile::Role;
use throng_tune::value::parse_bytes;

const EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 advice; 2 the plan would fail; 64 the command line is wrong; 69 something
that has to be known cannot be read; 74 the host could not be changed; 78 a profile or record is
wrong.";

#[derive(Parser)]
#[command(version, about = "Plans, checks and sets a host for many connections")]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what the host should be set to, with the arithmetic, and which limit is hit first
    Plan(PlanOptions),
    /// Compare the host with its plan; changes nothing
    Check(CheckOptions),
    /// Tell when a counter says that a limit is near, and what to do
    Watch(WatchOptions),
    /// Write the plan as a page for another program
    Emit(EmitOptions),
    /// Say why a key is asked for or left alone; without a key, of all, as Markdown
    Explain(ExplainOptions),
    /// Set the host to its plan, for this boot and the next (root)
    Apply(ApplyOptions),
    /// Put back what was before apply (root)
    Rollback(RollbackOptions),
}

/// What the host should hold. What is not said is taken from the host.
#[derive(Args)]
pub(crate) struct HostOptions {
    /// What the host is for
    #[arg(long, value_enum, default_value_t = Role::Edge)]
    pub(crate) role: Role,
    /// A profile of your own in the place of the role's
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Connections at one time
    #[arg(long, default_value_t = 15_000)]
    #[arg(value_parser = value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub(crate) connections: u64,
    /// Durable messages per second
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u64).range(..=CONNECTIONS_MAX))]
    pub(crate) messages_per_s: u64,
    /// How clients connect
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ws")]
    pub(crate) transport: Vec<Transport>,
    /// Shards of the gateway, threads of the generator
    #[arg(long, value_parser = value_parser!(u64).range(1..=65_536))]
    pub(crate) shards: Option<u64>,
    /// Memory, such as 64G
    #[arg(long, value_parser = parse_bytes)]
    pub(crate) memory: Option<u64>,
    /// Processors
    #[arg(long, value_parser = value_parser!(u64).range(1..=65_536))]
    pub(crate) cores: Option<u64>,
    /// Receive queues of the network card
    #[arg(long, value_parser = value_parser!(u64).range(1..=65_536))]
    pub(crate) nic_queues: Option<u64>,
    /// Pairs of a source and a target address (for a generator)
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..=65_536))]
    pub(crate) addresses: u64,
    /// Ask for values below the kernel's own, too, where that bounds damage
    #[arg(long)]
    pub(crate) lower_defaults: bool,
    /// The root of the host: another directory for an image
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// The process whose limits, control groups and seccomp filter count: the gateway's
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// One JSON document in the place of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ApplyOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Say exactly what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How much of the plan
    #[arg(long, value_enum, default_value_t = ApplyScope::Host)]
    pub(crate) scope: ApplyScope,
}

#[derive(Args)]
pub(crate) struct RollbackOptions {
    /// The root of the host: another directory for an image
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Args)]
pub(crate) struct EmitOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// For which program
    #[arg(long, value_enum)]
    pub(crate) format: Format,
}

#[derive(Args)]
pub(crate) struct ExplainOptions {
    /// The key, such as net.core.somaxconn
    pub(crate) key: Option<String>,
    /// Whose profile
    #[arg(long, value_enum, default_value_t = Role::Edge)]
    pub(crate) role: Role,
}

#[derive(Args)]
pub(crate) struct WatchOptions {
    /// Time between two looks
    #[arg(long, default_value_t = 5_000, value_parser = value_parser!(u64).range(1..=86_400_000))]
    pub(crate) interval_ms: u64,
    /// Looks after the first; without it for ever. The exit code is then 1 if there was news
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// The gateway's admin port, such as http://127.0.0.1:7401, for its own counters
    #[arg(long, value_name = "URL")]
    pub(crate) metrics: Option<String>,
    /// The root of the host
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub(crate) root: PathBuf,
}
