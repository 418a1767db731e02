//! What all load-generating subcommands have in common: their arguments, the course of a run, what
//! is written at its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use throng_bench::conclude::{Circumstances, conclude};
use throng_bench::generator::address::{Destination, loopback_sources, parse_sources};
use throng_bench::generator::arrival::parse_duration;
use throng_bench::generator::run::{RunError, RunPlan, RunRecord, run_with};
use throng_bench::generator::{Arrival, Beat, Heartbeat, Metric, ShardInfo, Target, Workload};
use throng_bench::measure::calibrate;
use throng_bench::measure::kernel::Counters;
use throng_bench::outcome::{Outcome, Threshold, csv, hdr, text, threshold};
use throng_bench::preflight::{self, HostFacts, Needs, Severity};
use throng_bench::workload::greeting::{Greeting, SUBPROTOCOL_JSON, SUBPROTOCOL_PROTO};
use throng_ring::Backend;
use throng_wire::ws::Opcode;

use super::live::Live;
use super::{Exit, Failure, interrupt};

/// What the server speaks above WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Throng's protocol, in JSON: clients say hello (in development mode)
    Throng,
    /// The same in Protobuf
    ThrongProto,
    /// Any WebSocket server
    Raw,
}

/// What a heartbeat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeartbeatKind {
    /// A WebSocket ping; a server that does not answer in time fails the connection
    Ping,
    /// Throng's `ping` without an id, which is not answered: the cheapest
    Op,
}

/// Kernel interface of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum DriverChoice {
    /// `io_uring` where this host lets it be used, else `epoll`
    Auto,
    /// A table of descriptors per thread
    IoUring,
    /// All threads share the descriptors of the process
    Epoll,
}

impl DriverChoice {
    fn settle(self) -> Result<Backend, Failure> {
        match self {
            Self::IoUring => Ok(Backend::IoUring),
            Self::Epoll => Ok(Backend::Epoll),
            Self::Auto => match Backend::probe_io_uring() {
                Ok(()) => Ok(Backend::IoUring),
                Err(error) => {
                    writeln!(io::stderr(), "over epoll, as io_uring cannot be had: {error}")?;
                    Ok(Backend::Epoll)
                }
            },
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no span above 0: 60s, 250ms, 2m"))
}

/// Arguments of every run against a server.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArguments {
    /// The server; several are taken in turn
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) url: Vec<String>,
    /// Source addresses, in turn: 10.0.0.1,10.0.0.2 or 10.0.0.1-10.0.0.9 or 127.0.1.0/24
    /// [default: the kernel's choice; on loopback as many of 127.0.1.1… as the ports need]
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Path of the WebSocket, instead of the URL's
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Header of the upgrade request, as "Name: value"
    #[arg(long)]
    pub(crate) header: Vec<String>,
    /// Subprotocol to offer
    #[arg(long)]
    pub(crate) subprotocol: Vec<String>,
    /// What clients speak [default: throng if the path is /v1/ws, else raw]
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// Text sent first; a client is established when anything comes back (raw only)
    #[arg(long)]
    pub(crate) first_message: Option<String>,
    /// Users are named by this and the client's number (throng only)
    #[arg(long, default_value = "bench-")]
    pub(crate) user_prefix: String,
    /// Clients that said nothing for this long beat [default: 25s in a flood, else none]
    #[arg(long, value_parser = span)]
    pub(crate) heartbeat: Option<Duration>,
    /// What a heartbeat is
    #[arg(long, value_enum, default_value_t = HeartbeatKind::Ping)]
    pub(crate) heartbeat_kind: HeartbeatKind,
    /// Deadline of each phase of a connection: TCP, upgrade, hello, pong, close
    #[arg(long, value_parser = span, default_value = "10s")]
    pub(crate) timeout: Duration,
    /// Threads [default: all cores but one; more where a ring holds too few connections]
    #[arg(long)]
    pub(crate) shards: Option<u32>,
    /// Kernel interface of the threads
    #[arg(long, value_enum, default_value_t = DriverChoice::Auto)]
    pub(crate) driver: DriverChoice,
    /// Acts later than this are overruns; more than 1 % of them make a run invalid
    #[arg(long, value_parser = span, default_value = "10ms")]
    pub(crate) lateness_max: Duration,
    /// Threads that wait gather what comes for so long: for many threads on few cores; adds to
    /// latencies [default: not at all]
    #[arg(long, value_parser = span)]
    pub(crate) gather: Option<Duration>,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The server's process on this host: its processor time and memory are measured too
    #[arg(long)]
    pub(crate) server_pid: Vec<u32>,
    /// Write the result as JSON
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Write the histograms as an HdrHistogram log
    #[arg(long)]
    pub(crate) hdr: Option<PathBuf>,
    /// Write the time series as CSV
    #[arg(long)]
    pub(crate) csv: Option<PathBuf>,
    /// A threshold, as 'p99_ms<5' or 'failed==0'; exit code 99 if it does not hold
    #[arg(long)]
    pub(crate) assert: Vec<String>,
    /// Go on although preflight says that the host has too little
    #[arg(long)]
    pub(crate) force: bool,
    /// No line a second
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A run of one kind: everything but its workload.
pub(crate) struct Errand {
    /// The subcommand.
    pub(crate) kind: &'static str,
    /// What to run.
    pub(crate) plan: RunPlan,
    /// The schedule that the progress line shows.
    pub(crate) arrival: Option<Arrival>,
    /// Parameters of the subcommand alone.
    pub(crate) parameters: BTreeMap<String, Value>,
    /// Measure what the generator's end of a connection takes of the slab.
    pub(crate) calibrates: bool,
}

impl RunArguments {
    /// What clients speak, by the argument or the path.
    pub(crate) fn protocol(&self) -> Protocol {
        let is_throng = |url: &String| url.trim_end_matches('/').ends_with("/v1/ws");
        let guess = match &self.path {
            Some(path) => path == "/v1/ws",
            None => self.url.iter().all(is_throng),
        };
        self.protocol.unwrap_or(if guess { Protocol::Throng } else { Protocol::Raw })
    }

