//! The gateway's echo beside other servers': one pinned server at a time, one pinned generator,
//! interleaved rounds.
//!
//! All servers stay up for the whole run and take turns round by round, in an order that shifts
//! with each round, so that a neighbour's noise hits all of them. The figure to read is the
//! server's processor time per operation: on two cores the generator is often the narrow end, and
//! throughput then says little about the server.

pub mod case;
mod measure;
pub mod result;
pub mod server;

use std::io;

use crate::gateway::Server;
use crate::host::Host;
use case::{CASES, Case};
use measure::measure;
use result::{CaseResult, Comparison, Round, SCHEMA, case_result};
use server::{Contender, Program, THRONG, UWEBSOCKETS_IO_URING};

/// Processor of the server under measurement.
const SERVER_CORE: usize = 0;

/// Processor of the generator.
const CLIENT_CORE: usize = 1;

/// The gateway: echo, one shard, and an accept rate that is no limit.
const GATEWAY: [&str; 9] = [
    "--echo",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--shards",
    "1",
    "--accepts-per-s",
    "1000000",
];

/// How long and how often.
#[derive(Clone, Debug)]
pub struct PeersPlan {
    /// Connections of every case.
    pub connections: usize,
    /// Seconds per round.
    pub seconds: f64,
    /// Rounds per case and server.
    pub rounds: usize,
    /// Only these servers, beside Throng; empty: all.
    pub only: Vec<String>,
    /// Only these cases, by name or a part of it; empty: all.
    pub cases: Vec<String>,
}

impl PeersPlan {
    /// A whole name means that case alone; a part of names, all that have it.
    fn wants(&self, case: Case) -> bool {
        let name = case.to_string();
        let is_name = |part: &String| CASES.iter().any(|case| case.to_string() == *part);
        let fits = |part: &String| name == *part || (!is_name(part) && name.contains(part));
        self.cases.is_empty() || self.cases.iter().any(fits)
    }
}

/// What a run has got to.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step of building.
    Building(&'a str),
    /// A round has ended.
    Round(Case, &'static str, &'a Round),
    /// A case has ended.
    Case(&'a CaseResult),
}

/// Builds what is not built, runs every case, and tells `progress` of it.
///
/// # Errors
/// Fewer than two processors, no gateway, or a failed connection to it.
pub fn run(plan: &PeersPlan, progress: &mut dyn FnMut(Progress<'_>)) -> io::Result<Comparison> {
    let wanted = |name: &str| plan.only.is_empty() || plan.only.iter().any(|only| only == name);
    let contenders = server::build(&GATEWAY, wanted, |step| progress(Progress::Building(step)))?;
    let (servers, skipped) = start(contenders.into_iter())?;
    // Before this process is pinned: it tells the cores it may use.
    let host = Host::read();
    throng_ring::host::pin_to_core(CLIENT_CORE)?;
    let mut cases = Vec::new();
    for case in CASES.into_iter().filter(|case| plan.wants(*case)) {
        let result = run_case(plan, case, &servers, progress)?;
        progress(Progress::Case(&result));
        cases.push(result);
    }
    Ok(Comparison {
        schema: SCHEMA,
        host,
        connections: plan.connections,
        seconds: plan.seconds,
        rounds: plan.rounds,
        skipped,
        cases,
    })
}

/// A server in the run.
struct Running {
    name: &'static str,
    program: Program,
    /// Up for the whole run; `None`: started for each round.
    server: Option<Server>,
}

impl Running {
    fn start(name: &'static str, program: Program) -> Result<Self, String> {
        // The experiment's receive buffers are spoiled when connections end.
        let server = match name {
            UWEBSOCKETS_IO_URING => None,
            _ => Some(started(&program).map_err(|error| error.to_string())?),
        };
        Ok(Self { name, program, server })
    }

    fn measure(&self, plan: &PeersPlan, case: Case) -> io::Result<Round> {
        match &self.server {
            Some(server) => measure(plan, case, server),
            None => measure(plan, case, &started(&self.program)?),
        }
    }
}

fn started(program: &Program) -> io::Result<Server> {
    let arguments: Vec<&str> = program.arguments.iter().map(String::as_str).collect();
    Server::start(&program.path, &arguments, Some(SERVER_CORE))
}

type Started = (Vec<Running>, Vec<(&'static str, String)>);

/// Starts all that can be started. Only Throng must.
fn start(contenders: impl Iterator<Item = Contender>) -> io::Result<Started> {
    let (mut servers, mut skipped) = (Vec::new(), Vec::new());
    for Contender { name, program } in contenders {
        match program.and_then(|program| Running::start(name, program)) {
            Ok(server) => servers.push(server),
            Err(why) if name == THRONG => return Err(io::Error::other(why)),
            Err(why) => skipped.push((name, why)),
        }
    }
    Ok((servers, skipped))
}

/// All rounds of a case. A peer that fails one is out of the case; Throng's failure ends the run.
fn run_case(
    plan: &PeersPlan,
    case: Case,
    servers: &[Running],
    progress: &mut dyn FnMut(Progress<'_>),
) -> io::Result<CaseResult> {
    let suits = |name: &str| name != UWEBSOCKETS_IO_URING || case.suits_experiment();
    let suited: Vec<_> = servers.iter().filter(|server| suits(server.name)).collect();
    let mut rounds: Vec<_> = suited.iter().map(|server| (server.name, Vec::new())).collect();
    let mut failed: Vec<(&'static str, String)> = Vec::new();
    for round in 0..plan.rounds {
        for turn in 0..suited.len() {
            let place = (round + turn) % suited.len();
            let server = suited[place];
            if failed.iter().any(|(name, _)| *name == server.name) {
                continue;
            }
            match server.measure(plan, case) {
                Ok(round) => {
                    progress(Progress::Round(case, server.name, &round));
                    rounds[place].1.push(round);
                }
                Err(error) if server.name == THRONG => return Err(error),
                Err(error) => failed.push((server.name, error.to_string())),
            }
        }
    }
    rounds.retain(|(name, _)| failed.iter().all(|(failed, _)| failed != name));
    case_result(case, &rounds, failed)
        .ok_or_else(|| io::Error::other("at least one round is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(parts: &[&str]) -> Vec<String> {
        let cases = parts.iter().map(ToString::to_string).collect();
        let plan = PeersPlan { connections: 1, seconds: 1.0, rounds: 1, only: Vec::new(), cases };
        CASES.into_iter().filter(|case| plan.wants(*case)).map(|case| case.to_string()).collect()
    }

    #[test]
    fn a_case_is_chosen_by_its_name_and_several_by_a_part() {
        assert_eq!(wanted(&[]).len(), CASES.len());
        assert_eq!(wanted(&["64 B, depth 1"]), ["64 B, depth 1"]);
        assert_eq!(wanted(&["64 B, depth"]), ["64 B, depth 1", "64 B, depth 16"]);
        assert_eq!(wanted(&["no such case"]), [""; 0]);
    }
}
