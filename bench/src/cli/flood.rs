//! `throng-bench flood`: many connections, opened on a schedule and held.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use throng_bench::generator::arrival::parse_duration;
use throng_bench::generator::run::{RunRecord, shards_for};
use throng_bench::generator::{Arrival, Counter, Metric};
use throng_bench::outcome::{Outcome, Threshold};
use throng_bench::workload::flood::{Flood, FloodPlan, Shares};

use super::coordinate::{coordinated, gather};
use super::run::{Errand, RunArguments, execute};
use super::search::{self, Objective, Quantity};
use super::{Exit, Failure};

/// Heartbeats of a flood when nothing is said.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Time that a flood may take beside its schedule and its hold, before it is ended.
const SLACK: Duration = Duration::from_secs(60);

/// Names of a flood's own figures.
const FIGURES: [&str; 2] = ["connects_per_second", "churn_per_second"];

/// Many connections: opened on a schedule, greeted, held with heartbeats, closed
#[derive(Args, Clone, Debug)]
pub(crate) struct FloodArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Arrivals a second: 20000, poisson:20000, ramp:1000..20000/30s, stairs:1000/5s
    #[arg(long, default_value = "5000")]
    rate: Arrival,
    /// How long all are held; with --search also the objective, as 'p99_ms<5'
    #[arg(long, default_value = "10s")]
    hold: Vec<String>,
    /// Mean life of a connection: clients leave after an exponential time and come again
    #[arg(long, value_parser = life)]
    life: Option<Duration>,
    /// Share of clients that read nothing, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    silent: f64,
    /// Share of clients that read a moment now and then
    #[arg(long, default_value_t = 0.0)]
    slow: f64,
    /// Share of clients that stop half-way: before the upgrade or before hello
    #[arg(long, default_value_t = 0.0)]
    half_open: f64,
    /// Find the highest value that keeps the objective
    #[arg(long, value_enum)]
    search: Option<Quantity>,
    /// Listen here for workers, which make the connections: throng-bench --worker HOST:PORT
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "search")]
    coordinator: Option<SocketAddr>,
    /// How many workers are waited for
    #[arg(long, default_value_t = 2, requires = "coordinator")]
    workers: u32,
}

fn life(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no span above 0: 30s, 5m"))
}

