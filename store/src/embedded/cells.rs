//! Cells: what projections write, and which of two writes to one cell wins.
//!
//! Every projection comes down to one or more (key, cell). A cell keeps the write with the highest
//! rank, so that the outcome is the same whatever the order and however often each is applied. The
//! rank is the seq of the event that caused the write; where two writes have the same, the rest of
//! the cell decides, so that there is always one winner. Marks are joined field by field, and so is
//! the ordinal of a joining.

use super::codec::{Malformed, Reader, put_str, put_uint};
use super::keys::{self, CELL_BYTES, Table};
use crate::{ConvId, ConvRow, MemberRow, Projection, Role, Seq, UserConvRow, UserId, Watermarks};

const VERSION: u8 = 1;

/// Where a cell lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CellKey {
    pub(crate) table: Table,
    bytes: [u8; CELL_BYTES],
    length: u8,
}

impl CellKey {
    fn new(table: Table, key: &[u8]) -> Self {
        let mut bytes = [0; CELL_BYTES];
        bytes[..key.len()].copy_from_slice(key);
        Self { table, bytes, length: key.len() as u8 }
    }

    /// The key's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Membership as seen from a user. `joined_n` only grows and `created` stays, whichever write wins:
/// one that is caused by anything but the joining, or the creation, need not know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    at: Seq,
    joined_seq: Seq,
    left_seq: Seq,
    joined_n: u64,
    direct: bool,
    big: bool,
    created: bool,
    peer: String,
}

/// The head of a conversation in a user's list. A later touch of the same head wins: who resumes
/// asks for what was touched since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touch {
    head_seq: Seq,
    head_at_ms: u64,
    head_n: u64,
}

/// A user's watermarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    delivered_seq: Seq,
    read: (Seq, u64),
}

/// A cell of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Conv(ConvRow),
    Member(Seq, MemberRow),
    Listed(Listed),
    Touch(Touch),
    Mark(Mark),
}

impl Cell {
    /// Takes over what `write` has that is newer. Says whether that was anything.
    pub(crate) fn merge(&mut self, write: Self) -> bool {
        let newer = match (&mut *self, &write) {
            (Self::Conv(row), Self::Conv(other)) => conv_rank(other) > conv_rank(row),
            (Self::Member(at, row), Self::Member(other_at, other)) => {
                member_rank(*other_at, other) > member_rank(*at, row)
            }
            (Self::Listed(listed), Self::Listed(other)) => return listed.join(other),
            (Self::Touch(touch), Self::Touch(other)) => *other > *touch,
            (Self::Mark(mark), Self::Mark(other)) => return mark.join(*other),
            _ => false,
        };
        if newer {
            *self = write;
        }
        newer
    }

    /// Appends the cell's value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Self::Conv(row) => encode_conv(row, out),
            Self::Member(at, row) => encode_member(*at, row, out),
            Self::Listed(listed) => listed.encode(out),
            Self::Touch(touch) => {
                put_uint(out, touch.head_seq);
                put_uint(out, touch.head_at_ms);
                put_uint(out, touch.head_n);
            }
            Self::Mark(mark) => {
                put_uint(out, mark.delivered_seq);
                put_uint(out, mark.read.0);
                put_uint(out, mark.read.1);
            }
        }
    }

    /// Reads the value at `key`.
    pub(super) fn decode(key: &CellKey, value: &[u8]) -> Result<Self, Malformed> {
        let bytes = key.as_bytes();
        match (key.table, bytes.last()) {
            (Table::Conv, _) => {
                let id = bytes.first_chunk().ok_or(Malformed("conv key"))?;
                decode_conv(ConvId(*id), value).map(Self::Conv)
            }
            (Table::Members, _) => {
                let id = bytes.last_chunk().ok_or(Malformed("members key"))?;
                decode_member(UserId(*id), value).map(|(at, row)| Self::Member(at, row))
            }
            (_, Some(&keys::LISTED)) => Listed::decode(value).map(Self::Listed),
            (_, Some(&keys::TOUCH)) => Touch::decode(value).map(Self::Touch),
            (_, Some(&keys::MARK)) => Mark::decode(value).map(Self::Mark),
            _ => Err(Malformed("kind of cell")),
        }
    }
}

impl Listed {
    fn rank(&self) -> (Seq, Seq, Seq, bool, bool, &str) {
        (self.at, self.joined_seq, self.left_seq, self.direct, self.big, &self.peer)
    }

