//! `throng-bench fanout`: one sender, groups of several sizes in turn.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use throng_bench::generator::Arrival;
use throng_bench::generator::arrival::parse_duration;
use throng_bench::outcome::{Outcome, threshold};
use throng_bench::workload::fanout::{SIZES, figures, manners, names};
use throng_wire::limits::MEMBERS_PER_REQUEST_MAX;

use super::chat::{TalkArguments, measure};
use super::run::RunArguments;
use super::{Exit, Failure};

/// One sender, groups of 2, 10, 100, 500: deliveries a second, time to the last member
///
/// The result has figures of every size by name; its times, counters and series are those of the
/// last.
#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutArguments {
    #[command(flatten)]
    arguments: RunArguments,
    #[command(flatten)]
    talk: TalkArguments,
    /// Members of the groups, the sender included
    #[arg(long, value_delimiter = ',', default_values_t = SIZES)]
    sizes: Vec<u32>,
    /// Messages a second of the one sender
    #[arg(long, default_value = "40")]
    rate: Arrival,
    /// Seconds of messages for each size
    #[arg(long, value_parser = span, default_value = "5")]
    secs: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no span above 0: 60s, 250ms, 2m"))
}

impl FanoutArguments {
    fn measure(&self, arguments: &RunArguments, size: u32) -> Result<Outcome, Failure> {
        let mut plan = self.talk.plan(manners(size), self.rate, self.secs);
        // Each size has users of its own.
        plan.run = plan.run.wrapping_add(u64::from(size));
        let seconds = self.secs.as_secs_f64();
        let mut parameters = self.talk.parameters();
        parameters.extend([
            ("sizes".to_owned(), json!(self.sizes)),
            ("rate".to_owned(), json!(self.rate.to_string())),
            ("secs".to_owned(), json!(seconds)),
        ]);
        measure("fanout", arguments, plan, &[], parameters, |record| {
            figures(size, &record.total, seconds).into_iter().collect::<BTreeMap<_, _>>()
        })
    }
}

pub(crate) fn main(fanout: &FanoutArguments) -> Result<Exit, Failure> {
    let mut arguments = fanout.talk.over(&fanout.arguments)?;
    arguments.shards = Some(1);
    let allowed = 2..=MEMBERS_PER_REQUEST_MAX as u32;
    if let Some(size) = fanout.sizes.iter().find(|size| !allowed.contains(size)) {
        return Err(Failure::Usage(format!("--sizes has {size}: groups have {allowed:?} members")));
    }
    let known: Vec<String> = fanout.sizes.iter().flat_map(|size| names(*size)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let thresholds = arguments.thresholds("fanout", &known)?;
    let mut all: Option<Outcome> = None;
    for size in &fanout.sizes {
        writeln!(io::stdout(), "group of {size}")?;
        let mut outcome = fanout.measure(&arguments, *size)?;
        for why in &mut outcome.invalid {
            *why = format!("{why} (group of {size})");
        }
        if let Some(former) = all.take() {
            let own = std::mem::replace(&mut outcome.figures, former.figures);
            outcome.figures.extend(own);
            outcome.invalid.splice(0..0, former.invalid);
            outcome.valid &= former.valid;
        }
        all = Some(outcome);
    }
    let mut outcome = all.ok_or_else(|| Failure::Usage("--sizes is empty".to_owned()))?;
    threshold::judge(&thresholds, &mut outcome);
    arguments.report(&outcome)
}
