//! `--search`: run after run, up to the highest value that keeps an objective.

use std::io::{self, Write};

use clap::ValueEnum;
use throng_bench::generator::search::Search;
use throng_bench::outcome::{Outcome, Threshold, text, threshold};

use super::Failure;

/// The search ends when the gap is one part in so many of what held.
const PRECISION: u64 = 20;

/// No value above this is tried.
const MOST: u64 = 1 << 31;

/// What is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Quantity {
    /// The number of connections
    MaxConnections,
    /// Arrivals or messages a second
    MaxRate,
}

/// What must hold.
pub(crate) struct Objective {
    quantity: Quantity,
    thresholds: Vec<Threshold>,
}

impl Objective {
    pub(crate) fn new(quantity: Quantity, thresholds: Vec<Threshold>) -> Result<Self, Failure> {
        if thresholds.is_empty() {
            let why = "--search needs an objective: --hold 'p99_ms<5'";
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(Self { quantity, thresholds })
    }

    /// Whether a run keeps it: a run that is not valid, or lost connections, does not.
    fn holds(&self, outcome: &mut Outcome) -> bool {
        let kept = threshold::judge(&self.thresholds, outcome);
        kept && outcome.valid && outcome.failed.is_empty()
    }
}

/// Searches from `first`, telling of each step; the result of the best run, if any held.
pub(crate) fn run(
    objective: &Objective,
    first: u64,
    mut measure: impl FnMut(u64) -> Result<Outcome, Failure>,
) -> Result<Option<Outcome>, Failure> {
    let name = match objective.quantity {
        Quantity::MaxConnections => "connections",
        Quantity::MaxRate => "per second",
    };
    let mut search = Search::new(first, MOST, PRECISION);
    let mut best = None;
    let mut out = io::stdout();
    while let Some(value) = search.next() {
        let holds = match measure(value) {
            Ok(mut outcome) => {
                let holds = objective.holds(&mut outcome);
                let verdict = if holds { "holds" } else { "fails" };
                writeln!(out, "{value} {name}: {verdict}; {}", text::headline(&outcome))?;
                best = if holds { Some(outcome) } else { best };
                holds
            }
            // The host has too little for so many: the limit is below. For the first value that is
            // no answer.
            Err(Failure::Environment(why)) if best.is_some() => {
                writeln!(out, "{value} {name}: fails; {why}")?;
                false
            }
            Err(failure) => return Err(failure),
        };
        search.note(holds);
    }
    writeln!(out, "highest that held: {} {name}", search.held())?;
    Ok(best)
}
