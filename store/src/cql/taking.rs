//! Taking partitions.
//!
//! Owners are kept by slices of [`limits::SLICE_PARTITIONS`], so that one conditional batch takes
//! all that a router wants of a slice. If it is refused because of one of them, those that are
//! still as they were are tried again without it.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, stream};
use scylla::statement::SerialConsistency;
use scylla::statement::batch::{Batch, BatchType};

use super::client::Client;
use super::ownership::{
    Identity, conditional, is_fenced, key, lock, not_done, read_slice, router, slice,
};
use super::session::Failure;
use super::values::signed_epoch;
use crate::{Epoch, Incarnation, OwnershipError, PartitionId, PartitionRow, StoreError, limits};

/// Takes partitions, slice by slice. The outcomes are in the order asked.
pub(super) async fn take(
    client: &Client,
    identity: &Identity,
    wanted: &[PartitionId],
) -> Vec<(PartitionId, Result<Epoch, OwnershipError>)> {
    let mut slices: BTreeMap<u16, Vec<PartitionId>> = BTreeMap::new();
    for partition in wanted {
        slices.entry(slice(*partition)).or_default().push(*partition);
    }
    let takings = slices.into_iter().map(|(slice, mut wanted)| {
        wanted.sort_unstable();
        wanted.dedup();
        Taking { client, identity, slice, wanted, outcomes: HashMap::new() }.run()
    });
    let outcomes: Vec<_> =
        stream::iter(takings).buffer_unordered(limits::CALL_REQUESTS).collect().await;
    let outcomes: HashMap<_, _> = outcomes.into_iter().flatten().collect();
    let unknown = || Err(OwnershipError::Unknown("it was not tried".into()));
    let outcome = |partition: &PartitionId| outcomes.get(partition).cloned();
    wanted.iter().map(|it| (*it, outcome(it).unwrap_or_else(unknown))).collect()
}

/// The taking of partitions of one slice.
struct Taking<'a> {
    client: &'a Client,
    identity: &'a Identity,
    slice: u16,
    /// Those without an outcome yet.
    wanted: Vec<PartitionId>,
    outcomes: HashMap<PartitionId, Result<Epoch, OwnershipError>>,
}

type Outcomes = HashMap<PartitionId, Result<Epoch, OwnershipError>>;

impl Taking<'_> {
    async fn run(mut self) -> Outcomes {
        if let Some(turn) = self.identity.taking.get(usize::from(self.slice)) {
            let _turn = turn.lock().await;
            if let Err(error) = self.attempts().await {
                self.end_all(&error);
            }
        } else {
            self.end_all(&StoreError::Fatal("there is no such partition".into()).into());
        }
        let mut taken = lock(&self.identity.taken);
        for (partition, outcome) in &self.outcomes {
            if let Ok(epoch) = outcome {
                taken.insert(*partition, *epoch);
            }
        }
        self.outcomes
    }

    fn end_all(&mut self, error: &OwnershipError) {
        let ended = self.wanted.drain(..).map(|partition| (partition, Err(error.clone())));
        self.outcomes.extend(ended);
    }

    async fn attempts(&mut self) -> Result<(), OwnershipError> {
        let mut seen = read_slice(self.client, self.slice, true).await?;
        self.refuse_held(&seen).await?;
        for _ in 0..limits::TAKE_ATTEMPTS {
            if self.wanted.is_empty() {
                return Ok(());
            }
            let failure = match self.write(&seen).await {
                Ok(true) => {
                    let next = |partition| (partition, Ok(next_epoch(&seen, partition)));
                    self.outcomes.extend(self.wanted.drain(..).map(next));
                    return Ok(());
                }
                Ok(false) => None,
                Err(failure) => Some(failure),
            };
            let now = read_slice(self.client, self.slice, true).await;
            let now = now.map_err(|error| OwnershipError::Unknown(error.to_string()))?;
            self.settle(&seen, &now);
            if let Some(failure @ Failure::Invalid(_)) = failure {
                return Err(not_done(&failure));
            }
            seen = now;
        }
        Err(OwnershipError::Unknown("others were taking partitions all the time".into()))
    }

    /// Leaves those out whose owners may still be at work.
    async fn refuse_held(
        &mut self,
        seen: &BTreeMap<PartitionId, PartitionRow>,
    ) -> Result<(), OwnershipError> {
        for partition in std::mem::take(&mut self.wanted) {
            let owner = seen.get(&partition).filter(|row| row.heir.is_none()).map(|row| row.owner);
            match owner {
                Some(owner) if !self.may_take_from(owner).await? => {
                    self.outcomes.insert(partition, Err(OwnershipError::Held(owner)));
                }
                _ if next_epoch(seen, partition) > i32::MAX as u32 => {
                    let error = StoreError::Fatal("the epochs of the partition are used up".into());
                    self.outcomes.insert(partition, Err(error.into()));
                }
                _ => self.wanted.push(partition),
            }
        }
        Ok(())
    }

    async fn may_take_from(&self, owner: Incarnation) -> Result<bool, OwnershipError> {
        if owner == self.identity.incarnation || self.identity.knows_fenced(owner) {
            return Ok(true);
        }
        let fenced = is_fenced(router(self.client, owner.router).await?.as_ref(), owner);
        if fenced {
            self.identity.learn_fenced(owner.router, owner.number);
        }
        Ok(fenced)
    }

    async fn write(&self, seen: &BTreeMap<PartitionId, PartitionRow>) -> Result<bool, Failure> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(self.client.profiles.takeover.clone()));
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        let own = self.identity.incarnation;
        let mut values = Vec::with_capacity(self.wanted.len());
        for partition in &self.wanted {
            batch.append_statement(self.client.statements.take.clone());
            let condition = seen.get(partition).map(|row| signed_epoch(row.epoch));
            values.push((
                signed_epoch(next_epoch(seen, *partition)),
                key(own.router),
                i64::from(own.number),
                i32::from(self.slice),
                i32::from(*partition),
                condition,
            ));
        }
        conditional(self.client.batch_once(&batch, &values)).await
    }

    /// Tells what became of each by what is there now: those that are as they were are tried again.
    fn settle(
        &mut self,
        seen: &BTreeMap<PartitionId, PartitionRow>,
        now: &BTreeMap<PartitionId, PartitionRow>,
    ) {
        let own = self.identity.incarnation;
        for partition in std::mem::take(&mut self.wanted) {
            let (before, after) = (seen.get(&partition), now.get(&partition));
            let next = next_epoch(seen, partition);
            if before.map(|row| row.epoch) == after.map(|row| row.epoch) {
                self.wanted.push(partition);
            } else if after.is_some_and(|row| row.epoch == next && row.owner == own) {
                self.outcomes.insert(partition, Ok(next));
            } else {
                let lost = OwnershipError::Lost(format!("partition {partition} was taken"));
                self.outcomes.insert(partition, Err(lost));
            }
        }
    }
}

fn next_epoch(seen: &BTreeMap<PartitionId, PartitionRow>, partition: PartitionId) -> Epoch {
    seen.get(&partition).map_or(0, |row| row.epoch).saturating_add(1)
}
