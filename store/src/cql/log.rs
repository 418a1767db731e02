//! Rows of the log: written to the bucket of their seq, read page by page.
//!
//! A conversation's rows are in buckets of [`limits::BUCKET_BITS`] bits of seq. `conv.head_bucket`
//! is at a quorum before the first row of a bucket is sent, so that whoever looks for the newest
//! rows finds them in that bucket or in the one before. Bucket 0 needs no such note.
//!
//! A page is put together from queries of bounded size, each going on behind the last key of the
//! one before, and touches two buckets at most: a bucket that is not the last has more rows than a
//! page.

use bytes::Bytes;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::MaybeUnset;

use super::client::Client;
use super::session::{Failure, persist};
use super::values::{bucket, bytes, epoch, or_zero, signed, signed_epoch, small, unsigned};
use crate::{ConvId, PageLimit, Range, Row, Seq, StoreError, UserId, limits};

type Bound<'a> = (
    &'a [u8],
    i32,
    i64,
    i32,
    i64,
    i64,
    i64,
    i64,
    &'a [u8],
    &'a [u8],
    &'a [u8],
    i16,
    MaybeUnset<i64>,
    MaybeUnset<i64>,
    &'a [u8],
);

type Found = (
    i64,
    i32,
    i64,
    i64,
    i64,
    i64,
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    i16,
    Option<i64>,
    Option<i64>,
    Vec<u8>,
);

fn bind<'a>(conv: &'a ConvId, row: &'a Row) -> Bound<'a> {
    let unless_zero = |number: u64| match number {
        0 => MaybeUnset::Unset,
        number => MaybeUnset::Set(signed(number)),
    };
    (
        &conv.0,
        bucket(row.seq),
        signed(row.seq),
        signed_epoch(row.epoch),
        signed(row.acked),
        signed(row.base),
        signed(row.n),
        signed(row.created_at_ms),
        &row.sender.0,
        &row.client_msg_id,
        &row.digest,
        i16::from(row.kind),
        unless_zero(row.flags.into()),
        unless_zero(row.ref_seq),
        &row.body,
    )
}

fn read_row(found: Found) -> Result<Row, StoreError> {
    let (seq, of_epoch, acked, base, n, at, sender, id, digest, kind, flags, ref_seq, body) = found;
    Ok(Row {
        seq: unsigned(seq)?,
        epoch: epoch(of_epoch)?,
        acked: unsigned(acked)?,
        base: unsigned(base)?,
        n: unsigned(n)?,
        created_at_ms: unsigned(at)?,
        sender: UserId(bytes(&sender)?),
        client_msg_id: bytes(&id)?,
        digest: bytes(&digest)?,
        kind: small(kind.into())?,
        flags: small(flags.unwrap_or(0))?,
        ref_seq: or_zero(ref_seq)?,
        body: Bytes::from(body),
    })
}

/// Writes rows of one conversation and one epoch, with ascending seqs. They are at a quorum when
/// this returns; a repetition writes the same again.
pub(super) async fn write(client: &Client, conv: ConvId, rows: &[Row]) -> Result<(), Failure> {
    let parts = || rows.chunk_by(|one, next| bucket(one.seq) == bucket(next.seq));
    for part in parts() {
        if let Some(first) = part.first()
            && opens_bucket(first.seq)
        {
            let (at, number) = (i64::from(bucket(first.seq)), bucket(first.seq));
            let values = (at, number, &conv.0[..]);
            client.write_for_append(&client.statements.put_head_bucket, values).await?;
        }
    }
    futures_util::future::try_join_all(parts().map(|part| write_part(client, conv, part))).await?;
    Ok(())
}

/// Whether a row is the first of a bucket that needs a note.
fn opens_bucket(seq: Seq) -> bool {
    seq > 0 && seq.trailing_zeros() >= limits::BUCKET_BITS
}

async fn write_part(client: &Client, conv: ConvId, rows: &[Row]) -> Result<(), Failure> {
    if let [row] = rows {
        return client.write_for_append(&client.statements.put_row, bind(&conv, row)).await;
    }
    // One partition, so that it is one mutation on each replica.
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    batch.set_execution_profile_handle(Some(client.profiles.append.clone()));
    for _ in rows {
        batch.append_statement(client.statements.put_row.clone());
    }
    let values: Vec<_> = rows.iter().map(|row| bind(&conv, row)).collect();
    persist(|| client.batch_once(&batch, &values)).await?;
    Ok(())
}

/// The newest bucket of a conversation.
async fn head_bucket(client: &Client, conv: ConvId) -> Result<i32, StoreError> {
    let statement = &client.statements.head_bucket;
    let found = client.read_one::<(Option<i32>,)>(statement, (&conv.0[..],)).await?;
    Ok(found.and_then(|(bucket,)| bucket).unwrap_or(0))
}

pub(super) async fn tail(
    client: &Client,
    conv: ConvId,
    limit: PageLimit,
) -> Result<Vec<Row>, StoreError> {
    let newest = head_bucket(client, conv).await?;
    let mut page = Page::new(client, conv, limit, false);
    page.cursor = (i64::MAX, -1);
    if page.fill(newest).await? == Filled::Short && newest > 0 {
        page.fill(newest - 1).await?;
    }
    Ok(page.rows)
}

