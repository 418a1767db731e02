//! Routers and partitions: conditional writes, and the serial reads that settle them.
//!
//! Every change of `routers` but renewals, and every change of `partitions`, is a conditional write
//! (a light-weight transaction) with `LOCAL_SERIAL`. One that was applied is at a quorum before it
//! returns. One whose outcome is unknown is followed by a serial read of its row, which ends what
//! was under way and shows what became of it; if it takes effect after that, its condition still
//! holds it to the state that it was made for.
//!
//! A fence counts when a serial read showed it: the read has brought it to a quorum by then, so
//! that every later fence read, which asks a quorum, sees it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::info;

use super::client::{Client, applied};
use super::session::Failure;
use super::values::{epoch, signed_epoch, small};
use crate::{
    Epoch, FenceOutcome, Incarnation, OwnershipError, PartitionId, PartitionRow, RouterId,
    RouterRow, StoreError, limits,
};

/// Slices.
const SLICES: u16 = limits::PARTITIONS / limits::SLICE_PARTITIONS;

/// One incarnation, and what it knows.
pub(super) struct Identity {
    pub(super) incarnation: Incarnation,
    /// Set once this incarnation was seen fenced.
    pub(super) fenced: Arc<AtomicBool>,
    renewals: AtomicU32,
    pub(super) taken: Mutex<HashMap<PartitionId, Epoch>>,
    /// Highest incarnation of each router that a serial read showed fenced. It stays so.
    known_fenced: Mutex<HashMap<RouterId, u32>>,
    /// One taking at a time in each slice, so that what a read shows is the doing of one call.
    pub(super) taking: Vec<tokio::sync::Mutex<()>>,
}

type FoundRouter = (i64, Option<i64>, Option<i64>, Option<i64>, Option<String>, Option<i64>);

type FoundPartition = (i32, Option<i32>, Option<i64>, Option<i64>, Option<i32>, Option<i64>);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Identity {
    fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            fenced: Arc::default(),
            renewals: AtomicU32::new(0),
            taken: Mutex::default(),
            known_fenced: Mutex::default(),
            taking: (0..SLICES).map(|_| tokio::sync::Mutex::new(())).collect(),
        }
    }

    /// The epoch that this incarnation took a partition with last.
    pub(super) fn epoch_of(&self, partition: PartitionId) -> Option<Epoch> {
        lock(&self.taken).get(&partition).copied()
    }

    pub(super) fn knows_fenced(&self, incarnation: Incarnation) -> bool {
        let known = lock(&self.known_fenced).get(&incarnation.router).copied();
        known.is_some_and(|number| number >= incarnation.number)
    }

    pub(super) fn learn_fenced(&self, router: RouterId, number: u32) {
        let mut known = lock(&self.known_fenced);
        let highest = known.entry(router).or_insert(0);
        *highest = number.max(*highest);
    }
}

pub(super) fn key(router: RouterId) -> i64 {
    i64::from(router.0)
}

pub(super) fn slice(partition: PartitionId) -> u16 {
    partition / limits::SLICE_PARTITIONS
}

/// A renewal, and its timestamp: those of a later incarnation are higher.
fn renewal(incarnation: Incarnation, count: u32) -> i64 {
    i64::from(incarnation.number) << 32 | i64::from(count)
}

fn read_router(found: FoundRouter) -> Result<Option<RouterRow>, StoreError> {
    let (id, number, fenced, fenced_by, address, renewed) = found;
    let Some(number) = number else { return Ok(None) };
    let incarnation = Incarnation { router: RouterId(small(id)?), number: small(number)? };
    let fenced = fenced.is_some_and(|fenced| fenced >= number);
    let by = fenced_by.filter(|_| fenced).map(small).transpose()?;
    let renewed = renewed.unwrap_or(0);
    let own = renewed >> 32 == number;
    Ok(Some(RouterRow {
        incarnation,
        fenced_by: by.map(RouterId),
        address: address.unwrap_or_default(),
        renewal: if own { (renewed & i64::from(u32::MAX)) as u32 } else { 0 },
    }))
}

fn read_partition(found: FoundPartition) -> Result<Option<PartitionRow>, StoreError> {
    let (partition, of_epoch, router, number, handed_over, heir) = found;
    let (Some(of_epoch), Some(router), Some(number)) = (of_epoch, router, number) else {
        return Ok(None);
    };
    let heir = heir.filter(|_| handed_over == Some(of_epoch)).map(small).transpose()?;
    Ok(Some(PartitionRow {
        partition: small(partition.into())?,
        epoch: epoch(of_epoch)?,
        owner: Incarnation { router: RouterId(small(router)?), number: small(number)? },
        heir: heir.map(RouterId),
    }))
}

