//! The handle as a [`Store`]: what each call asks of the replicas.

use std::sync::atomic::Ordering::SeqCst;

use super::SimStore;
use super::replica::{Key, Replica, Value};
use super::world::{Outcome, Request};
use crate::embedded::cells::{self, Cell, CellKey, Listed, Mark, Touch};
use crate::embedded::keys::Table;
use crate::{
    Append, AppendOutcome, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow,
    Outcomes, OwnershipError, PageLimit, PartitionId, Projection, Range, Row, Store, StoreError,
    Tag, UserConvRow, UserId, Watermarks, limits,
};

type Read<T> = Result<T, StoreError>;

fn no_answer() -> StoreError {
    StoreError::Unavailable("no quorum answered in time".into())
}

impl SimStore {
    pub(super) async fn read(
        &self,
        wants: impl Fn(&Key) -> bool + Send + 'static,
    ) -> Read<Replica> {
        match self.sim.asked(Request::Read(Box::new(wants))).await {
            Outcome::Read(seen) => Ok(seen),
            _ => Err(no_answer()),
        }
    }

    pub(super) async fn write(&self, cells: Vec<(Key, Value)>) -> Read<()> {
        match self.sim.asked(Request::Write(cells)).await {
            Outcome::Written => Ok(()),
            _ => Err(no_answer()),
        }
    }

    async fn rows(&self, conv: ConvId, range: Range) -> Read<Vec<Row>> {
        let wants = move |key: &Key| match (key, range) {
            (Key::Row(of, seq, _), Range::Before(before)) => *of == conv && *seq < before,
            (Key::Row(of, seq, _), Range::After(after)) => *of == conv && *seq > after,
            _ => false,
        };
        let seen = self.read(wants).await?;
        let row = |value: &Value| match value {
            Value::Row(row) => Some(row.clone()),
            _ => None,
        };
        Ok(seen.iter().filter_map(|(_, value)| row(value)).collect())
    }

