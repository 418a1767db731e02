//! A flood over several workers: `flood --coordinator ADDRESS:PORT --workers N`, and on the hosts
//! that make the connections `throng-bench --worker HOST:PORT`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser;
use throng_bench::coordinate::{Coordinator, Team, WorkError, join, work};
use throng_bench::generator::run::{RunPlan, RunRecord, run_over};
use throng_bench::outcome::{Outcome, Threshold};
use throng_bench::workload::flood::Flood;

use super::live::Live;
use super::run::{Errand, RunArguments, check_host, conduct};
use super::{Exit, Failure};
use crate::{Arguments, Command};

/// How long workers are waited for.
const PATIENCE: Duration = Duration::from_secs(120);

fn failed(error: impl ToString) -> Failure {
    Failure::Environment(error.to_string())
}

/// Waits for the workers.
pub(super) fn gather(
    address: SocketAddr,
    workers: u32,
    arguments: &RunArguments,
) -> Result<Team, Failure> {
    let bound = Coordinator::bind(address);
    let coordinator =
        bound.map_err(|error| failed(format!("cannot listen on {address}: {error}")))?;
    let at = coordinator.local_addr()?;
    // Not a line of progress: without it nobody knows what to start.
    writeln!(io::stdout(), "waiting for {workers} workers: throng-bench --worker {at}")?;
    let team = coordinator.gather(workers as usize, PATIENCE, |peer, host| {
        if !arguments.quiet {
            let _ = writeln!(io::stdout(), "worker {peer}: {}", host.line()); // nobody may read
        }
    });
    let team = team.map_err(failed)?;
    let here = team.here();
    if !arguments.server_pid.is_empty() && here != 0 && here != workers as usize {
        let why = "--server-pid: the workers must all be on the server's host or all elsewhere, else \
                   nobody knows whose the kernel's memory is";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(team)
}

/// Makes a run with these workers, and its result.
pub(super) fn coordinated(
    mut team: Team,
    arguments: &RunArguments,
    mut errand: Errand,
    thresholds: &[Threshold],
    figures: impl FnOnce(&mut RunRecord) -> BTreeMap<String, f64>,
) -> Result<Outcome, Failure> {
    errand.calibrates &= team.here() > 0;
    let clock_error = team.clock_error();
    let command: Vec<_> = std::env::args().skip(1).collect();
    errand.plan.shards = Some(team.assign(&command).map_err(failed)?);
    let (workers, start) = team.start().map_err(failed)?;
    let run = |plan: &RunPlan, live: &mut Live| run_over(plan, workers, start, live);
    conduct(arguments, errand, thresholds, run, |record| {
        let mut all = figures(record);
        all.insert("clock_error_ms".to_owned(), clock_error.as_secs_f64() * 1e3);
        all
    })
}

/// `throng-bench --worker`: does what one coordinator says, once.
pub(crate) fn worker(address: &str) -> Result<Exit, Failure> {
    let assignment = join(address).map_err(failed)?;
    let words =
        std::iter::once("throng-bench").chain(assignment.arguments.iter().map(String::as_str));
    let prepared = match Arguments::try_parse_from(words).map(|parsed| parsed.command) {
        Ok(Some(Command::Flood(flood))) => flood.prepare(assignment.workers),
        Ok(_) => Err(Failure::Usage("a worker floods, and nothing else".to_owned())),
        Err(error) => Err(Failure::usage(error)),
    };
    let checked = prepared.and_then(|(mut arguments, errand, flood)| {
        arguments.quiet = true;
        let clients = errand.plan.clients.div_ceil(assignment.workers.max(1));
        check_host(&errand.plan, &arguments, clients)?;
        Ok((errand, flood))
    });
    let (errand, flood) = match checked {
        Ok(checked) => checked,
        Err(failure) => {
            assignment.refuse(failure.to_string()).map_err(failed)?;
            return Err(failure);
        }
    };
    let make = move |info| Flood::new(flood.clone(), info, Instant::now());
    match work(assignment, errand.plan, make) {
        Ok(()) => Ok(Exit::Pass),
        Err(WorkError::Coordinate(error)) => Err(failed(error)),
        Err(WorkError::Run(error)) => Err(failed(error)),
    }
}