/// The row of a router, settled.
pub(super) async fn router(
    client: &Client,
    router: RouterId,
) -> Result<Option<RouterRow>, StoreError> {
    let found = client.read_one(&client.statements.router, (key(router),)).await?;
    Ok(found.map(read_router).transpose()?.flatten())
}

pub(super) fn is_fenced(row: Option<&RouterRow>, incarnation: Incarnation) -> bool {
    row.is_none_or(|row| {
        row.incarnation.number > incarnation.number
            || row.incarnation == incarnation && row.fenced_by.is_some()
    })
}

pub(super) async fn register(
    client: &Client,
    id: RouterId,
    address: &str,
) -> Result<Identity, OwnershipError> {
    let last = router(client, id).await?.map(|row| row.incarnation.number);
    let number = i64::from(last.unwrap_or(0)) + 1;
    if number > i64::from(i32::MAX) {
        return Err(StoreError::Fatal("the incarnations of the router are used up".into()).into());
    }
    let incarnation = Incarnation { router: id, number: number as u32 };
    let values = (number, address, key(id), last.map(i64::from));
    match conditional(client.once(&client.statements.register, &values)).await {
        Ok(true) => Ok(Identity::new(incarnation)),
        Ok(false) => Err(OwnershipError::Lost(format!("{incarnation} was registered by another"))),
        Err(failure) => Err(not_done(&failure)),
    }
}

/// Whether a conditional write was applied, of which one attempt is made.
pub(super) async fn conditional(
    attempt: impl Future<Output = Result<scylla::response::query_result::QueryResult, Failure>>,
) -> Result<bool, Failure> {
    applied(attempt.await?)
}

/// Only what the engine finds wrong with the request itself is surely not done: it may also lack
/// replicas in the last phase of a conditional write.
pub(super) fn not_done(failure: &Failure) -> OwnershipError {
    match failure {
        Failure::Invalid(text) => StoreError::Unavailable(text.clone()).into(),
        other => OwnershipError::Unknown(other.to_string()),
    }
}

pub(super) async fn fence(client: &Client, identity: &Identity) -> FenceOutcome {
    if identity.fenced.load(Ordering::Acquire) {
        return FenceOutcome::Fenced;
    }
    let own = identity.incarnation;
    let values = (key(own.router),);
    let statement = &client.statements.fence;
    let read = client.read_at_once::<(Option<i64>, Option<i64>)>(statement, values);
    let Ok(found) = read.await else { return FenceOutcome::Unknown };
    let number = i64::from(own.number);
    let held = found.is_some_and(|(incarnation, fenced)| {
        incarnation == Some(number) && fenced.is_none_or(|fenced| fenced < number)
    });
    if held && !identity.fenced.load(Ordering::Acquire) {
        return FenceOutcome::Held;
    }
    if !identity.fenced.swap(true, Ordering::AcqRel) {
        info!(incarnation = %own, "fenced off");
    }
    FenceOutcome::Fenced
}

pub(super) async fn renew(client: &Client, identity: &Identity) -> Result<(), StoreError> {
    let count = identity.renewals.fetch_add(1, Ordering::Relaxed) + 1;
    let renewal = renewal(identity.incarnation, count);
    let values = (renewal, renewal, key(identity.incarnation.router));
    client.write(&client.statements.renew, values).await
}

pub(super) async fn routers(client: &Client) -> Result<Vec<RouterRow>, StoreError> {
    let most = limits::ROUTERS_MAX;
    let found = client.read(&client.statements.routers, (most as i32 + 1,)).await?;
    if found.len() > most {
        return Err(StoreError::Corrupt(format!("there are more than {most} routers")));
    }
    let mut rows: Vec<RouterRow> = found
        .into_iter()
        .filter_map(|row| read_router(row).transpose())
        .collect::<Result<_, _>>()?;
    rows.sort_by_key(|row| row.incarnation);
    Ok(rows)
}

pub(super) async fn fence_off(
    client: &Client,
    identity: &Identity,
    incarnation: Incarnation,
) -> Result<(), OwnershipError> {
    if identity.knows_fenced(incarnation) {
        return Ok(());
    }
    if !is_fenced(router(client, incarnation.router).await?.as_ref(), incarnation) {
        let number = i64::from(incarnation.number);
        let by = key(identity.incarnation.router);
        let values = (number, by, key(incarnation.router), number);
        let write = conditional(client.once(&client.statements.fence_off, &values));
        if let Err(failure) = write.await {
            settle_fence(client, incarnation, &failure).await?;
        }
        // Refused: another incarnation is there, and it cannot be an earlier one.
    }
    identity.learn_fenced(incarnation.router, incarnation.number);
    Ok(())
}