impl FloodArguments {
    /// The time of the hold, and what is left of `--hold`: objectives.
    fn hold(&self) -> Result<(Duration, Vec<Threshold>), Failure> {
        let (spans, objectives): (Vec<_>, Vec<_>) =
            self.hold.iter().partition(|text| parse_duration(text).is_some());
        let objectives = objectives
            .iter()
            .map(|text| Threshold::parse(text, "flood", &FIGURES))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::usage)?;
        if spans.len() > 1 || (self.search.is_none() && !objectives.is_empty()) {
            let why = "--hold takes one span, and with --search one objective or more";
            return Err(Failure::Usage(why.to_owned()));
        }
        let span = spans.first().and_then(|text| parse_duration(text));
        Ok((span.unwrap_or(Duration::from_secs(10)), objectives))
    }

    fn shares(&self) -> Result<Shares, Failure> {
        let Self { silent, slow, half_open, .. } = *self;
        let all = [silent, slow, half_open];
        if all.iter().any(|share| !(0.0..=1.0).contains(share)) || all.iter().sum::<f64>() > 1.0 {
            let why = "--silent, --slow and --half-open are shares of 0 to 1, together 1 at most";
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(Shares { silent, slow, half_open })
    }

    /// What every process of a flood of `workers` needs: run arguments, the errand and its
    /// workload.
    pub(super) fn prepare(
        &self,
        workers: u32,
    ) -> Result<(RunArguments, Errand, FloodPlan), Failure> {
        let (hold, _) = self.hold()?;
        let mut arguments = self.run.clone();
        arguments.heartbeat = arguments.heartbeat.or(Some(HEARTBEAT));
        let last = self.rate.moment(self.connections.into());
        let duration = last.saturating_mul(2).saturating_add(hold + SLACK);
        let mut plan = arguments.plan(self.connections, duration, Metric::Establish)?;
        (plan.cold, plan.open_loop) = (true, true);
        plan.shards = plan.shards.or(Some(shards_for(self.connections.div_ceil(workers.max(1)))));
        let flood = FloodPlan {
            arrival: self.rate,
            greeting: arguments.greeting(),
            hold,
            mean_life: self.life,
            shares: self.shares()?,
        };
        let parameters = BTreeMap::from([
            ("connections".to_owned(), json!(self.connections)),
            ("rate".to_owned(), json!(self.rate.to_string())),
            ("hold_s".to_owned(), json!(hold.as_secs_f64())),
            ("life_s".to_owned(), json!(self.life.map(|life| life.as_secs_f64()))),
            ("silent".to_owned(), json!(self.silent)),
            ("slow".to_owned(), json!(self.slow)),
            ("half_open".to_owned(), json!(self.half_open)),
            ("workers".to_owned(), json!(self.coordinator.map_or(0, |_| self.workers))),
        ]);
        let errand = Errand {
            kind: "flood",
            calibrates: !plan.server_pids.is_empty(),
            plan,
            arrival: Some(self.rate),
            parameters,
        };
        Ok((arguments, errand, flood))
    }

    /// Makes one flood.
    pub(crate) fn measure(&self) -> Result<Outcome, Failure> {
        let thresholds = self.run.thresholds("flood", &FIGURES)?;
        let connections = u64::from(self.connections);
        let figures = |record: &mut RunRecord| figures(record, connections);
        if let Some(address) = self.coordinator {
            let (arguments, errand, _) = self.prepare(self.workers)?;
            let team = gather(address, self.workers, &arguments)?;
            return coordinated(team, &arguments, errand, &thresholds, figures);
        }
        let (arguments, errand, flood) = self.prepare(1)?;
        let make = move |info| Flood::new(flood.clone(), info, Instant::now());
        execute(&arguments, errand, &thresholds, make, figures)
    }
}

/// How fast connections came, and came again.
fn figures(record: &RunRecord, connections: u64) -> BTreeMap<String, f64> {
    let mut sum = 0;
    let full = record.series.iter().find(|second| {
        sum += second.sample.count(Counter::Established);
        sum * 1000 >= connections * 999
    });
    let mut figures = BTreeMap::new();
    if let Some(second) = full {
        let seconds = second.sample.at.as_secs_f64();
        figures.insert("connects_per_second".to_owned(), sum as f64 / seconds);
    }
    let again = record.total.count(Counter::Started).saturating_sub(connections);
    if again > 0 {
        let rate = again as f64 / record.elapsed.as_secs_f64();
        figures.insert("churn_per_second".to_owned(), rate);
    }
    figures
}

pub(crate) fn main(arguments: &FloodArguments) -> Result<Exit, Failure> {
    let (_, objectives) = arguments.hold()?;
    let Some(quantity) = arguments.search else {
        return arguments.run.report(&arguments.measure()?);
    };
    let objective = Objective::new(quantity, objectives)?;
    let first = match quantity {
        Quantity::MaxConnections => u64::from(arguments.connections),
        Quantity::MaxRate => arguments.rate.rate_max(1) as u64,
    };
    let best = search::run(&objective, first, |value| {
        let mut tried = arguments.clone();
        tried.search = None;
        tried.run.quiet = true;
        tried.hold.retain(|text| parse_duration(text).is_some());
        match quantity {
            Quantity::MaxConnections => {
                tried.connections = u32::try_from(value).unwrap_or(u32::MAX);
            }
            Quantity::MaxRate => tried.rate = Arrival::Constant { rate: value as f64 },
        }
        tried.measure()
    })?;
    best.map_or(Ok(Exit::Threshold), |outcome| arguments.run.report(&outcome))
}
