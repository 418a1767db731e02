//! Rounds of a comparison become figures, ratios and verdicts.
//!
//! A ratio is taken round by round, Throng's figure over the other's of the same round, and its
//! median and ends are told: neighbours on the machine disturb both of a round alike.

use std::fmt::Write;

use serde::Serialize;

use super::case::{Against, Bar, Case, Figure};
use super::server::{THRONG, THRONG_EPOLL, UWEBSOCKETS};
use crate::host::Host;
use crate::spread::Spread;

/// Name and version of the form of [`Comparison`].
pub const SCHEMA: &str = "throng-bench-peers/1";

/// What one round of one server came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Operations per second: echoes, or connections.
    pub rate: f64,
    /// Server's processor microseconds per operation.
    pub server_cpu_us: f64,
    /// Generator's processor microseconds per operation.
    pub client_cpu_us: f64,
    /// Share of a processor that the server took.
    pub server_busy: f64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
}

/// One server's rounds of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The server.
    pub server: &'static str,
    /// All rounds, in order.
    pub rounds: Vec<Round>,
    /// Operations per second.
    pub rate: Spread,
    /// Server's processor microseconds per operation.
    pub server_cpu_us: Spread,
    /// Generator's processor microseconds per operation.
    pub client_cpu_us: Spread,
    /// Median latency, microseconds.
    pub p50_us: Spread,
    /// 99 %.
    pub p99_us: Spread,
    /// 99.9 %.
    pub p999_us: Spread,
    /// Throng's processor time per operation over this server's, round by round.
    pub cpu_ratio: Spread,
}

/// What became of a bar.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Verdict {
    /// The bar.
    pub bar: Bar,
    /// The server it was held against.
    pub server: &'static str,
    /// Throng's figure over that server's, round by round.
    pub ratio: Spread,
    /// Whether the median is within the bar.
    pub passed: bool,
}

/// One case, all servers.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// What was measured.
    pub case: Case,
    /// Throng first.
    pub rows: Vec<Row>,
    /// Servers that could not serve the case, and why.
    pub failed: Vec<(&'static str, String)>,
    /// The bars.
    pub verdicts: Vec<Verdict>,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What it ran on.
    pub host: Host,
    /// Connections of every case.
    pub connections: usize,
    /// Seconds of a round.
    pub seconds: f64,
    /// Rounds per case and server.
    pub rounds: usize,
    /// Servers that were left out, and why.
    pub skipped: Vec<(&'static str, String)>,
    /// The cases.
    pub cases: Vec<CaseResult>,
}

impl Figure {
    fn of(self, round: &Round) -> f64 {
        match self {
            Self::ServerCpu => round.server_cpu_us,
            Self::P99 => round.p99_us,
            Self::P999 => round.p999_us,
        }
    }
}

/// `ours` over `theirs`, round by round.
fn ratio(figure: Figure, ours: &[Round], theirs: &[Round]) -> Option<Spread> {
    let pairs = ours.iter().zip(theirs);
    Spread::of(&pairs.map(|(o, t)| figure.of(o) / figure.of(t)).collect::<Vec<_>>())
}

/// Puts a case's rounds together. `None` if Throng, or everybody, has none.
pub(super) fn case_result(
    case: Case,
    rounds: &[(&'static str, Vec<Round>)],
    failed: Vec<(&'static str, String)>,
) -> Option<CaseResult> {
    let ours = &rounds.iter().find(|(name, _)| *name == THRONG)?.1;
    let rows: Vec<Row> =
        rounds.iter().filter_map(|(server, rounds)| row(server, rounds, ours)).collect();
    let verdicts = case.bars().iter().filter_map(|bar| verdict(*bar, &rows)).collect();
    Some(CaseResult { case, rows, failed, verdicts })
}

fn row(server: &'static str, rounds: &[Round], ours: &[Round]) -> Option<Row> {
    let of = |field: fn(&Round) -> f64| Spread::of(&rounds.iter().map(field).collect::<Vec<_>>());
    Some(Row {
        server,
        rate: of(|round| round.rate)?,
        server_cpu_us: of(|round| round.server_cpu_us)?,
        client_cpu_us: of(|round| round.client_cpu_us)?,
        p50_us: of(|round| round.p50_us)?,
        p99_us: of(|round| round.p99_us)?,
        p999_us: of(|round| round.p999_us)?,
        cpu_ratio: ratio(Figure::ServerCpu, ours, rounds)?,
        rounds: rounds.to_vec(),
    })
}

fn verdict(bar: Bar, rows: &[Row]) -> Option<Verdict> {
    let ours = rows.iter().find(|row| row.server == THRONG)?;
    let median = |row: &Row| {
        Spread::of(&row.rounds.iter().map(|round| bar.figure.of(round)).collect::<Vec<_>>())
            .map_or(f64::INFINITY, |spread| spread.median)
    };
    let theirs = match bar.against {
        Against::Uwebsockets => rows.iter().find(|row| row.server == UWEBSOCKETS)?,
        Against::Best => rows
            .iter()
            .filter(|row| ![THRONG, THRONG_EPOLL].contains(&row.server))
            .min_by(|a, b| median(a).total_cmp(&median(b)))?,
    };
    let ratio = ratio(bar.figure, &ours.rounds, &theirs.rounds)?;
    let passed = ratio.median <= bar.ratio_max;
    Some(Verdict { bar, server: theirs.server, ratio, passed })
}

impl Comparison {
    /// Whether every bar that could be judged was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.cases.iter().flat_map(|case| &case.verdicts).all(|verdict| verdict.passed)
    }

    /// Tables for a document.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "{}\n\n{} connections, {} interleaved rounds of {} s, one core for the server and one \
             for the generator. Medians (lowest - highest round).\n\n`{}`\n",
            self.host.line(),
            self.connections,
            self.rounds,
            self.seconds,
            self.host.command
        );
        for case in &self.cases {
            case.markdown(&mut out);
        }
        for (server, why) in &self.skipped {
            let _ = writeln!(out, "\nNot measured: {server} ({why}).");
        }
        out
    }
}

impl CaseResult {
    /// One table.
    pub fn markdown(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\n### {}\n\n| server | server CPU us each | thousand/s | p50 us | p99 us | p99.9 us | \
             generator us | Throng / it |\n|---|---|---|---|---|---|---|---|",
            self.case
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {:.0} | {:.0} | {:.0} | {:.2} | {} |",
                row.server,
                spread(&row.server_cpu_us, 3),
                row.rate.median / 1e3,
                row.p50_us.median,
                row.p99_us.median,
                row.p999_us.median,
                row.client_cpu_us.median,
                if row.server == THRONG { String::new() } else { spread(&row.cpu_ratio, 2) },
            );
        }
        for verdict in &self.verdicts {
            let _ = writeln!(out, "\n{}", verdict.line());
        }
        for (server, why) in &self.failed {
            let _ = writeln!(out, "\n{server}: {why}");
        }
    }
}