async fn settle_fence(
    client: &Client,
    incarnation: Incarnation,
    failure: &Failure,
) -> Result<(), OwnershipError> {
    let row = router(client, incarnation.router).await;
    let row = row.map_err(|error| OwnershipError::Unknown(error.to_string()))?;
    if is_fenced(row.as_ref(), incarnation) { Ok(()) } else { Err(not_done(failure)) }
}

pub(super) async fn partitions(client: &Client) -> Result<Vec<PartitionRow>, StoreError> {
    let reads = (0..SLICES).map(|slice| read_slice(client, slice, false));
    let slices: Vec<_> = stream::iter(reads).buffered(limits::CALL_REQUESTS).try_collect().await?;
    Ok(slices.into_iter().flat_map(BTreeMap::into_values).collect())
}

pub(super) async fn read_slice(
    client: &Client,
    slice: u16,
    settled: bool,
) -> Result<BTreeMap<PartitionId, PartitionRow>, StoreError> {
    let statements = &client.statements;
    let statement = if settled { &statements.slice_settled } else { &statements.slice };
    let found = client.read::<FoundPartition>(statement, (i32::from(slice),)).await?;
    let rows = found.into_iter().filter_map(|row| read_partition(row).transpose());
    rows.map(|row| row.map(|row| (row.partition, row))).collect()
}

pub(super) async fn hand_over(
    client: &Client,
    identity: &Identity,
    partition: PartitionId,
    of_epoch: Epoch,
    to: RouterId,
) -> Result<(), OwnershipError> {
    let own = identity.incarnation;
    let term = signed_epoch(of_epoch);
    let (slice_key, partition_key) = (i32::from(slice(partition)), i32::from(partition));
    let number = i64::from(own.number);
    let values = (term, key(to), slice_key, partition_key, term, key(own.router), number);
    let lost = || OwnershipError::Lost(format!("partition {partition} is not ours any more"));
    match conditional(client.once(&client.statements.hand_over, &values)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(lost()),
        Err(failure) => {
            let rows = read_slice(client, slice(partition), true).await;
            let rows = rows.map_err(|error| OwnershipError::Unknown(error.to_string()))?;
            match rows.get(&partition) {
                Some(row) if row.epoch == of_epoch && row.owner == own => match row.heir {
                    Some(_) => Ok(()),
                    None => Err(not_done(&failure)),
                },
                _ => Err(lost()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(number: i64, fenced: Option<i64>, renewed: i64) -> FoundRouter {
        (7, Some(number), fenced, Some(9), Some("a:1".into()), Some(renewed))
    }

    #[test]
    fn a_fence_and_a_renewal_are_of_one_incarnation() {
        let row =
            |number, fenced, renewed| read_router(found(number, fenced, renewed)).unwrap().unwrap();
        let own = |number, count| renewal(Incarnation { router: RouterId(7), number }, count);
        assert_eq!(row(3, Some(2), own(3, 5)).fenced_by, None);
        assert_eq!(row(3, Some(3), own(3, 5)).fenced_by, Some(RouterId(9)));
        assert_eq!(row(3, None, own(3, 5)).renewal, 5);
        assert_eq!(row(3, None, own(2, 5)).renewal, 0);
        assert!(own(3, 0) > own(2, u32::MAX));
    }

    #[test]
    fn an_incarnation_is_fenced_by_name_by_a_newer_one_and_by_absence() {
        let of = |number| Incarnation { router: RouterId(7), number };
        let row = |fenced| read_router(found(3, fenced, 0)).unwrap();
        assert!(!is_fenced(row(None).as_ref(), of(3)));
        assert!(is_fenced(row(Some(3)).as_ref(), of(3)));
        assert!(is_fenced(row(None).as_ref(), of(2)));
        assert!(!is_fenced(row(Some(3)).as_ref(), of(4)));
        assert!(is_fenced(None, of(1)));
    }

    #[test]
    fn a_partition_is_handed_over_in_one_epoch_only() {
        let row = |epoch, handed_over| {
            let found = (5, Some(epoch), Some(1), Some(1), handed_over, Some(2));
            read_partition(found).unwrap().unwrap().heir
        };
        assert_eq!(row(4, Some(4)), Some(RouterId(2)));
        assert_eq!(row(5, Some(4)), None);
        assert_eq!(row(1, None), None);
    }
}
