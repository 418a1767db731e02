//! The rules, each of which can be left out, and the choices of the real code, remembered.

use std::collections::HashMap;

use bytes::Bytes;
use throng_router::owner::{choose, highest_epochs};
use throng_store::{Row, UserId};

use crate::model::{OWNERS_MAX, SEQS_MAX};

/// What an owner adheres to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Adopted rows that may not be at a quorum are written again before anything else.
    pub(crate) rewrite: bool,
    /// A commit takes a fence read that begins when its rows are at a quorum. Without it a lease is
    /// checked against a clock, which a pause has stopped.
    pub(crate) fence_at_commit: bool,
    /// A taker's fence read begins after its tail read, and not before.
    pub(crate) fence_after_tail: bool,
    /// Which rows are not part of the log.
    pub(crate) dead: Dead,
}

/// Which rows are not part of the log, besides those below a higher epoch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dead {
    /// At or above the base of a later epoch.
    AboveBase,
    /// None.
    Never,
    /// Those of a lower epoch than the row before.
    IfLowerThanBefore,
}

impl Rules {
    /// As they are.
    pub(crate) const ALL: Self = Self {
        rewrite: true,
        fence_at_commit: true,
        fence_after_tail: true,
        dead: Dead::AboveBase,
    };
}

/// Epoch of the row that was chosen at each seq, 0 = none.
pub(crate) type Epochs = [u8; SEQS_MAX];

/// Rows that were seen: their bits, and what they say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) mask: u16,
    pub(crate) bases: [u8; OWNERS_MAX],
    pub(crate) acked: [[u8; SEQS_MAX]; OWNERS_MAX],
}

/// The bit of a row. Epochs and seqs count from 1.
pub(crate) fn bit(epoch: u8, seq: u8) -> u16 {
    1 << (usize::from(epoch - 1) * SEQS_MAX + usize::from(seq - 1))
}

/// Asks the owner's code, once for each question.
pub(crate) struct Choices {
    dead: Dead,
    chosen: HashMap<Seen, (Epochs, u8)>,
    highest: Vec<Option<Epochs>>,
}

impl Choices {
    pub(crate) fn new(dead: Dead) -> Self {
        Self { dead, chosen: HashMap::new(), highest: vec![None; 1 << (OWNERS_MAX * SEQS_MAX)] }
    }

    /// The log as a new owner adopts it, and up to where it is committed.
    pub(crate) fn choose(&mut self, seen: Seen) -> (Epochs, u8) {
        let dead = self.dead;
        *self.chosen.entry(seen).or_insert_with(|| {
            let mut rows = rows(&seen, dead);
            if dead == Dead::IfLowerThanBefore {
                rows = grow_along_the_log(rows);
            }
            let chosen = choose(1, rows);
            (epochs(&chosen.rows), u8::try_from(chosen.acked).unwrap())
        })
    }

    /// What a reader takes at each seq, of rows with these bits.
    pub(crate) fn highest(&mut self, mask: u16) -> Epochs {
        *self.highest[usize::from(mask)].get_or_insert_with(|| {
            let seen = Seen { mask, bases: [1; OWNERS_MAX], acked: Default::default() };
            epochs(&highest_epochs(rows(&seen, Dead::AboveBase)))
        })
    }
}

/// In the order of (seq, epoch).
fn rows(seen: &Seen, dead: Dead) -> Vec<Row> {
    let keys = (1..=SEQS_MAX).flat_map(|seq| (1..=OWNERS_MAX).map(move |epoch| (seq, epoch)));
    let there = keys.filter(|(seq, epoch)| seen.mask & bit(*epoch as u8, *seq as u8) != 0);
    let row = |(seq, epoch): (usize, usize)| Row {
        seq: seq as u64,
        epoch: epoch as u32,
        acked: seen.acked[epoch - 1][seq - 1].into(),
        base: if dead == Dead::AboveBase { seen.bases[epoch - 1].into() } else { u64::MAX },
        n: 0,
        created_at_ms: 0,
        sender: UserId([0; 16]),
        client_msg_id: [0; 16],
        digest: [0; 8],
        kind: 0,
        flags: 0,
        ref_seq: 0,
        body: Bytes::new(),
    };
    there.map(row).collect()
}

/// The highest epoch at each seq, up to the first that is lower than the one before it.
fn grow_along_the_log(rows: Vec<Row>) -> Vec<Row> {
    let mut before = 0;
    let grows = |row: &Row| row.epoch >= std::mem::replace(&mut before, row.epoch);
    highest_epochs(rows).into_iter().take_while(grows).collect()
}

fn epochs(rows: &[Row]) -> Epochs {
    let mut epochs = Epochs::default();
    for row in rows {
        epochs[row.seq as usize - 1] = row.epoch as u8;
    }
    epochs
}