impl Verdict {
    fn line(&self) -> String {
        let figure = match self.bar.figure {
            Figure::ServerCpu => "server CPU",
            Figure::P99 => "p99",
            Figure::P999 => "p99.9",
        };
        let (max, server) = (self.bar.ratio_max, self.server);
        let verdict = if self.passed { "met" } else { "missed" };
        format!("{figure} {} x {server}, bar {max:.2}: {verdict}", spread(&self.ratio, 2))
    }
}

fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { low, median, high } = spread;
    format!("{median:.digits$} ({low:.digits$} - {high:.digits$})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn round(cpu: f64, p99: f64) -> Round {
        Round {
            rate: 1000.0,
            server_cpu_us: cpu,
            client_cpu_us: 1.0,
            server_busy: 1.0,
            p50_us: 1.0,
            p99_us: p99,
            p999_us: p99,
        }
    }

    fn result(case: Case, ours: &[f64], theirs: &[f64]) -> CaseResult {
        let rounds = |cpu: &[f64]| cpu.iter().map(|cpu| round(*cpu, *cpu)).collect::<Vec<_>>();
        let rounds = [(THRONG, rounds(ours)), (UWEBSOCKETS, rounds(theirs))];
        case_result(case, &rounds, Vec::new()).unwrap()
    }

    const SMALL: Case = Case::Echo { size_bytes: 64, depth: 1 };

    #[test]
    fn a_ratio_is_of_the_rounds_and_not_of_the_medians() {
        let result = result(SMALL, &[1.0, 8.0, 3.0], &[2.0, 10.0, 2.0]);
        assert_eq!(result.rows[1].cpu_ratio, Spread { low: 0.5, median: 0.8, high: 1.5 });
    }

    #[test]
    fn a_bar_is_met_at_its_value_and_missed_above() {
        let passed = |ours| result(SMALL, &[ours], &[10.0]).verdicts[0].passed;
        assert!(passed(9.0));
        assert!(!passed(9.01));
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_lowest_median() {
        let rounds = [
            (THRONG, vec![round(8.0, 1.0)]),
            (UWEBSOCKETS, vec![round(12.0, 1.0)]),
            ("gws", vec![round(10.0, 1.0)]),
        ];
        let result = case_result(Case::Connect, &rounds, Vec::new()).unwrap();
        assert_eq!(result.verdicts[0].server, "gws");
        assert!(result.verdicts[0].passed);
    }

    #[test]
    fn without_the_peer_of_a_bar_there_is_no_verdict() {
        let rounds = [(THRONG, vec![round(8.0, 1.0)])];
        assert!(case_result(SMALL, &rounds, Vec::new()).unwrap().verdicts.is_empty());
    }

    #[test]
    fn the_tables_name_every_server_and_every_verdict() {
        let case = result(SMALL, &[1.0], &[2.0]);
        let mut out = String::new();
        case.markdown(&mut out);
        assert!(out.contains("### 64 B, depth 1"));
        assert!(out.contains("| uwebsockets | 2.000"));
        assert!(out.contains("bar 0.90: met"), "{out}");
    }
}