pub(super) async fn range(
    client: &Client,
    conv: ConvId,
    range: Range,
    limit: PageLimit,
) -> Result<Vec<Row>, StoreError> {
    match range {
        Range::Before(before) => before_seq(client, conv, before, limit).await,
        Range::After(after) => after_seq(client, conv, after, limit).await,
    }
}

async fn before_seq(
    client: &Client,
    conv: ConvId,
    before: Seq,
    limit: PageLimit,
) -> Result<Vec<Row>, StoreError> {
    let Some(last) = before.checked_sub(1) else { return Ok(Vec::new()) };
    let mut page = Page::new(client, conv, limit, false);
    // No epoch is below 0: all rows of `before` are left out.
    page.cursor = (signed(before), -1);
    let first = bucket(last);
    if page.fill(first).await? == Filled::Whole || first == 0 {
        return Ok(page.rows);
    }
    let mut second = first - 1;
    if page.rows.is_empty() {
        // Perhaps far beyond the head.
        second = second.min(head_bucket(client, conv).await?);
        if page.fill(second).await? == Filled::Whole || second == 0 {
            return Ok(page.rows);
        }
        second -= 1;
    }
    page.fill(second).await?;
    Ok(page.rows)
}

async fn after_seq(
    client: &Client,
    conv: ConvId,
    after: Seq,
    limit: PageLimit,
) -> Result<Vec<Row>, StoreError> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let mut page = Page::new(client, conv, limit, true);
    page.cursor = (signed(after), i32::MAX);
    let first = bucket(first);
    let filled = page.fill(first).await?;
    // Seqs have no gap: what goes on in the next bucket has the last seq of this one.
    let goes_on = page.rows.last().is_some_and(|last| bucket(last.seq + 1) > first);
    if filled == Filled::Short && goes_on {
        page.fill(first + 1).await?;
    }
    Ok(page.rows)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// The page has all that its limit allows.
    Whole,
    /// The bucket has no more.
    Short,
}

struct Page<'a> {
    client: &'a Client,
    conv: ConvId,
    limit: PageLimit,
    /// Ascending, and with all epochs of the last seq.
    up: bool,
    /// Behind which key the next query goes on.
    cursor: (i64, i32),
    rows: Vec<Row>,
    bytes: usize,
}

impl<'a> Page<'a> {
    fn new(client: &'a Client, conv: ConvId, limit: PageLimit, up: bool) -> Self {
        Self { client, conv, limit, up, cursor: (0, 0), rows: Vec::new(), bytes: 0 }
    }

    fn is_reached(&self) -> bool {
        self.limit.is_reached(self.rows.len(), self.bytes)
    }

    /// Takes what the page needs from one bucket.
    async fn fill(&mut self, bucket: i32) -> Result<Filled, StoreError> {
        let statements = &self.client.statements;
        let statement = if self.up { &statements.rows_up } else { &statements.rows_down };
        while !self.is_reached() || (self.up && !self.rows.is_empty()) {
            let ask = chunk(self.limit, self.rows.len(), self.bytes);
            let (seq, of_epoch) = self.cursor;
            let values = (&self.conv.0[..], bucket, seq, of_epoch, ask as i32);
            let found = self.client.read::<Found>(statement, values).await?;
            let short = found.len() < ask;
            for found in found {
                let row = read_row(found)?;
                if !self.takes(row.seq) {
                    return Ok(Filled::Whole);
                }
                self.cursor = (signed(row.seq), signed_epoch(row.epoch));
                self.bytes += row.body.len();
                self.rows.push(row);
            }
            if short {
                return Ok(self.filled());
            }
        }
        Ok(Filled::Whole)
    }

    /// Whether the next row belongs to the page.
    fn takes(&self, seq: Seq) -> bool {
        let same_seq = self.rows.last().is_some_and(|last| last.seq == seq);
        !self.is_reached() || (self.up && same_seq)
    }

    fn filled(&self) -> Filled {
        if self.is_reached() { Filled::Whole } else { Filled::Short }
    }
}

/// How many rows the next query asks for: what the page lacks, as far as the bytes of those seen
/// tell, and one more, which shows that a seq has no more epochs.
fn chunk(limit: PageLimit, rows: usize, bytes: usize) -> usize {
    let room = limit.rows.min(limits::PAGE_ROWS_MAX).saturating_sub(rows) + 1;
    let by_bytes = match bytes.checked_div(rows) {
        None => limits::CHUNK_ROWS,
        Some(mean) => {
            let room = limit.bytes.min(limits::PAGE_BYTES_MAX).saturating_sub(bytes);
            room / mean.max(1) + 1
        }
    };
    room.min(by_bytes).clamp(1, limits::CHUNK_ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_what_is_missing_and_one_row_more() {
        let limit = |rows| PageLimit { rows, bytes: 1_000 };
        assert_eq!(chunk(limit(10), 0, 0), 11);
        assert_eq!(chunk(limit(500), 0, 0), limits::CHUNK_ROWS);
        assert_eq!(chunk(limit(500), 5, 500), 6);
        assert_eq!(chunk(limit(500), 5, 0), 496);
        assert_eq!(chunk(limit(10_000), 10, 10), limits::CHUNK_ROWS_MAX);
        assert_eq!(chunk(limit(5), 5, 2_000), 1);
    }

    #[test]
    fn a_bucket_is_opened_by_its_first_row_and_the_first_bucket_by_none() {
        let opens: Vec<_> = (0..=16_385).filter(|seq| opens_bucket(*seq)).collect();
        assert_eq!(opens, [8_192, 16_384]);
    }
}
