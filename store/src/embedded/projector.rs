//! Brings cells up to date: reads each once, merges what projections write to it, writes those that
//! changed. Only the committer does this, so that no write comes between the read and the write.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;

use super::cells::{self, Cell, CellKey};
use super::codec::Malformed;
use super::engine::{Engine, EngineError};
use crate::Projection;

/// Why a cell was not brought up to date.
#[derive(Debug, Error)]
pub(super) enum ProjectError {
    /// The engine could not read: the end of the store.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// What the cell holds is not a cell. It stays as it is, which harms nobody else.
    #[error("{0}")]
    Corrupt(#[from] Malformed),
}

/// The cells of one batch of projections. Empty between batches.
#[derive(Default)]
pub(super) struct Projector {
    cells: HashMap<CellKey, Pending>,
    value: Vec<u8>,
}

struct Pending {
    cell: Cell,
    changed: bool,
}

impl Projector {
    /// Merges a projection's cells into the batch: all that can be read, if one is corrupt.
    pub(super) fn add<E: Engine>(
        &mut self,
        engine: &E,
        projection: Projection,
    ) -> Result<(), ProjectError> {
        let mut result = Ok(());
        cells::split(projection, |key, cell| {
            if matches!(result, Err(ProjectError::Engine(_))) {
                return;
            }
            if let Err(error) = self.merge(engine, key, cell) {
                result = Err(error);
            }
        });
        result
    }

    fn merge<E: Engine>(
        &mut self,
        engine: &E,
        key: CellKey,
        write: Cell,
    ) -> Result<(), ProjectError> {
        match self.cells.entry(key) {
            Entry::Occupied(mut entry) => {
                let pending = entry.get_mut();
                pending.changed |= pending.cell.merge(write);
            }
            Entry::Vacant(entry) => {
                let pending = match engine.get(key.table, key.as_bytes())? {
                    None => Pending { cell: write, changed: true },
                    Some(value) => {
                        let mut cell = Cell::decode(&key, &value)?;
                        let changed = cell.merge(write);
                        Pending { cell, changed }
                    }
                };
                entry.insert(pending);
            }
        }
        Ok(())
    }

    /// Puts the changed cells into the engine's next commit. Says how many.
    pub(super) fn flush<E: Engine>(&mut self, engine: &mut E) -> usize {
        let mut changed = 0;
        for (key, pending) in self.cells.drain().filter(|(_, pending)| pending.changed) {
            self.value.clear();
            pending.cell.encode(&mut self.value);
            engine.put(key.table, key.as_bytes(), &self.value);
            changed += 1;
        }
        changed
    }
}
