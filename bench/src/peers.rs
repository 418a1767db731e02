//! The gateway's echo beside a peer's: one pinned server, one pinned generator, interleaved rounds.
//!
//! Both servers stay up for the whole run and take turns round by round and case by case, so that a
//! neighbour's noise hits both. The figure to read is the server's processor time per echo: on two
//! cores the generator is often the narrow end, and throughput then says little about the server.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use crate::echo::{self, EchoPlan, EchoResult};
use crate::fleet::Target;
use crate::gateway::{Server, beside};
use crate::host::Host;
use crate::spread::Spread;

/// Processor of the server under measurement.
const SERVER_CORE: usize = 0;

/// Processor of the generator.
const CLIENT_CORE: usize = 1;

/// Payload bytes and depth of each case.
const CASES: [(usize, usize); 5] = [(64, 1), (64, 16), (512, 1), (512, 16), (16 * 1024, 1)];

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct PeersPlan {
    /// Connections of every case.
    pub connections: usize,
    /// Seconds per round.
    pub seconds: f64,
    /// Rounds per case and server.
    pub rounds: usize,
}

/// One server's rounds of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Rounds {
    /// Echoes per second.
    pub rate: Spread,
    /// Server's processor microseconds per echo.
    pub server_cpu_us: Spread,
    /// Median latency of each round, microseconds.
    pub p50_us: Spread,
    /// 99 % latency of each round, microseconds.
    pub p99_us: Spread,
}

/// One case, both servers.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// Payload bytes.
    pub size_bytes: usize,
    /// Messages in flight per connection.
    pub depth: usize,
    /// The gateway with `--echo`.
    pub throng: Rounds,
    /// fastwebsockets on tokio.
    pub fastwebsockets: Rounds,
    /// Echoes per second, gateway over peer, round by round.
    pub rate_ratio: Spread,
    /// Server's processor time per echo, gateway over peer, round by round: below 1 is better.
    pub cpu_ratio: Spread,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What it ran on.
    pub host: Host,
    /// Connections of every case.
    pub connections: usize,
    /// The cases.
    pub cases: Vec<Case>,
}

/// Runs every case and gives each to `progress` as it ends.
///
/// # Errors
/// Fewer than two processors, a server that is not built or does not start, a failed connection.
pub fn run(plan: &PeersPlan, mut progress: impl FnMut(&Case)) -> io::Result<Comparison> {
    throng_ring::host::pin_to_core(CLIENT_CORE)?;
    let throng = Server::start(
        &beside("throng-edge")?,
        &["--echo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shards", "1"],
        Some(SERVER_CORE),
    )?;
    let peer = Server::start(&beside("peer-fastwebsockets")?, &[], Some(SERVER_CORE))?;
    let mut cases = Vec::new();
    for (size_bytes, depth) in CASES {
        let case = run_case(plan, size_bytes, depth, &throng, &peer)?;
        progress(&case);
        cases.push(case);
    }
    Ok(Comparison { host: Host::read(), connections: plan.connections, cases })
}

fn run_case(
    plan: &PeersPlan,
    size_bytes: usize,
    depth: usize,
    throng: &Server,
    peer: &Server,
) -> io::Result<Case> {
    let echo = EchoPlan { connections: plan.connections, size_bytes, depth, seconds: plan.seconds };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        ours.push(echo::run(&target(throng), &echo, throng.pid())?);
        theirs.push(echo::run(&target(peer), &echo, peer.pid())?);
    }
    let ratio = |of: fn(&EchoResult) -> f64| {
        let pairs = ours.iter().zip(&theirs);
        spread(&pairs.map(|(ours, theirs)| of(ours) / of(theirs)).collect::<Vec<_>>())
    };
    Ok(Case {
        size_bytes,
        depth,
        rate_ratio: ratio(|round| round.rate)?,
        cpu_ratio: ratio(|round| round.server_cpu_us)?,
        throng: rounds(&ours)?,
        fastwebsockets: rounds(&theirs)?,
    })
}

fn target(server: &Server) -> Target {
    Target {
        address: server.address,
        path: "/".to_owned(),
        subprotocol: None,
        sources: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
    }
}

fn rounds(results: &[EchoResult]) -> io::Result<Rounds> {
    let of = |field: fn(&EchoResult) -> f64| spread(&results.iter().map(field).collect::<Vec<_>>());
    Ok(Rounds {
        rate: of(|round| round.rate)?,
        server_cpu_us: of(|round| round.server_cpu_us)?,
        p50_us: of(|round| round.p50_us)?,
        p99_us: of(|round| round.p99_us)?,
    })
}

fn spread(rounds: &[f64]) -> io::Result<Spread> {
    Spread::of(rounds).ok_or_else(|| io::Error::other("at least one round is needed"))
}
