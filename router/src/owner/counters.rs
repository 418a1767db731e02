//! What an owner counts, and how much it has.

/// What happened since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Appends begun.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows committed.
    pub committed_rows: u64,
    /// Appends committed, and the sum of the times from sending to commit, milliseconds.
    pub commits: u64,
    /// See `commits`.
    pub commit_ms: u64,
    /// Appends of unknown outcome.
    pub unknown: u64,
    /// Conversations read from the store.
    pub loads: u64,
    /// Of them those that could not be read.
    pub load_failures: u64,
    /// Reads of rows.
    pub reads: u64,
    /// Reads for the sake of one id or creation.
    pub scans: u64,
    /// Writes that were there already.
    pub duplicates: u64,
    /// Writes refused.
    pub refused: u64,
    /// Requests refused because too many waited.
    pub overloaded: u64,
}

impl Counters {
    pub(crate) fn committed(&mut self, took_ms: u64, rows: usize) {
        self.commits += 1;
        self.commit_ms += took_ms;
        self.committed_rows += rows as u64;
    }
}

/// How much there is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Conversations in memory.
    pub conversations: usize,
    /// Memory they use, about, bytes.
    pub bytes: usize,
    /// Conversations in which something is under way.
    pub busy: usize,
}

/// What the store was asked and has not answered, whatever became of who asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnderWay {
    /// Outputs to load.
    pub(crate) loads: usize,
    /// Outputs to read rows.
    pub(crate) reads: usize,
}
