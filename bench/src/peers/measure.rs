//! One round of one case against one server.

use std::io;
use std::time::Duration;

use super::PeersPlan;
use super::case::Case;
use super::result::Round;
use crate::gateway::Server;
use crate::generator::run::{RunPlan, RunRecord, SecondRecord, run};
use crate::generator::{Arrival, Counter, Metric, Sample, Target};
use crate::limits::INTERVAL;
use crate::workload::echo::{Echo, EchoPlan, Window};
use crate::workload::reconnect::Reconnect;

/// Before the first measured second.
const WARM_UP: Duration = Duration::from_secs(1);

/// From a round's start until all connections are open, at most.
const OPENING: Duration = Duration::from_secs(30);

/// For closing after a round. Not every peer answers a close frame.
const CLOSING: Duration = Duration::from_millis(500);

/// Messages that may be under way on one connection in the open loop.
const OPEN_LOOP_DEPTH: usize = 64;

/// Runs a round.
///
/// # Errors
/// The ring could not be made, a connection failed, or nothing came back.
pub(super) fn measure(plan: &PeersPlan, case: Case, server: &Server) -> io::Result<Round> {
    match case {
        Case::Echo { size_bytes, depth } => echo(plan, server, size_bytes, depth, None),
        Case::FixedRate { size_bytes, rate } => {
            let rate = Arrival::Constant { rate: f64::from(rate) };
            echo(plan, server, size_bytes, OPEN_LOOP_DEPTH, Some(rate))
        }
        Case::Connect => connect(plan, server),
    }
}

fn run_plan(plan: &PeersPlan, server: &Server, metric: Metric) -> RunPlan {
    let target = Target::at(server.address, "/");
    let clients = u32::try_from(plan.connections).unwrap_or(u32::MAX);
    let seconds = Duration::from_secs_f64(plan.seconds);
    let mut run_plan = RunPlan::new(target, clients, OPENING + WARM_UP + seconds, metric);
    run_plan.shards = Some(1);
    run_plan.server_pids = vec![server.pid()];
    run_plan.reset_on_close = true;
    run_plan.deadlines.close = CLOSING;
    run_plan
}

fn echo(
    plan: &PeersPlan,
    server: &Server,
    size_bytes: usize,
    depth: usize,
    rate: Option<Arrival>,
) -> io::Result<Round> {
    let mut run_plan = run_plan(plan, server, Metric::Echo);
    run_plan.open_loop = rate.is_some();
    let seconds = Duration::from_secs_f64(plan.seconds);
    let echo = EchoPlan { size_bytes, depth, rate, warm_up: WARM_UP, seconds };
    let window = Window::new(&echo, run_plan.clients);
    let shared = std::sync::Arc::clone(&window);
    let record = run(&run_plan, move |info| Echo::new(echo, info, shared.clone()), &mut |_| {})
        .map_err(io::Error::other)?;
    let (begin, end) = window.span().ok_or_else(|| failure(&record))?;
    round(&record, begin, end, Counter::Received, Metric::Echo)
}

fn connect(plan: &PeersPlan, server: &Server) -> io::Result<Round> {
    let mut run_plan = run_plan(plan, server, Metric::Establish);
    let end = WARM_UP + Duration::from_secs_f64(plan.seconds.ceil());
    // A little more, so that the last measured second is whole.
    run_plan.duration = end + INTERVAL / 10;
    let record = run(&run_plan, Reconnect::new, &mut |_| {}).map_err(io::Error::other)?;
    round(&record, WARM_UP, end, Counter::Established, Metric::Establish)
}

/// What the measured seconds came to.
fn round(
    record: &RunRecord,
    begin: Duration,
    end: Duration,
    counter: Counter,
    metric: Metric,
) -> io::Result<Round> {
    if record.total.count(Counter::Failed) > 0 {
        return Err(failure(record));
    }
    let at = |moment: Duration| record.series.iter().find(|second| second.sample.at == moment);
    let (Some(before), Some(after)) = (at(begin), at(end)) else {
        return Err(io::Error::other("the run ended before its measured seconds"));
    };
    let mut sum = Sample::default();
    for second in &record.series {
        if second.sample.at > begin && second.sample.at <= end {
            sum.merge(&second.sample);
        }
    }
    let (operations, Some(times)) = (sum.count(counter), sum.times(metric)) else {
        return Err(io::Error::other("nothing came back"));
    };
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds are below 2^53")]
    let (operations, microseconds) =
        (operations.max(1) as f64, |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3);
    let elapsed = (end - begin).as_secs_f64();
    let server = server_cpu(after).saturating_sub(server_cpu(before)).as_secs_f64();
    Ok(Round {
        rate: operations / elapsed,
        server_cpu_us: server * 1e6 / operations,
        client_cpu_us: sum.cpu.as_secs_f64() * 1e6 / operations,
        server_busy: server / elapsed,
        p50_us: microseconds(0.5),
        p99_us: microseconds(0.99),
        p999_us: microseconds(0.999),
    })
}

fn server_cpu(second: &SecondRecord) -> Duration {
    second.readings.server.as_ref().map_or(Duration::ZERO, |reading| reading.cpu)
}

/// The connections that failed, and why.
fn failure(record: &RunRecord) -> io::Error {
    let causes = record
        .total
        .failures()
        .map(|(cause, detail, count)| format!("{count} x {cause} ({detail})"))
        .collect::<Vec<_>>();
    io::Error::other(format!("connections failed: {}", causes.join(", ")))
}
