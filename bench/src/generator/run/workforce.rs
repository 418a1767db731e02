//! Who does the work of a run: threads of this process, or workers elsewhere. The ledger cannot
//! tell.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::generator::Sample;
use crate::measure::{KernelGrowth, Readings};

/// What a shard says, and what it saw since it last said something.
#[derive(Clone, Debug)]
pub struct News {
    /// Where the shard is.
    pub stage: Stage,
    /// What it saw.
    pub sample: Sample,
}

/// Where a shard is in its run. Order: intervals, `Stopped`, `Gone`; `Failed` ends it at any time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The interval of this number is over.
    Interval(u64),
    /// Its workload wants nothing more; intervals go on.
    Done,
    /// The measured part is over, connections are being closed.
    Stopped,
    /// All its connections are closed.
    Gone,
    /// It cannot go on.
    Failed {
        /// Why, for people.
        why: String,
        /// The system's number for it, 0 if there is none.
        errno: u32,
    },
}

/// The generator's side of a run that was worked on elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// The workers' processes.
    pub readings: Readings,
    /// Growth of their hosts' kernels; `None`: they are on this host, whose kernel is read anyway.
    pub growth: Option<KernelGrowth>,
}

/// Shards at work.
pub trait Workforce {
    /// How many there are.
    fn shards(&self) -> u32;

    /// The next news.
    ///
    /// # Errors
    /// None in `patience`, or none any more.
    fn news(&mut self, patience: Duration) -> Result<News, RecvTimeoutError>;

    /// Gives the start to all.
    fn begin(&mut self, start: Instant);

    /// Ends the measured part.
    fn stop(&mut self);

    /// Waits for the end of all, after the last news. What it cost, if not in this process.
    fn join(self) -> Option<Elsewhere>;
}
