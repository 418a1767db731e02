//! The result of a run: what every subcommand writes with `--json`, and what `compare`, `report`
//! and thresholds read. The form is a contract with scripts: fields are only added; a change of
//! meaning changes [`SCHEMA`].

pub mod build;
pub mod compare;
pub mod csv;
pub mod format;
pub mod hdr;
pub mod histogram;
pub mod read;
pub mod text;
pub mod threshold;

#[cfg(test)]
pub(crate) mod testing;

pub use build::{Ingredients, Interval, build};
pub use threshold::Threshold;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::host::Host;

/// Name and version of the form.
pub const SCHEMA: &str = "throng-bench/1";

/// The result of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: String,
    /// The subcommand.
    pub kind: String,
    /// Whether the figures may be believed. False if the generator lagged, or its books do not
    /// balance.
    pub valid: bool,
    /// Why not, each beginning with a word of a closed list and a colon: `generator: …`.
    pub invalid: Vec<String>,
    /// What it ran on.
    pub host: Host,
    /// The parameters, defaults included, by their names on the command line. Runs with other
    /// parameters are not compared silently.
    pub plan: BTreeMap<String, serde_json::Value>,
    /// The start, in milliseconds since 1970.
    pub started_ms: u64,
    /// How long the measured part took.
    pub seconds: f64,
    /// Connections that became usable.
    pub established: u64,
    /// Connections that failed, by the names of [`crate::generator::Cause`]. Only causes that
    /// happened.
    pub failed: BTreeMap<String, u64>,
    /// The same with their details: `closed/4001`, `bad_upgrade/503`.
    pub failed_detail: BTreeMap<String, u64>,
    /// Everything counted, by the names of [`crate::generator::Counter`].
    pub counters: BTreeMap<String, u64>,
    /// Percentiles by the names of [`crate::generator::Metric`], in microseconds.
    pub latency_us: BTreeMap<String, Percentiles>,
    /// The whole histograms (HdrHistogram V2 with deflate, base64; nanoseconds), by the same names.
    pub histograms: BTreeMap<String, String>,
    /// The server, if its process or admin address was given.
    pub server: Option<Side>,
    /// The generator itself.
    pub client: Side,
    /// One entry a second.
    pub series: Vec<Second>,
    /// Figures of this kind of run alone, by name (`deliveries_per_second`,
    /// `bytes_per_connection`).
    pub figures: BTreeMap<String, f64>,
    /// What was found to limit the run, and what to do.
    pub findings: Vec<String>,
    /// The thresholds that were asked for.
    pub thresholds: Vec<Verdict>,
}

/// Where a metric's times lie, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many times were recorded.
    pub count: u64,
    /// The lowest.
    pub min: f64,
    /// The mean; never to be shown alone.
    pub mean: f64,
    /// 50 %.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// 99.99 %.
    pub p99_99: f64,
    /// The highest.
    pub max: f64,
}

/// What a run cost on one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    /// Processes (several on one host, or several workers).
    pub pids: Vec<u32>,
    /// Processor time during the measured part, all threads.
    pub cpu_seconds: f64,
    /// Resident anonymous memory at the fullest moment.
    pub rss_bytes: u64,
    /// The same before the first connection.
    pub rss_before_bytes: u64,
    /// Growth of the kernel's slab that is this side's: measured where the other side is on
    /// another host, apportioned by socket where both are on one (`slab_shared`).
    pub slab_bytes: u64,
    /// Growth of the pages that hold data in sockets (both sides if on one host).
    pub socket_bytes: u64,
    /// Whether both sides are on one host and the slab was apportioned.
    pub slab_shared: bool,
    /// Resident growth per established connection.
    pub user_bytes_per_connection: f64,
    /// Slab growth per established connection.
    pub kernel_bytes_per_connection: f64,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Since the start.
    pub second: f64,
    /// Connections usable.
    pub open: u64,
    /// Connections that became usable in it.
    pub established: u64,
    /// Connections that failed in it.
    pub failed: u64,
    /// Messages sent in it.
    pub sent: u64,
    /// Messages that came in it.
    pub received: u64,
    /// Median of the kind's main metric in it, microseconds; 0 without any.
    pub p50_us: f64,
    /// 99 % of the same.
    pub p99_us: f64,
    /// 99 % of the generator's lateness in it.
    pub lateness_p99_us: f64,
    /// Processor seconds of the generator in it.
    pub client_cpu_seconds: f64,
    /// Processor seconds of the server in it.
    pub server_cpu_seconds: f64,
    /// Resident memory of the server.
    pub server_rss_bytes: u64,
    /// Slab of the host.
    pub slab_bytes: u64,
}

/// A threshold and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// As it was given.
    pub expression: String,
    /// The value in its unit; none if the run has no data for it, and then it does not hold.
    pub value: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
}
