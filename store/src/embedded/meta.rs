//! What the store remembers from run to run: the log's identity and how the last run ended.
//!
//! Each run has an epoch one higher than the one before, written and synced before the first
//! append, so that rows of two runs never share a key. The run's record says `clean` only between a
//! graceful close and the next open.
//!
//! The log keeps its identity over a clean stop, and over a crash of a run that synced before every
//! acknowledgement: all that clients were told is there. After a crash of a run that did not, the
//! tail that clients have seen may be gone, and its seqs given out again with other content: the
//! log gets a new identity, so that their cursors are found to be of another log.

use std::fs::File;
use std::io::{self, Read};

use super::codec::{Malformed, Reader};
use super::config::Durability;
use super::engine::{Engine, EngineError, Persist};
use super::keys::{META_LOG_ID, META_RUN, Table};
use crate::Epoch;

/// How a run is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) epoch: Epoch,
    /// Every acknowledgement waited for a sync.
    pub(super) synced: bool,
    pub(super) clean: bool,
}

impl Run {
    pub(super) fn encode(self) -> [u8; 6] {
        let [a, b, c, d] = self.epoch.to_be_bytes();
        [a, b, c, d, u8::from(self.synced), u8::from(self.clean)]
    }

    fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(value, "record of the last run");
        let epoch = Epoch::from_be_bytes(reader.array()?);
        let run = Self { epoch, synced: reader.flag()?, clean: reader.flag()? };
        reader.end()?;
        Ok(run)
    }
}

/// Why a run did not begin.
#[derive(Debug)]
pub(super) enum BeginError {
    Engine(EngineError),
    Malformed(Malformed),
    Random(io::Error),
    /// Four billion runs.
    EpochsUsedUp,
}

impl From<EngineError> for BeginError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Malformed> for BeginError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

/// Begins a run: durable when this returns. Gives the log's identity.
pub(super) fn begin<E: Engine>(
    engine: &mut E,
    durability: Durability,
    restored: bool,
) -> Result<([u8; 16], Run), BeginError> {
    let last = engine.get(Table::Meta, META_RUN)?;
    let last = last.map(|value| Run::decode(&value)).transpose()?;
    let kept = last.is_some_and(|run| run.clean || run.synced) && !restored;
    let log_id = match engine.get(Table::Meta, META_LOG_ID)? {
        Some(value) if kept => {
            value[..].try_into().map_err(|_| Malformed("identity of the log"))?
        }
        _ => random_id().map_err(BeginError::Random)?,
    };
    let epoch = last.map_or(Some(1), |run| run.epoch.checked_add(1));
    let epoch = epoch.ok_or(BeginError::EpochsUsedUp)?;
    let run = Run { epoch, synced: durability == Durability::Sync, clean: false };
    engine.put(Table::Meta, META_LOG_ID, &log_id);
    engine.put(Table::Meta, META_RUN, &run.encode());
    engine.commit(Persist::Synced)?;
    Ok((log_id, run))
}

/// How a moment is written down, Unix milliseconds.
pub(super) fn encode_moment(moment_ms: u64) -> [u8; 8] {
    moment_ms.to_be_bytes()
}

pub(super) fn decode_moment(value: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(value, "recorded moment");
    let moment_ms = u64::from_be_bytes(reader.array()?);
    reader.end()?;
    Ok(moment_ms)
}

fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}
