//! What one replica has: cells, each of which only grows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::embedded::cells::{Cell, CellKey};
use crate::{
    ConvId, DirtyWindow, Epoch, Incarnation, PartitionId, PartitionRow, RouterId, RouterRow, Row,
    Seq,
};

/// Where a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Row(ConvId, Seq, Epoch),
    Dirty(DirtyWindow, ConvId),
    Closed(DirtyWindow),
    Projection(CellKey),
    Moment,
    Renewal(Incarnation),
    Router(RouterId),
    Partition(PartitionId),
}

/// What is there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Row(Row),
    Set,
    Projection(Cell),
    Number(u64),
    /// With the number of the conditional write that made it.
    Serial(u64, Serial),
}

/// What conditional writes change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Serial {
    Router(RouterRow),
    Partition(PartitionRow),
}

impl Value {
    fn join(&mut self, other: &Self, key: &Key) {
        match (&mut *self, other) {
            (Self::Row(row), Self::Row(other)) => {
                assert!(row == other, "two contents for {key:?}:\n{row:?}\n{other:?}");
            }
            (Self::Projection(cell), Self::Projection(other)) => _ = cell.merge(other.clone()),
            (Self::Number(number), Self::Number(other)) => *number = (*number).max(*other),
            (Self::Serial(version, _), Self::Serial(newer, _)) if newer > version => {
                self.clone_from(other);
            }
            _ => {}
        }
    }
}

/// Cells of one replica, or those that several had.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica(BTreeMap<Key, Value>);

impl Replica {
    /// One cell arrives.
    pub(super) fn apply(&mut self, key: Key, value: &Value) {
        match self.0.entry(key) {
            Entry::Vacant(vacant) => _ = vacant.insert(value.clone()),
            Entry::Occupied(mut there) => there.get_mut().join(value, &key),
        }
    }

    /// The cells that `wants` picks, as they are now.
    pub(super) fn part(&self, wants: &dyn Fn(&Key) -> bool) -> Self {
        let wanted = self.0.iter().filter(|(key, _)| wants(key));
        Self(wanted.map(|(key, value)| (*key, value.clone())).collect())
    }

    /// What another replica has is added.
    pub(super) fn join(&mut self, other: &Self) {
        for (key, value) in &other.0 {
            self.apply(*key, value);
        }
    }

    /// The cells in the order of their keys.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> {
        self.0.iter()
    }

    /// One cell.
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.0.get(key)
    }
}