    /// What clients say first.
    pub(crate) fn greeting(&self) -> Greeting {
        let throng = |is_proto| Greeting::Throng { prefix: self.user_prefix.clone(), is_proto };
        match (self.protocol(), &self.first_message) {
            (Protocol::Throng, _) => throng(false),
            (Protocol::ThrongProto, _) => throng(true),
            (Protocol::Raw, Some(text)) => Greeting::Message(Opcode::Text, text.clone().into()),
            (Protocol::Raw, None) => Greeting::None,
        }
    }

    fn target(&self, clients: u32) -> Result<Target, Failure> {
        let mut destinations = Vec::new();
        for url in &self.url {
            let mut destination = Destination::parse(url).map_err(Failure::usage)?;
            destination.path = self.path.clone().unwrap_or(destination.path);
            destinations.push(destination);
        }
        let sources = match &self.source {
            Some(text) => parse_sources(text).map_err(Failure::usage)?,
            None => loopback_sources(clients, &destinations, HostFacts::read().ports_per_tuple()),
        };
        let headers = self.header.iter().map(|header| parse_header(header));
        let mut subprotocols = self.subprotocol.clone();
        if subprotocols.is_empty() {
            subprotocols.extend(match self.protocol() {
                Protocol::Throng => Some(SUBPROTOCOL_JSON.to_owned()),
                Protocol::ThrongProto => Some(SUBPROTOCOL_PROTO.to_owned()),
                Protocol::Raw => None,
            });
        }
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Target { destinations, sources, headers, subprotocols })
    }

    /// The plan of a run of so many clients that ends by itself, or after `duration`.
    pub(crate) fn plan(
        &self,
        clients: u32,
        duration: Duration,
        main_metric: Metric,
    ) -> Result<RunPlan, Failure> {
        let target = self.target(clients)?;
        let mut plan = RunPlan::new(target, clients, duration, main_metric);
        plan.shards = self.shards;
        plan.driver = self.driver.settle()?;
        plan.lateness_max = self.lateness_max;
        plan.gather = self.gather.unwrap_or_default();
        plan.seed = self.seed;
        plan.server_pids.clone_from(&self.server_pid);
        let deadlines = &mut plan.deadlines;
        for deadline in [
            &mut deadlines.connect,
            &mut deadlines.upgrade,
            &mut deadlines.hello,
            &mut deadlines.pong,
            &mut deadlines.close,
        ] {
            *deadline = self.timeout;
        }
        let beat = match self.heartbeat_kind {
            HeartbeatKind::Ping => Beat::Ping,
            HeartbeatKind::Op => self.greeting().cheapest_beat(),
        };
        plan.heartbeat = self.heartbeat.map(|interval| Heartbeat { interval, beat });
        Ok(plan)
    }

    /// The parameters of every run, for the result.
    fn parameters(&self, plan: &RunPlan) -> BTreeMap<String, Value> {
        let seconds = |span: Duration| json!(span.as_secs_f64());
        let protocol = self.protocol().to_possible_value();
        BTreeMap::from([
            ("url".to_owned(), json!(self.url)),
            ("sources".to_owned(), json!(plan.target.sources.len())),
            ("path".to_owned(), json!(plan.target.destinations[0].path)),
            ("header".to_owned(), json!(self.header.len())),
            ("subprotocol".to_owned(), json!(plan.target.subprotocols)),
            ("protocol".to_owned(), json!(protocol.map(|value| value.get_name().to_owned()))),
            ("heartbeat_s".to_owned(), json!(self.heartbeat.map(|span| span.as_secs_f64()))),
            ("timeout_s".to_owned(), seconds(self.timeout)),
            ("shards".to_owned(), json!(plan.shards_here())),
            ("driver".to_owned(), json!(plan.driver.to_string())),
            ("lateness_max_s".to_owned(), seconds(self.lateness_max)),
            ("gather_s".to_owned(), seconds(plan.gather)),
            ("seed".to_owned(), json!(self.seed)),
        ])
    }

