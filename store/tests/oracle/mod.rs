//! A store that no stale owner can write to: every append is a conditional batch on the epoch of
//! its bucket. Slower than the plain store, and simple enough to be believed.
//!
//! Each bucket of `messages` has a static column `owner_epoch`: the highest epoch that appended to
//! it. An append of a lower one is refused as a whole, and leaves nothing. Everything else is the
//! plain store's doing.
#![allow(unreachable_pub)] // a part of a test's crate
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row as AnyRow};
use throng_store::cql::Cql;
use throng_store::{
    Append, AppendOutcome, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, MemberRow,
    Outcomes, OwnershipError, PageLimit, PartitionId, Projection, Range, Row, Store, StoreError,
    Tag, UserConvRow, UserId, Watermarks, limits,
};

use crate::cluster::Keyspace;

#[derive(Clone)]
pub struct Conditional {
    plain: Cql,
    statements: Arc<Statements>,
}

struct Statements {
    session: Session,
    owner: PreparedStatement,
    claim: PreparedStatement,
    put: PreparedStatement,
}

impl Conditional {
    pub async fn new(keyspace: &Keyspace, plain: Cql) -> Self {
        let name = &keyspace.config.keyspace;
        let session = SessionBuilder::new().known_nodes(&keyspace.config.nodes);
        let session = session.build().await.unwrap();
        let add = format!("ALTER TABLE {name}.messages ADD IF NOT EXISTS owner_epoch int STATIC");
        session.query_unpaged(add, &[]).await.unwrap();
        let prepare = async |text: String| session.prepare(text).await.unwrap();
        let mut owner = prepare(format!(
            "SELECT owner_epoch FROM {name}.messages WHERE conv_id = ? AND bucket = ? LIMIT 1"
        ))
        .await;
        owner.set_consistency(Consistency::LocalSerial);
        let claim = prepare(format!(
            "UPDATE {name}.messages SET owner_epoch = ? WHERE conv_id = ? AND bucket = ? \
             IF owner_epoch = ?"
        ))
        .await;
        let put = prepare(format!(
            "INSERT INTO {name}.messages (conv_id, bucket, seq, epoch, acked, base, n, \
             created_at_ms, sender, client_msg_id, digest, kind, ref_seq, body) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))
        .await;
        Self { plain, statements: Arc::new(Statements { session, owner, claim, put }) }
    }

    /// Appends rows of one bucket, all or none.
    async fn try_append(&self, append: &Append) -> Result<AppendOutcome, Failure> {
        let Statements { session, owner, claim, put } = &*self.statements;
        let (conv, epoch) = (&append.conv.0[..], append.epoch as i32);
        let bucket = (append.rows[0].seq >> limits::BUCKET_BITS) as i32;
        loop {
            let found = session.execute_unpaged(owner, (conv, bucket)).await?.into_rows_result()?;
            let present = found.maybe_first_row::<(Option<i32>,)>()?.and_then(|(epoch,)| epoch);
            if present.is_some_and(|present| present > epoch) {
                return Ok(AppendOutcome::Fenced);
            }
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            batch.append_statement(claim.clone());
            let key = [Some(CqlValue::Blob(conv.to_vec())), Some(CqlValue::Int(bucket))];
            let mut values = vec![vec![Some(CqlValue::Int(epoch))]];
            values[0].extend(key.clone());
            values[0].push(present.map(CqlValue::Int));
            for row in &append.rows {
                batch.append_statement(put.clone());
                values.push(key.iter().cloned().chain(cells(row).map(Some)).collect());
            }
            let answer = session.batch(&batch, values).await?.into_rows_result()?;
            if is_applied(&answer.first_row::<AnyRow>()?) {
                return Ok(AppendOutcome::Ok);
            }
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Engines give `[applied]` first, whatever follows.
fn is_applied(answer: &AnyRow) -> bool {
    matches!(answer.columns.first(), Some(Some(CqlValue::Boolean(true))))
}

fn cells(row: &Row) -> impl Iterator<Item = CqlValue> {
    let number = |value: u64| CqlValue::BigInt(value as i64);
    let bytes = |value: &[u8]| CqlValue::Blob(value.to_vec());
    [
        number(row.seq),
        CqlValue::Int(row.epoch as i32),
        number(row.acked),
        number(row.base),
        number(row.n),
        number(row.created_at_ms),
        bytes(&row.sender.0),
        bytes(&row.client_msg_id),
        bytes(&row.digest),
        CqlValue::SmallInt(row.kind.into()),
        number(row.ref_seq),
        bytes(&row.body),
    ]
    .into_iter()
}

type Read<T> = Result<T, StoreError>;

impl Store for Conditional {
    fn log_id(&self) -> [u8; 16] {
        self.plain.log_id()
    }

    async fn take(&self, partition: PartitionId) -> Result<Epoch, OwnershipError> {
        self.plain.take(partition).await
    }

    async fn fence(&self) -> FenceOutcome {
        self.plain.fence().await
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        let (store, outcomes) = (self.clone(), outcomes.clone());
        tokio::spawn(async move {
            let outcome = store.try_append(&append).await.unwrap_or(AppendOutcome::Unknown);
            outcomes.deliver(vec![(tag, outcome)]);
        });
        Ok(())
    }

    async fn tail(&self, conv: ConvId, limit: PageLimit) -> Read<Vec<Row>> {
        self.plain.tail(conv, limit).await
    }

    async fn range(&self, conv: ConvId, range: Range, limit: PageLimit) -> Read<Vec<Row>> {
        self.plain.range(conv, range, limit).await
    }

    async fn project(&self, projections: Vec<Projection>) -> Read<()> {
        self.plain.project(projections).await
    }

    async fn conv(&self, conv: ConvId) -> Read<Option<ConvRow>> {
        self.plain.conv(conv).await
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Read<Vec<MemberRow>> {
        self.plain.members(conv, after, limit).await
    }

    async fn member(&self, conv: ConvId, user: UserId) -> Read<Option<MemberRow>> {
        self.plain.member(conv, user).await
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Read<Vec<UserConvRow>> {
        self.plain.user_convs(user, after, limit).await
    }

    async fn user_conv(&self, user: UserId, conv: ConvId) -> Read<Option<UserConvRow>> {
        self.plain.user_conv(user, conv).await
    }

    async fn watermarks(&self, conv: ConvId, users: Vec<UserId>) -> Read<Vec<Watermarks>> {
        self.plain.watermarks(conv, users).await
    }

    async fn open_windows(&self, partition: PartitionId) -> Read<Vec<(DirtyWindow, ConvId)>> {
        self.plain.open_windows(partition).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Read<Vec<(DirtyWindow, ConvId)>> {
        self.plain.open_windows_all(after, limit).await
    }

    async fn moment(&self) -> Read<u64> {
        self.plain.moment().await
    }

    async fn record_moment(&self, moment_ms: u64) -> Read<()> {
        self.plain.record_moment(moment_ms).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Read<()> {
        self.plain.close_window(window).await
    }
}
