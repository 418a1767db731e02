//! `throng-bench echo`: messages to an echo server, as fast as they come back or at a rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use throng_bench::generator::{Arrival, Metric};
use throng_bench::outcome::{Outcome, Threshold};
use throng_bench::workload::echo::figures::{FIGURES, figures};
use throng_bench::workload::echo::{Echo, EchoPlan, Window};

use super::run::{Errand, Protocol, RunArguments, execute};
use super::search::{self, Objective, Quantity};
use super::{Exit, Failure};

/// Messages under way per connection in an open loop when nothing is said: as good as no limit.
const OPEN_DEPTH: usize = 1024;

/// From the start until all connections are open, at most.
const OPENING: Duration = Duration::from_secs(60);

/// Messages to an echo server: as fast as they come back, or at a rate
#[derive(Args, Clone, Debug)]
pub(crate) struct EchoArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Connections
    #[arg(long, default_value_t = 500)]
    connections: u32,
    /// Payload of a message, in bytes
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Messages under way per connection [default: 1; with --rate 1024]
    #[arg(long)]
    depth: Option<usize>,
    /// Seconds measured
    #[arg(long, default_value_t = 10.0)]
    secs: f64,
    /// Messages a second over all connections, on a schedule (open loop); the forms of `flood`
    #[arg(long)]
    rate: Option<Arrival>,
    /// Find the highest value that keeps the objective
    #[arg(long, value_enum)]
    search: Option<Quantity>,
    /// The objective of --search, as 'p99_ms<5'
    #[arg(long)]
    hold: Vec<String>,
}

impl EchoArguments {
    fn echo_plan(&self) -> Result<EchoPlan, Failure> {
        let default = if self.rate.is_some() { OPEN_DEPTH } else { 1 };
        let depth = self.depth.unwrap_or(default);
        let seconds = Duration::try_from_secs_f64(self.secs).unwrap_or_default();
        if !(1..=OPEN_DEPTH).contains(&depth) || seconds.is_zero() {
            let why = format!("--depth must be 1 to {OPEN_DEPTH}, --secs above 0");
            return Err(Failure::Usage(why));
        }
        if self.connections == 0 {
            return Err(Failure::Usage("--connections must be 1 or more".to_owned()));
        }
        let warm_up = Duration::from_millis(500);
        Ok(EchoPlan { size_bytes: self.size, depth, rate: self.rate, warm_up, seconds })
    }

    /// Makes one run.
    pub(crate) fn measure(&self) -> Result<Outcome, Failure> {
        let thresholds = self.run.thresholds("echo", &FIGURES)?;
        let echo = self.echo_plan()?;
        let mut arguments = self.run.clone();
        // An echo server takes no hello, whatever its path is.
        arguments.protocol = arguments.protocol.or(Some(Protocol::Raw));
        let window = Window::new(&echo, self.connections);
        let duration = OPENING + echo.warm_up + echo.seconds;
        let mut plan = arguments.plan(self.connections, duration, Metric::Echo)?;
        plan.open_loop = self.rate.is_some();
        let parameters = BTreeMap::from([
            ("connections".to_owned(), json!(self.connections)),
            ("size".to_owned(), json!(self.size)),
            ("depth".to_owned(), json!(echo.depth)),
            ("secs".to_owned(), json!(self.secs)),
            ("rate".to_owned(), json!(self.rate.map(|rate| rate.to_string()))),
        ]);
        let errand =
            Errand { kind: "echo", calibrates: false, plan, arrival: self.rate, parameters };
        let shared = Arc::clone(&window);
        let make = move |info| Echo::new(echo, info, Arc::clone(&shared));
        execute(&arguments, errand, &thresholds, make, |record| figures(record, &window))
    }
}

pub(crate) fn main(arguments: &EchoArguments) -> Result<Exit, Failure> {
    let Some(quantity) = arguments.search else {
        if !arguments.hold.is_empty() {
            return Err(Failure::Usage("--hold is the objective of --search".to_owned()));
        }
        return arguments.run.report(&arguments.measure()?);
    };
    let parse = |text: &String| Threshold::parse(text, "echo", &FIGURES);
    let thresholds = arguments.hold.iter().map(parse).collect::<Result<_, _>>();
    let objective = Objective::new(quantity, thresholds.map_err(Failure::usage)?)?;
    let first = match quantity {
        Quantity::MaxConnections => u64::from(arguments.connections),
        Quantity::MaxRate => arguments.rate.map_or(1_000, |rate| rate.rate_max(1) as u64),
    };
    let best = search::run(&objective, first, |value| {
        let mut tried = arguments.clone();
        tried.search = None;
        tried.run.quiet = true;
        match quantity {
            Quantity::MaxConnections => {
                tried.connections = u32::try_from(value).unwrap_or(u32::MAX);
            }
            Quantity::MaxRate => tried.rate = Some(Arrival::Constant { rate: value as f64 }),
        }
        tried.measure()
    })?;
    best.map_or(Ok(Exit::Threshold), |outcome| arguments.run.report(&outcome))
}
