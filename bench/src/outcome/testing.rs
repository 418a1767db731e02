//! Results for the tests of this crate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build::{Ingredients, Interval, build};
use super::{Outcome, Side};
use crate::generator::{Cause, Counter, Metric, Sample};
use crate::host::Host;

/// A run of `kind` with this total and nothing else.
pub(crate) fn ingredients<'a>(
    kind: &'a str,
    total: &'a Sample,
    series: &'a [Interval],
) -> Ingredients<'a> {
    let host = Host {
        cpu: "Test Processor".to_owned(),
        cores: 2,
        memory_bytes: 24 << 30,
        kernel: "6.12.0".to_owned(),
        commit: "0123456789".to_owned(),
        command: format!("throng-bench {kind}"),
    };
    Ingredients {
        kind,
        host,
        plan: BTreeMap::from([("connections".to_owned(), 100.into())]),
        started_ms: 1_790_000_000_000,
        measured: Duration::from_secs(10),
        total,
        series,
        client: Side { cpu_seconds: 2.0, ..Side::default() },
        server: None,
        figures: BTreeMap::new(),
        findings: Vec::new(),
        invalid: Vec::new(),
    }
}

/// An echo run of 1000 messages with one failed connection and both sides known.
pub(crate) fn echo_outcome() -> Outcome {
    let mut total = Sample::default();
    for n in 1..=1000 {
        total.record(Metric::Echo, Duration::from_micros(n * 2));
        total.record(Metric::EchoSent, Duration::from_micros(n));
    }
    total.add(Counter::Established, 99);
    total.add(Counter::Sent, 1000);
    total.fail(Cause::BadUpgrade, 503);
    let series: Vec<Interval> = (1..=10).map(second).collect();
    let mut run = ingredients("echo", &total, &series);
    run.server = Some(Side {
        pids: vec![4711],
        cpu_seconds: 3.5,
        rss_bytes: 50_000_000,
        rss_before_bytes: 10_000_000,
        slab_bytes: 400_000,
        user_bytes_per_connection: 500.0,
        kernel_bytes_per_connection: 4000.0,
        ..Side::default()
    });
    run.figures.insert("messages_per_second".to_owned(), 100.0);
    build(run)
}

fn second(number: u64) -> Interval {
    let mut sample = Sample::default();
    (sample.at, sample.open) = (Duration::from_secs(number), 99);
    sample.cpu = Duration::from_millis(200);
    sample.add(Counter::Sent, 100);
    sample.record(Metric::Echo, Duration::from_micros(100 * number));
    let server_cpu = Duration::from_millis(350);
    Interval { sample, server_cpu, server_rss_bytes: 50_000_000, slab_bytes: 1_000_000 * number }
}