    async fn cells(
        &self,
        table: Table,
        wants: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Read<Vec<(CellKey, Cell)>> {
        let wants = move |key: &Key| match key {
            Key::Projection(key) => key.table == table && wants(key.as_bytes()),
            _ => false,
        };
        let seen = self.read(wants).await?;
        let cell = |(key, value): (&Key, &Value)| match (key, value) {
            (Key::Projection(key), Value::Projection(cell)) => Some((*key, cell.clone())),
            _ => None,
        };
        Ok(seen.iter().filter_map(cell).collect())
    }

    async fn listed(
        &self,
        wants: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Read<Vec<UserConvRow>> {
        let cells = self.cells(Table::UserConvs, wants).await?;
        let mut rows = Vec::new();
        let of_one_conv = |a: &(CellKey, Cell), b: &(CellKey, Cell)| conv_of(&a.0) == conv_of(&b.0);
        for chunk in cells.chunk_by(of_one_conv) {
            rows.extend(user_conv(chunk));
        }
        Ok(rows)
    }

    fn epoch_of(&self, partition: PartitionId) -> Option<Epoch> {
        self.me.as_ref()?.taken().get(&partition).copied()
    }

    async fn windows(
        &self,
        wants: impl Fn(&DirtyWindow) -> bool + Send + 'static,
    ) -> Read<Vec<(DirtyWindow, ConvId)>> {
        let wants = move |key: &Key| match key {
            Key::Dirty(window, _) | Key::Closed(window) => wants(window),
            _ => false,
        };
        let seen = self.read(wants).await?;
        let open = |(key, _): (&Key, &Value)| match key {
            Key::Dirty(window, conv) if seen.get(&Key::Closed(*window)).is_none() => {
                Some((*window, *conv))
            }
            _ => None,
        };
        Ok(seen.iter().filter_map(open).collect())
    }
}

/// The user's key has the conversation in its middle.
fn conv_of(key: &CellKey) -> ConvId {
    let mut conv = [0; 16];
    conv.copy_from_slice(&key.as_bytes()[16..32]);
    ConvId(conv)
}

fn user_conv(cells: &[(CellKey, Cell)]) -> Option<UserConvRow> {
    let (mut listed, mut touch, mut mark): (Option<Listed>, Touch, Mark) = Default::default();
    for (_, cell) in cells {
        match cell {
            Cell::Listed(cell) => listed = Some(cell.clone()),
            Cell::Touch(cell) => touch = *cell,
            Cell::Mark(cell) => mark = *cell,
            Cell::Conv(_) | Cell::Member(..) => {}
        }
    }
    Some(cells::user_conv_row(conv_of(&cells.first()?.0), listed?, touch, mark))
}

/// Rows up to a limit; with `whole_seqs`, beyond it the rest of those of the last seq.
fn page(rows: impl Iterator<Item = Row>, limit: PageLimit, whole_seqs: bool) -> Vec<Row> {
    let mut page: Vec<Row> = Vec::new();
    for row in rows {
        let same_seq = page.last().is_some_and(|last| last.seq == row.seq);
        let reached = limit.ended(&page);
        if reached && !(whole_seqs && same_seq) {
            break;
        }
        page.push(row);
    }
    page
}

fn page_size(limit: usize) -> usize {
    limit.min(limits::PAGE_ROWS_MAX)
}

fn projected(projections: Vec<Projection>) -> Vec<(Key, Value)> {
    let mut cells = Vec::new();
    for projection in projections {
        cells::split(projection, |key, cell| {
            cells.push((Key::Projection(key), Value::Projection(cell)));
        });
    }
    cells
}

impl Store for SimStore {
    fn log_id(&self) -> [u8; 16] {
        *b"three replicas  "
    }

    async fn take(&self, partition: PartitionId) -> Result<Epoch, OwnershipError> {
        self.take_one(partition).await
    }

    async fn fence(&self) -> FenceOutcome {
        let Some(me) = &self.me else { return FenceOutcome::Fenced };
        if me.fenced.load(SeqCst) {
            return FenceOutcome::Fenced;
        }
        let key = Key::Router(me.incarnation.router);
        let Ok(seen) = self.read(move |other| *other == key).await else {
            return FenceOutcome::Unknown;
        };
        if super::ownership::is_held(&seen, me.incarnation) {
            return FenceOutcome::Held;
        }
        me.fenced.store(true, SeqCst);
        FenceOutcome::Fenced
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        if self.sim.is_busy() {
            return Err(Busy(append));
        }
        let Append { conv, rows, dirty, .. } = append;
        let row = |row: Row| (Key::Row(conv, row.seq, row.epoch), Value::Row(row));
        let mut cells: Vec<_> = rows.into_iter().map(row).collect();
        cells.extend(dirty.map(|window| (Key::Dirty(window, conv), Value::Set)));
        let outcomes = outcomes.clone();
        self.sim.ask(Request::Write(cells), move |outcome| {
            let outcome = match outcome {
                Outcome::Written => AppendOutcome::Ok,
                _ => AppendOutcome::Unknown,
            };
            outcomes.deliver(vec![(tag, outcome)]);
        });
        Ok(())
    }

    async fn tail(&self, conv: ConvId, limit: PageLimit) -> Read<Vec<Row>> {
        let rows = self.rows(conv, Range::After(0)).await?;
        Ok(page(rows.into_iter().rev(), limit, false))
    }

    async fn range(&self, conv: ConvId, range: Range, limit: PageLimit) -> Read<Vec<Row>> {
        let rows = self.rows(conv, range).await?.into_iter();
        Ok(match range {
            Range::Before(_) => page(rows.rev(), limit, false),
            Range::After(_) => page(rows, limit, true),
        })
    }

    async fn project(&self, projections: Vec<Projection>) -> Read<()> {
        let is_conv = |projection: &Projection| matches!(projection, Projection::Conv(_));
        let (convs, others): (Vec<_>, Vec<_>) = projections.into_iter().partition(is_conv);
        self.write(projected(others)).await?;
        self.write(projected(convs)).await
    }

    async fn conv(&self, conv: ConvId) -> Read<Option<ConvRow>> {
        let cells = self.cells(Table::Conv, move |key| key == conv.0).await?;
        Ok(cells.into_iter().find_map(|(_, cell)| match cell {
            Cell::Conv(row) => Some(row),
            _ => None,
        }))
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Read<Vec<MemberRow>> {
        let cells = self.cells(Table::Members, move |key| key.starts_with(&conv.0)).await?;
        let row = |(_, cell): (CellKey, Cell)| match cell {
            Cell::Member(_, row) => Some(row).filter(|row| Some(row.user) > after),
            _ => None,
        };
        Ok(cells.into_iter().filter_map(row).take(page_size(limit)).collect())
    }

    async fn member(&self, conv: ConvId, user: UserId) -> Read<Option<MemberRow>> {
        let is_theirs = move |key: &[u8]| key.starts_with(&conv.0) && key.ends_with(&user.0);
        let cells = self.cells(Table::Members, is_theirs).await?;
        Ok(cells.into_iter().find_map(|(_, cell)| match cell {
            Cell::Member(_, row) => Some(row),
            _ => None,
        }))
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Read<Vec<UserConvRow>> {
        let rows = self.listed(move |key| key.starts_with(&user.0)).await?.into_iter();
        Ok(rows.filter(|row| Some(row.conv) > after).take(page_size(limit)).collect())
    }

    async fn user_conv(&self, user: UserId, conv: ConvId) -> Read<Option<UserConvRow>> {
        let is_theirs =
            move |key: &[u8]| key.starts_with(&user.0) && key[16..].starts_with(&conv.0);
        Ok(self.listed(is_theirs).await?.pop())
    }

    async fn watermarks(&self, conv: ConvId, users: Vec<UserId>) -> Read<Vec<Watermarks>> {
        let cells = self.cells(Table::UserConvs, move |key| key[16..].starts_with(&conv.0)).await?;
        let of_user = |user: &UserId| {
            let mark = cells.iter().find_map(|(key, cell)| match cell {
                Cell::Mark(mark) if key.as_bytes().starts_with(&user.0) => Some(*mark),
                _ => None,
            });
            mark.unwrap_or_default().watermarks()
        };
        Ok(users.iter().map(of_user).collect())
    }

    async fn open_windows(&self, partition: PartitionId) -> Read<Vec<(DirtyWindow, ConvId)>> {
        let epoch = self.epoch_of(partition).unwrap_or(Epoch::MAX);
        self.windows(move |window| window.partition == partition && window.epoch < epoch).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Read<Vec<(DirtyWindow, ConvId)>> {
        let taken = self.me.as_ref().map(|me| me.taken().clone()).unwrap_or_default();
        let earlier = move |window: &DirtyWindow| {
            taken.get(&window.partition).is_some_and(|epoch| window.epoch < *epoch)
        };
        let open = self.windows(earlier).await?;
        Ok(open.into_iter().filter(|entry| Some(*entry) > after).take(page_size(limit)).collect())
    }

    async fn moment(&self) -> Read<u64> {
        let seen = self.read(|key| *key == Key::Moment).await?;
        Ok(match seen.get(&Key::Moment) {
            Some(Value::Number(moment_ms)) => *moment_ms,
            _ => 0,
        })
    }

    async fn record_moment(&self, moment_ms: u64) -> Read<()> {
        self.write(vec![(Key::Moment, Value::Number(moment_ms))]).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Read<()> {
        self.write(vec![(Key::Closed(window), Value::Set)]).await
    }
}