    fn join(&mut self, other: &Self) -> bool {
        let joined_n = self.joined_n.max(other.joined_n);
        let created = self.created || other.created;
        let grown = joined_n > self.joined_n || created != self.created;
        let newer = other.rank() > self.rank();
        if newer {
            self.clone_from(other);
        }
        self.joined_n = joined_n;
        self.created = created;
        newer || grown
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_uint(out, self.at);
        put_uint(out, self.joined_seq);
        put_uint(out, self.left_seq);
        put_uint(out, self.joined_n);
        out.push(u8::from(self.direct));
        out.push(u8::from(self.big));
        out.push(u8::from(self.created));
        put_str(out, &self.peer);
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = versioned(value, "listed cell")?;
        let listed = Self {
            at: reader.uint()?,
            joined_seq: reader.uint()?,
            left_seq: reader.uint()?,
            joined_n: reader.uint()?,
            direct: reader.flag()?,
            big: reader.flag()?,
            created: reader.flag()?,
            peer: reader.str()?,
        };
        reader.end()?;
        Ok(listed)
    }
}

impl Touch {
    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = versioned(value, "touch cell")?;
        let touch =
            Self { head_seq: reader.uint()?, head_at_ms: reader.uint()?, head_n: reader.uint()? };
        reader.end()?;
        Ok(touch)
    }
}

impl Mark {
    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = versioned(value, "mark cell")?;
        let mark = Self { delivered_seq: reader.uint()?, read: (reader.uint()?, reader.uint()?) };
        reader.end()?;
        Ok(mark)
    }

    pub(crate) fn watermarks(self) -> Watermarks {
        Watermarks { delivered_seq: self.delivered_seq, read_seq: self.read.0 }
    }

    fn join(&mut self, other: Self) -> bool {
        let before = *self;
        self.delivered_seq = self.delivered_seq.max(other.delivered_seq);
        self.read = self.read.max(other.read);
        *self != before
    }
}

/// A user's conversation from its cells. Nothing before the user joined counts as unread.
pub(crate) fn user_conv_row(conv: ConvId, listed: Listed, touch: Touch, mark: Mark) -> UserConvRow {
    UserConvRow {
        conv,
        direct: listed.direct,
        peer: listed.peer,
        joined_seq: listed.joined_seq,
        left_seq: listed.left_seq,
        head_seq: touch.head_seq,
        head_n: touch.head_n,
        head_at_ms: touch.head_at_ms,
        read_seq: mark.read.0,
        read_n: mark.read.1.max(listed.joined_n),
        delivered_seq: mark.delivered_seq,
        big: listed.big,
        created: listed.created,
    }
}

fn conv_rank(row: &ConvRow) -> (Seq, u64, u32, bool, bool, &str) {
    let ConvRow { applied_seq, applied_n, member_count, direct, history_all, .. } = *row;
    (applied_seq, applied_n, member_count, direct, history_all, &row.name)
}

fn member_rank(at: Seq, row: &MemberRow) -> (Seq, Seq, Seq, Role, &str) {
    (at, row.joined_seq, row.left_seq, row.role, &row.name)
}

fn versioned<'a>(value: &'a [u8], what: &'static str) -> Result<Reader<'a>, Malformed> {
    let mut reader = Reader::new(value, what);
    if reader.byte()? == VERSION { Ok(reader) } else { Err(Malformed("version of a cell")) }
}

fn encode_conv(row: &ConvRow, out: &mut Vec<u8>) {
    put_uint(out, row.applied_seq);
    put_uint(out, row.applied_n);
    put_uint(out, u64::from(row.member_count));
    out.push(u8::from(row.direct));
    out.push(u8::from(row.history_all));
    put_str(out, &row.name);
}

/// Reads the value of a conversation.
pub(super) fn decode_conv(conv: ConvId, value: &[u8]) -> Result<ConvRow, Malformed> {
    let mut reader = versioned(value, "conv cell")?;
    let row = ConvRow {
        conv,
        applied_seq: reader.uint()?,
        applied_n: reader.uint()?,
        member_count: reader.uint32()?,
        direct: reader.flag()?,
        history_all: reader.flag()?,
        name: reader.str()?,
    };
    reader.end()?;
    Ok(row)
}

fn encode_member(at: Seq, row: &MemberRow, out: &mut Vec<u8>) {
    put_uint(out, at);
    put_uint(out, row.joined_seq);
    put_uint(out, row.left_seq);
    out.push(match row.role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    });
    put_str(out, &row.name);
}