    /// The thresholds of a run of this kind.
    pub(crate) fn thresholds(
        &self,
        kind: &str,
        figures: &[&str],
    ) -> Result<Vec<Threshold>, Failure> {
        let parse = |expression: &String| Threshold::parse(expression, kind, figures);
        self.assert.iter().map(parse).collect::<Result<_, _>>().map_err(Failure::usage)
    }

    /// Writes the result in every form that was asked for; how the program ends.
    pub(crate) fn report(&self, outcome: &Outcome) -> Result<Exit, Failure> {
        let mut out = io::stdout();
        write!(out, "{}", text::block(outcome))?;
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_vec_pretty(outcome).map_err(io::Error::other)?)?;
        }
        if let Some(path) = &self.hdr {
            hdr::write(outcome, &mut BufWriter::new(File::create(path)?))?;
        }
        if let Some(path) = &self.csv {
            csv::write(&outcome.series, &mut BufWriter::new(File::create(path)?))?;
        }
        let holds = outcome.thresholds.iter().all(|verdict| verdict.passed);
        Ok(match (outcome.valid, holds) {
            (false, _) => Exit::Invalid,
            (true, false) => Exit::Threshold,
            (true, true) => Exit::Pass,
        })
    }
}

fn parse_header(text: &str) -> Result<(String, String), Failure> {
    let wrong = || Failure::Usage(format!("--header {text:?} is not of the form \"Name: value\""));
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let is_clean = |part: &str| !part.chars().any(char::is_control);
    let fits = !name.trim().is_empty() && is_clean(name) && is_clean(value);
    fits.then(|| (name.trim().to_owned(), value.trim().to_owned())).ok_or_else(wrong)
}

/// Says what the host lacks for this process's part of a run. An error if it cannot be made, unless
/// forced.
pub(crate) fn check_host(
    plan: &RunPlan,
    arguments: &RunArguments,
    clients: u32,
) -> Result<(), Failure> {
    let is_here =
        |plan: &RunPlan| plan.target.destinations.iter().all(|to| to.address.ip().is_loopback());
    let needs = Needs {
        connections: clients.into(),
        tuples: plan.target.tuples() as u64,
        shards: plan.shards_here().into(),
        driver: plan.driver,
        server_here: is_here(plan),
    };
    let mut out = io::stdout();
    let mut lacks = Vec::new();
    for check in preflight::check(&needs, &HostFacts::read()) {
        if check.severity == Severity::Failure && !arguments.force {
            lacks.push(check.to_string());
        } else if !arguments.quiet || check.severity > Severity::Fine {
            writeln!(out, "{check}")?;
        }
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.join("\n");
    let message = "this host has too little for the run; --force runs it anyway";
    Err(Failure::Environment(format!("{message}\n{lacks}")))
}

/// Makes a run and its result. `figures`: those of this kind, from the record, to which it may add
/// why it is not valid.
pub(crate) fn execute<W: Workload + 'static>(
    arguments: &RunArguments,
    errand: Errand,
    thresholds: &[Threshold],
    make: impl Fn(ShardInfo) -> W + Send + Sync + 'static,
    figures: impl FnOnce(&mut RunRecord) -> BTreeMap<String, f64>,
) -> Result<Outcome, Failure> {
    check_host(&errand.plan, arguments, errand.plan.clients)?;
    let run = |plan: &RunPlan, live: &mut Live| run_with(plan, make, live);
    conduct(arguments, errand, thresholds, run, figures)
}

/// The same with somebody else's shards: `run` makes the record.
pub(crate) fn conduct(
    arguments: &RunArguments,
    errand: Errand,
    thresholds: &[Threshold],
    run: impl FnOnce(&RunPlan, &mut Live) -> Result<RunRecord, RunError>,
    figures: impl FnOnce(&mut RunRecord) -> BTreeMap<String, f64>,
) -> Result<Outcome, Failure> {
    let Errand { kind, plan, arrival, parameters, calibrates } = errand;
    // Without root the slab cannot be read, and half of nothing is nothing.
    let own_end = if calibrates { calibrate::measure().ok() } else { None };
    let counters_before = Counters::read();
    let mut live = Live::new(plan.main_metric, arrival, arguments.quiet, interrupt::flag());
    let mut record =
        run(&plan, &mut live).map_err(|error| Failure::Environment(error.to_string()))?;
    live.finish();
    let figures = figures(&mut record);
    let mut all = arguments.parameters(&plan);
    all.extend(parameters);
    let mut outcome = conclude(
        &plan,
        &record,
        Circumstances {
            kind,
            parameters: all,
            figures,
            own_end,
            counters_before: &counters_before,
            stalled: live.stalled,
        },
    );
    threshold::judge(thresholds, &mut outcome);
    Ok(outcome)
}
