//! The load generator: shards of clients, each on its own thread and ring, driven by a workload.
//!
//! A run has `shards` threads. Each owns a driver, the table of its clients and one [`Workload`];
//! nothing is shared on the way of a message. Once an interval (a second) each shard sends what it
//! saw, a [`Sample`], down a channel. The results of the run are the sum of its samples, and
//! nothing else: counters added, histograms merged. So a shard of another process or host counts
//! exactly like one of ours, and the time series costs nothing extra.
//!
//! Contracts:
//! - A client is known by its number in the run ([`ClientId`]), stable over reconnects: user names
//!   and pairs are made from it. Where its connection sits in the driver's table is the engine's.
//! - Arrivals are open: each has an intended moment, from the schedule. Latency counts from it.
//!   What the generator itself was late is [`Metric::Lateness`], and a run that lagged is not
//!   valid.
//! - Every connection that was started ends in exactly one way: it is open when the run ends, it
//!   was closed as the plan asked, or it failed with one [`Cause`]. `started = open + asked +
//!   failed` is checked at the end of a run.
//! - A client owns no buffer while nothing is under way for it.

mod acting;
pub mod address;
pub mod arrival;
pub mod cause;
mod client;
pub mod engine;
mod errno;
pub mod random;
pub mod run;
pub mod sample;
pub mod search;
pub mod settings;
pub mod shard;
pub mod target;
pub mod workload;

pub use arrival::{Arrival, Arrivals, ClientArrivals};
pub use cause::Cause;
pub use run::{RunPlan, RunRecord, Tick, run};
pub use sample::{Counter, Metric, Sample};
pub use settings::{Beat, Deadlines, Heartbeat, Settings, ShardInfo};
pub use target::Target;
pub use workload::{ClientId, End, Turn, Workload};
