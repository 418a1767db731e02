//! What is seen of a run while it goes on: one line a second, redrawn in place on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throng_bench::generator::run::{Hooks, Tick};
use throng_bench::generator::{Arrival, Counter, Metric, Sample};
use throng_bench::outcome::format::{count, time_us};

/// Without an established connection for this long, while some are being made, a run stalls.
const STALL: Duration = Duration::from_secs(3);

/// The progress view.
pub(crate) struct Live {
    /// The metric shown.
    main: Metric,
    /// What is aimed at, for the line.
    arrival: Option<Arrival>,
    is_quiet: bool,
    is_terminal: bool,
    interrupted: Arc<AtomicBool>,
    since_progress: Duration,
    /// Longest time without progress.
    pub(crate) stalled: Duration,
}

impl Live {
    pub(crate) fn new(
        main: Metric,
        arrival: Option<Arrival>,
        is_quiet: bool,
        interrupted: Arc<AtomicBool>,
    ) -> Self {
        Self {
            main,
            arrival,
            is_quiet,
            is_terminal: io::stdout().is_terminal(),
            interrupted,
            since_progress: Duration::ZERO,
            stalled: Duration::ZERO,
        }
    }

    fn watch_progress(&mut self, tick: &Tick<'_>) {
        let total = tick.total;
        let ended = total.count(Counter::ClosedAsAsked) + total.count(Counter::Failed);
        let settled = ended + tick.sample.open;
        let moved = tick.sample.count(Counter::Established) + tick.sample.count(Counter::Failed);
        let waits = total.count(Counter::Started) > settled && moved == 0;
        self.since_progress =
            if waits { self.since_progress + Duration::from_secs(1) } else { Duration::ZERO };
        if self.since_progress >= STALL {
            self.stalled = self.stalled.max(self.since_progress);
        }
    }

    fn line(&self, tick: &Tick<'_>) -> String {
        let sample = tick.sample;
        let target = match &self.arrival {
            Some(arrival) => format!("  target {}/s", count(arrival.rate_at(tick.at) as u64)),
            None => String::new(),
        };
        let messages = match sample.count(Counter::Received) {
            0 => String::new(),
            received => format!("  {} messages/s", count(received)),
        };
        format!(
            "{:>6.0} s{target}  open {}  +{}  failed {}{}{messages}{}  late p99 {}",
            tick.at.as_secs_f64(),
            count(sample.open),
            count(sample.count(Counter::Established)),
            count(tick.total.count(Counter::Failed)),
            causes(tick.total),
            times(sample, self.main),
            percentile(sample, Metric::Lateness, 0.99),
        )
    }

    /// Ends a line that was redrawn.
    pub(crate) fn finish(&self) {
        if self.is_terminal && !self.is_quiet {
            let _ = writeln!(io::stdout());
        }
    }
}

fn causes(total: &Sample) -> String {
    let mut by_cause = std::collections::BTreeMap::new();
    for (cause, _, number) in total.failures() {
        *by_cause.entry(cause).or_insert(0) += number;
    }
    let named: Vec<_> =
        by_cause.iter().map(|(cause, number)| format!("{cause} {}", count(*number))).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

fn times(sample: &Sample, main: Metric) -> String {
    let has_any = sample.times(main).is_some_and(|times| !times.is_empty());
    if !has_any {
        return String::new();
    }
    let at = |quantile| percentile(sample, main, quantile);
    format!("  {} p50 {} p99 {}", main.name(), at(0.5), at(0.99))
}

fn percentile(sample: &Sample, metric: Metric, quantile: f64) -> String {
    match sample.times(metric).filter(|times| !times.is_empty()) {
        Some(times) => time_us(times.value_at_quantile(quantile) as f64 / 1e3),
        None => "-".to_owned(),
    }
}

impl Hooks for Live {
    fn tick(&mut self, tick: &Tick<'_>) {
        self.watch_progress(tick);
        if self.is_quiet {
            return;
        }
        let (line, mut out) = (self.line(tick), io::stdout());
        // Nobody may read any more: the run goes on and its files are written.
        let _ = match self.is_terminal {
            true => write!(out, "\r\x1b[K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }

    fn stops(&mut self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
}
