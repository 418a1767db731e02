//! One connection to the store that all handles of a process share: requests by use, each bounded.

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Semaphore;

use super::config::{Config, OpenError};
use super::session::{self, Failure, Profiles, persist};
use super::statements::Statements;
use crate::{StoreError, limits};

/// The session, its statements, and room for requests.
pub(super) struct Client {
    session: Session,
    pub(super) statements: Statements,
    pub(super) profiles: Profiles,
    room: Semaphore,
}

impl Client {
    pub(super) async fn new(session: Session, config: &Config) -> Result<Self, OpenError> {
        let profiles = Profiles::new(config);
        let statements = Statements::prepare(&session, &config.keyspace, &profiles).await?;
        Ok(Self { session, statements, profiles, room: Semaphore::new(limits::CQL_REQUESTS) })
    }

    /// Makes one attempt.
    pub(super) async fn once(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<QueryResult, Failure> {
        Ok(self.session.execute_unpaged(statement, values).await?)
    }

    /// Makes one attempt of a batch.
    pub(super) async fn batch_once(
        &self,
        batch: &Batch,
        values: &[impl SerializeRow],
    ) -> Result<QueryResult, Failure> {
        Ok(self.session.batch(batch, values).await?)
    }

    /// A write that nobody's acknowledgement waits for, made again until it succeeds or that is
    /// hopeless.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), StoreError> {
        let _room = self.room().await?;
        persist(|| self.once(statement, &values)).await?;
        Ok(())
    }

    /// A write that an acknowledgement waits for: room was made for the append as a whole.
    pub(super) async fn write_for_append(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), Failure> {
        persist(|| self.once(statement, &values)).await?;
        Ok(())
    }

    /// Rows of a read.
    pub(super) async fn read<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'a> DeserializeRow<'a, 'a>,
    {
        let _room = self.room().await?;
        let result = persist(|| self.once(statement, &values)).await?;
        rows(result)
    }

    /// The one row of a read that an acknowledgement waits for: it does not queue behind others.
    pub(super) async fn read_at_once<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'a> DeserializeRow<'a, 'a>,
    {
        Ok(rows(persist(|| self.once(statement, &values)).await?)?.pop())
    }

    /// The one row of a read, if there is one.
    pub(super) async fn read_one<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'a> DeserializeRow<'a, 'a>,
    {
        Ok(self.read(statement, values).await?.pop())
    }

    async fn room(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        let room = self.room.acquire().await;
        room.map_err(|_| StoreError::Fatal("the store is closed".into()))
    }
}

fn rows<R>(result: QueryResult) -> Result<Vec<R>, StoreError>
where
    R: for<'a> DeserializeRow<'a, 'a>,
{
    let result = result.into_rows_result().map_err(corrupt)?;
    result.rows::<R>().map_err(corrupt)?.map(|row| row.map_err(corrupt)).collect()
}

/// What was read is not what is written here.
pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Whether a conditional write was applied. Engines differ in everything else that they answer.
pub(super) fn applied(result: QueryResult) -> Result<bool, Failure> {
    use scylla::value::{CqlValue, Row};

    let unreadable = |error: &dyn std::fmt::Display| Failure::Unknown(error.to_string());
    let rows = result.into_rows_result().map_err(|error| unreadable(&error))?;
    let column = rows.column_specs().get_by_name("[applied]").map(|(index, _)| index);
    let row = rows.maybe_first_row::<Row>().map_err(|error| unreadable(&error))?;
    let value = row.zip(column).and_then(|(mut row, index)| row.columns.get_mut(index)?.take());
    match value {
        Some(CqlValue::Boolean(applied)) => Ok(applied),
        _ => Err(Failure::Unknown("the answer does not say whether it was applied".into())),
    }
}

/// Opens a session and looks whether the store is what this version uses. Gives the identity of its
/// log.
pub(super) async fn open(config: &Config) -> Result<(Client, [u8; 16]), OpenError> {
    let session = session::connect(config).await?;
    let log_id = super::schema::check(&session, &config.keyspace).await?;
    Ok((Client::new(session, config).await?, log_id))
}
