//! Keys of the tables. All numbers are big-endian, so that keys sort as their fields do.
//!
//! ```text
//! Log        conv 16 │ !seq 8 │ !epoch 4          newest first: a tail is a forward scan
//! Conv       conv 16
//! Members    conv 16 │ user 16
//! UserConvs  user 16 │ conv 16 │ cell 1           one cell per kind of projection
//! Dirty      partition 2 │ epoch 4 │ window 4 │ conv 16
//! Meta       a name
//! ```

use super::codec::{Malformed, Reader};
use crate::{ConvId, DirtyWindow, Epoch, PartitionId, Seq, UserId};

/// The tables, each a keyspace of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    Log,
    Conv,
    Members,
    UserConvs,
    Dirty,
    Meta,
}

impl Table {
    pub(super) const ALL: [Self; 6] =
        [Self::Log, Self::Conv, Self::Members, Self::UserConvs, Self::Dirty, Self::Meta];

    /// Name of the keyspace.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Conv => "conv",
            Self::Members => "members",
            Self::UserConvs => "user_convs",
            Self::Dirty => "dirty",
            Self::Meta => "meta",
        }
    }
}

/// Kinds of cells in a user's list.
pub(super) const LISTED: u8 = 1;
pub(super) const TOUCH: u8 = 2;
pub(super) const MARK: u8 = 3;

pub(super) const LOG_BYTES: usize = 28;
pub(super) const DIRTY_BYTES: usize = 26;
pub(super) const CELL_BYTES: usize = 33;

/// Names in the meta table.
pub(super) const META_LOG_ID: &[u8] = b"log_id";
pub(super) const META_RUN: &[u8] = b"run";
pub(super) const META_MOMENT: &[u8] = b"moment";

/// Joins fields into a key of `N` bytes, which must be their total.
fn join<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let mut at = 0;
    for field in fields {
        key[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    debug_assert_eq!(at, N);
    key
}

pub(super) fn log(conv: ConvId, seq: Seq, epoch: Epoch) -> [u8; LOG_BYTES] {
    join(&[&conv.0, &(!seq).to_be_bytes(), &(!epoch).to_be_bytes()])
}

/// What a log key says: (seq, epoch).
pub(super) fn read_log(key: &[u8]) -> Result<(Seq, Epoch), Malformed> {
    let mut reader = Reader::new(key, "log key");
    reader.array::<16>()?;
    let seq = !u64::from_be_bytes(reader.array()?);
    let epoch = !u32::from_be_bytes(reader.array()?);
    reader.end()?;
    Ok((seq, epoch))
}

pub(super) fn member(conv: ConvId, user: UserId) -> [u8; 32] {
    join(&[&conv.0, &user.0])
}

pub(super) fn user_conv(user: UserId, conv: ConvId, cell: u8) -> [u8; CELL_BYTES] {
    join(&[&user.0, &conv.0, &[cell]])
}

/// What a key of a user's list says after the user: (conversation, kind of cell).
pub(super) fn read_user_conv(key: &[u8]) -> Result<(ConvId, u8), Malformed> {
    let mut reader = Reader::new(key, "user_convs key");
    reader.array::<16>()?;
    let conv = ConvId(reader.array()?);
    let cell = reader.byte()?;
    reader.end()?;
    Ok((conv, cell))
}

pub(super) fn dirty(window: DirtyWindow, conv: ConvId) -> [u8; DIRTY_BYTES] {
    join(&[&dirty_window(window), &conv.0])
}

/// The prefix of all keys of a window.
pub(super) fn dirty_window(window: DirtyWindow) -> [u8; 10] {
    join(&[&dirty_epoch(window.partition, window.epoch), &window.window.to_be_bytes()])
}

/// The least key of an epoch of a partition.
pub(super) fn dirty_epoch(partition: PartitionId, epoch: Epoch) -> [u8; 6] {
    join(&[&partition.to_be_bytes(), &epoch.to_be_bytes()])
}

pub(super) fn read_dirty(key: &[u8]) -> Result<(DirtyWindow, ConvId), Malformed> {
    let mut reader = Reader::new(key, "dirty key");
    let window = DirtyWindow {
        partition: u16::from_be_bytes(reader.array()?),
        epoch: u32::from_be_bytes(reader.array()?),
        window: u32::from_be_bytes(reader.array()?),
    };
    let conv = ConvId(reader.array()?);
    reader.end()?;
    Ok((window, conv))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn log_keys_sort_newest_first(a: (u64, u32), b: (u64, u32)) {
            let conv = ConvId([7; 16]);
            let (key_a, key_b) = (log(conv, a.0, a.1), log(conv, b.0, b.1));
            prop_assert_eq!(key_a.cmp(&key_b), b.cmp(&a));
            prop_assert_eq!(read_log(&key_a), Ok(a));
        }

        #[test]
        fn dirty_keys_sort_as_their_windows(a: (u16, u32, u32, [u8; 16]), b: (u16, u32, u32)) {
            let window = |(partition, epoch, window)| DirtyWindow { partition, epoch, window };
            let (first, second) = (window((a.0, a.1, a.2)), window(b));
            let key = dirty(first, ConvId(a.3));
            prop_assert_eq!(key.cmp(&dirty(second, ConvId(a.3))), first.cmp(&second));
            prop_assert_eq!(read_dirty(&key), Ok((first, ConvId(a.3))));
        }

        #[test]
        fn garbage_keys_are_refused_or_read(bytes: Vec<u8>) {
            prop_assert_eq!(read_log(&bytes).is_ok(), bytes.len() == LOG_BYTES);
            prop_assert_eq!(read_dirty(&bytes).is_ok(), bytes.len() == DIRTY_BYTES);
            prop_assert_eq!(read_user_conv(&bytes).is_ok(), bytes.len() == CELL_BYTES);
        }
    }
}