/// Reads the value of a member, and the seq of the event that wrote it.
pub(super) fn decode_member(user: UserId, value: &[u8]) -> Result<(Seq, MemberRow), Malformed> {
    let mut reader = versioned(value, "member cell")?;
    let at = reader.uint()?;
    let (joined_seq, left_seq) = (reader.uint()?, reader.uint()?);
    let role = match reader.byte()? {
        0 => Role::Member,
        1 => Role::Admin,
        2 => Role::Owner,
        _ => return Err(Malformed("role")),
    };
    let name = reader.str()?;
    reader.end()?;
    Ok((at, MemberRow { user, name, role, joined_seq, left_seq }))
}

/// Cells that a projection writes.
pub(super) fn count(projection: &Projection) -> usize {
    match projection {
        Projection::Touch { users, .. } => users.len(),
        _ => 1,
    }
}

/// Hands the cells of a projection to `write`.
pub(crate) fn split(projection: Projection, mut write: impl FnMut(CellKey, Cell)) {
    let listed_key =
        |user, conv, kind| CellKey::new(Table::UserConvs, &keys::user_conv(user, conv, kind));
    match projection {
        Projection::Conv(row) => write(CellKey::new(Table::Conv, &row.conv.0), Cell::Conv(row)),
        Projection::Member { conv, row, at } => {
            write(
                CellKey::new(Table::Members, &keys::member(conv, row.user)),
                Cell::Member(at, row),
            );
        }
        Projection::Listed {
            user,
            conv,
            direct,
            peer,
            joined_seq,
            left_seq,
            joined_n,
            big,
            created,
            at,
        } => {
            let listed = Listed { at, joined_seq, left_seq, joined_n, direct, big, created, peer };
            write(listed_key(user, conv, keys::LISTED), Cell::Listed(listed));
        }
        Projection::Touch { users, conv, head_seq, head_n, head_at_ms } => {
            for user in users.iter() {
                let touch = Touch { head_seq, head_at_ms, head_n };
                write(listed_key(*user, conv, keys::TOUCH), Cell::Touch(touch));
            }
        }
        Projection::Mark { user, conv, delivered_seq, read_seq, read_n } => {
            let mark = Mark { delivered_seq, read: (read_seq, read_n) };
            write(listed_key(user, conv, keys::MARK), Cell::Mark(mark));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [u8; 4] = [keys::LISTED, keys::TOUCH, keys::MARK, 99];

    fn keys_of_all_kinds() -> Vec<CellKey> {
        let (user, conv) = (UserId([1; 16]), ConvId([2; 16]));
        let lists =
            KINDS.map(|kind| CellKey::new(Table::UserConvs, &keys::user_conv(user, conv, kind)));
        let conv_key = CellKey::new(Table::Conv, &conv.0);
        let member_key = CellKey::new(Table::Members, &keys::member(conv, user));
        [conv_key, member_key].into_iter().chain(lists).collect()
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_a_cell(mut value: Vec<u8>) {
            value.insert(0, VERSION);
            for key in keys_of_all_kinds() {
                let _ = Cell::decode(&key, &value);
                let _ = Cell::decode(&key, &value[1..]);
            }
        }

        #[test]
        fn cells_come_back(
            numbers: [u64; 4],
            flags: (bool, bool, bool),
            text: String,
            role in prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)],
        ) {
            let [at, x, y, z] = numbers;
            let (user, conv) = (UserId([1; 16]), ConvId([2; 16]));
            let conv_row = ConvRow {
                conv,
                direct: flags.0,
                name: text.clone(),
                history_all: flags.1,
                applied_seq: at,
                applied_n: x,
                member_count: y as u32,
            };
            let member =
                MemberRow { user, name: text.clone(), role, joined_seq: x, left_seq: y };
            let listed = Listed {
                at,
                joined_seq: x,
                left_seq: y,
                joined_n: z,
                direct: flags.0,
                big: flags.1,
                created: flags.2,
                peer: text,
            };
            let cells = [
                Cell::Conv(conv_row),
                Cell::Member(at, member),
                Cell::Listed(listed),
                Cell::Touch(Touch { head_seq: at, head_at_ms: x, head_n: y }),
                Cell::Mark(Mark { delivered_seq: at, read: (x, y) }),
            ];
            for (key, cell) in keys_of_all_kinds().iter().zip(cells) {
                let mut value = Vec::new();
                cell.encode(&mut value);
                prop_assert_eq!(Cell::decode(key, &value), Ok(cell));
                value.push(0);
                prop_assert!(Cell::decode(key, &value).is_err());
            }
        }
    }
}
