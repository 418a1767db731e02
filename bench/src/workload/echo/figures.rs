//! What an echo run came to, over its measured seconds alone.

use std::collections::BTreeMap;

use super::Window;
use crate::generator::run::{RunRecord, SecondRecord};
use crate::generator::{Counter, Sample};

/// Names of the figures.
pub const FIGURES: [&str; 4] =
    ["messages_per_second", "server_cpu_us", "client_cpu_us", "unanswered"];

/// Echoes a second, and processor microseconds of an echo on both sides. Empty if the measured
/// seconds were not reached.
#[must_use]
pub fn figures(record: &RunRecord, window: &Window) -> BTreeMap<String, f64> {
    measured(record, window).unwrap_or_default()
}

fn measured(record: &RunRecord, window: &Window) -> Option<BTreeMap<String, f64>> {
    let (begin, end) = window.span()?;
    let at = |moment| record.series.iter().find(|second| second.sample.at == moment);
    let (before, after) = (at(begin)?, at(end)?);
    let mut sum = Sample::default();
    for second in &record.series {
        if second.sample.at > begin && second.sample.at <= end {
            sum.merge(&second.sample);
        }
    }
    let echoes = sum.count(Counter::Received) as f64;
    let server_cpu = |second: &SecondRecord| {
        let reading = second.readings.server.as_ref();
        reading.map(|reading| reading.cpu.as_secs_f64())
    };
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value: f64| {
        figures.insert(name.to_owned(), value);
    };
    add("messages_per_second", echoes / (end - begin).as_secs_f64());
    add("client_cpu_us", sum.cpu.as_secs_f64() * 1e6 / echoes.max(1.0));
    if let Some((before, after)) = server_cpu(before).zip(server_cpu(after)) {
        add("server_cpu_us", (after - before) * 1e6 / echoes.max(1.0));
    }
    add("unanswered", record.total.count(Counter::Unanswered) as f64);
    Some(figures)
}
