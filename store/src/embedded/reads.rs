//! Reads. Each looks at one snapshot, so that it sees every commit whole or not at all.

use std::ops::Bound;

use fjall::{Guard, Readable};

use super::cells::{self, Listed, Mark, Touch};
use super::codec::Malformed;
use super::keys::{self, Table};
use super::meta;
use super::row;
use super::tables::{Tables, read_error};
use crate::{
    ConvId, ConvRow, DirtyWindow, Epoch, MemberRow, PageLimit, PartitionId, Range, Row, StoreError,
    UserConvRow, UserId, Watermarks, limits,
};

type Read<T> = Result<T, StoreError>;

impl From<Malformed> for StoreError {
    fn from(malformed: Malformed) -> Self {
        Self::Corrupt(malformed.to_string())
    }
}

/// Keys and values of a table between two bounds.
fn scan(
    tables: &Tables,
    table: Table,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> impl DoubleEndedIterator<Item = Guard> + use<> {
    tables.database.snapshot().range::<&[u8], _>(tables.keyspace(table), (from, to))
}

fn pair(guard: Guard) -> Read<fjall::KvPair> {
    guard.into_inner().map_err(|error| read_error(&error))
}

fn log_row(guard: Guard) -> Read<Row> {
    let (key, value) = pair(guard)?;
    let (seq, epoch) = keys::read_log(&key)?;
    Ok(row::decode(seq, epoch, &value)?)
}

pub(super) fn moment(tables: &Tables) -> Read<u64> {
    let value = tables.keyspace(Table::Meta).get(keys::META_MOMENT);
    match value.map_err(|error| read_error(&error))? {
        Some(value) => Ok(meta::decode_moment(&value)?),
        None => Ok(0),
    }
}

pub(super) fn tail(tables: &Tables, conv: ConvId, limit: PageLimit) -> Read<Vec<Row>> {
    let (newest, oldest) = (keys::log(conv, u64::MAX, u32::MAX), keys::log(conv, 0, 0));
    let rows = scan(tables, Table::Log, Bound::Included(&newest), Bound::Included(&oldest));
    page_of_rows(rows, limit, false)
}

pub(super) fn range(
    tables: &Tables,
    conv: ConvId,
    range: Range,
    limit: PageLimit,
) -> Read<Vec<Row>> {
    match range {
        Range::Before(before) => {
            let newest = keys::log(conv, before, 0);
            let oldest = keys::log(conv, 0, 0);
            let (from, to) = (Bound::Excluded(&newest[..]), Bound::Included(&oldest[..]));
            if before == 0 {
                return Ok(Vec::new());
            }
            page_of_rows(scan(tables, Table::Log, from, to), limit, false)
        }
        Range::After(after) => {
            let newest = keys::log(conv, u64::MAX, u32::MAX);
            let oldest = keys::log(conv, after, u32::MAX);
            let (from, to) = (Bound::Included(&newest[..]), Bound::Excluded(&oldest[..]));
            if after == u64::MAX {
                return Ok(Vec::new());
            }
            page_of_rows(scan(tables, Table::Log, from, to).rev(), limit, true)
        }
    }
}

/// Rows up to a limit; with `whole_seqs`, beyond it the rest of those of the last seq.
fn page_of_rows(
    guards: impl Iterator<Item = Guard>,
    limit: PageLimit,
    whole_seqs: bool,
) -> Read<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0;
    for guard in guards {
        let reached = limit.is_reached(rows.len(), bytes);
        if reached && (rows.is_empty() || !whole_seqs) {
            break;
        }
        let row = log_row(guard)?;
        if reached && rows.last().is_some_and(|last| last.seq != row.seq) {
            break;
        }
        bytes += row.body.len();
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn conv(tables: &Tables, conv: ConvId) -> Read<Option<ConvRow>> {
    let value = tables.keyspace(Table::Conv).get(conv.0).map_err(|error| read_error(&error))?;
    Ok(value.map(|value| cells::decode_conv(conv, &value)).transpose()?)
}

pub(super) fn members(
    tables: &Tables,
    conv: ConvId,
    after: Option<UserId>,
    limit: usize,
) -> Read<Vec<MemberRow>> {
    let first = keys::member(conv, after.unwrap_or(UserId([0; 16])));
    let last = keys::member(conv, UserId([0xff; 16]));
    let rows = scan(tables, Table::Members, start(&first, after), Bound::Included(&last));
    let rows = rows.take(page(limit)).map(|guard| {
        let (key, value) = pair(guard)?;
        let user = key.last_chunk().ok_or(Malformed("members key"))?;
        Ok(cells::decode_member(UserId(*user), &value)?.1)
    });
    rows.collect()
}

pub(super) fn member(tables: &Tables, conv: ConvId, user: UserId) -> Read<Option<MemberRow>> {
    let value = tables.keyspace(Table::Members).get(keys::member(conv, user));
    let value = value.map_err(|error| read_error(&error))?;
    let row = |value: fjall::UserValue| Ok(cells::decode_member(user, &value)?.1);
    value.map(row).transpose()
}

pub(super) fn user_convs(
    tables: &Tables,
    user: UserId,
    after: Option<ConvId>,
    limit: usize,
) -> Read<Vec<UserConvRow>> {
    let first = match after {
        Some(conv) => keys::user_conv(user, conv, u8::MAX),
        None => keys::user_conv(user, ConvId([0; 16]), 0),
    };
    let last = keys::user_conv(user, ConvId([0xff; 16]), u8::MAX);
    let cells = scan(tables, Table::UserConvs, start(&first, after), Bound::Included(&last));
    gather(cells, page(limit))
}

/// Three point reads rather than a scan: filters tell tables apart that do not have the key.
pub(super) fn user_conv(tables: &Tables, user: UserId, conv: ConvId) -> Read<Option<UserConvRow>> {
    let snapshot = tables.database.snapshot();
    let mut gathered = Gathered::default();
    for kind in [keys::LISTED, keys::TOUCH, keys::MARK] {
        let key = keys::user_conv(user, conv, kind);
        let value = snapshot.get(tables.keyspace(Table::UserConvs), key);
        if let Some(value) = value.map_err(|error| read_error(&error))? {
            gathered.add(kind, &value)?;
        }
    }
    Ok(gathered.row(conv))
}

pub(super) fn watermarks(tables: &Tables, conv: ConvId, users: &[UserId]) -> Read<Vec<Watermarks>> {
    let snapshot = tables.database.snapshot();
    let of_user = |user: &UserId| {
        let key = keys::user_conv(*user, conv, keys::MARK);
        let value = snapshot.get(tables.keyspace(Table::UserConvs), key);
        let value = value.map_err(|error| read_error(&error))?;
        Ok(value.map_or(Ok(Mark::default()), |value| Mark::decode(&value))?.watermarks())
    };
    users.iter().map(of_user).collect()
}

/// The cells of one conversation of a user, as far as they were seen.
#[derive(Default)]
struct Gathered {
    listed: Option<Listed>,
    touch: Touch,
    mark: Mark,
}

impl Gathered {
    fn add(&mut self, kind: u8, value: &[u8]) -> Result<(), Malformed> {
        match kind {
            keys::LISTED => self.listed = Some(Listed::decode(value)?),
            keys::TOUCH => self.touch = Touch::decode(value)?,
            keys::MARK => self.mark = Mark::decode(value)?,
            _ => return Err(Malformed("kind of cell")),
        }
        Ok(())
    }

    /// A row, if the user was ever a member: marks and touches may be there first.
    fn row(self, conv: ConvId) -> Option<UserConvRow> {
        Some(cells::user_conv_row(conv, self.listed?, self.touch, self.mark))
    }
}

/// Puts cells that come in the order of their conversations together to at most `limit` rows.
fn gather(cells: impl Iterator<Item = Guard>, limit: usize) -> Read<Vec<UserConvRow>> {
    let mut rows = Vec::new();
    let mut gathered: Option<(ConvId, Gathered)> = None;
    for guard in cells {
        let (key, value) = pair(guard)?;
        let (conv, kind) = keys::read_user_conv(&key)?;
        if gathered.as_ref().is_some_and(|(current, _)| *current != conv) {
            rows.extend(gathered.take().and_then(|(conv, cells)| cells.row(conv)));
        }
        if rows.len() >= limit {
            return Ok(rows);
        }
        let (_, cells) = gathered.get_or_insert_with(|| (conv, Gathered::default()));
        cells.add(kind, &value)?;
    }
    rows.extend(gathered.and_then(|(conv, cells)| cells.row(conv)));
    rows.truncate(limit);
    Ok(rows)
}

/// Windows of epochs before `epoch` of one partition.
pub(super) fn open_windows(
    tables: &Tables,
    partition: PartitionId,
    epoch: Epoch,
) -> Read<Vec<(DirtyWindow, ConvId)>> {
    let (first, end) = (keys::dirty_epoch(partition, 0), keys::dirty_epoch(partition, epoch));
    let keys = scan(tables, Table::Dirty, Bound::Included(&first), Bound::Excluded(&end));
    keys.map(dirty_key).collect()
}

/// Windows of epochs before `epoch` of all partitions.
pub(super) fn open_windows_all(
    tables: &Tables,
    epoch: Epoch,
    after: Option<(DirtyWindow, ConvId)>,
    limit: usize,
) -> Read<Vec<(DirtyWindow, ConvId)>> {
    let first = after.map(|(window, conv)| keys::dirty(window, conv));
    let from = first.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
    let keys = scan(tables, Table::Dirty, from, Bound::Unbounded).map(dirty_key);
    let earlier = |entry: &Read<(DirtyWindow, ConvId)>| {
        entry.as_ref().map_or(true, |(window, _)| window.epoch < epoch)
    };
    keys.filter(earlier).take(page(limit)).collect()
}

fn dirty_key(guard: Guard) -> Read<(DirtyWindow, ConvId)> {
    let key = guard.key().map_err(|error| read_error(&error))?;
    Ok(keys::read_dirty(&key)?)
}

/// Where a page starts: at the first key, or behind the one that the page before ended with.
fn start<T>(first: &[u8], after: Option<T>) -> Bound<&[u8]> {
    if after.is_some() { Bound::Excluded(first) } else { Bound::Included(first) }
}

fn page(limit: usize) -> usize {
    limit.min(limits::PAGE_ROWS_MAX)
}
