//! The handle as an [`Ownership`]: routers and partitions, changed by conditional writes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::replica::{Key, Replica, Serial, Value};
use super::world::{Change, Outcome, Request};
use super::{Me, SimStore};
use crate::{
    Epoch, Incarnation, Ownership, OwnershipError, PartitionId, PartitionRow, RouterId, RouterRow,
    StoreError,
};

type Owned<T> = Result<T, OwnershipError>;

impl Me {
    pub(super) fn taken(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Epoch>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what a quorum has names this incarnation, unfenced.
pub(super) fn is_held(seen: &Replica, incarnation: Incarnation) -> bool {
    match seen.get(&Key::Router(incarnation.router)) {
        Some(Value::Serial(_, Serial::Router(row))) => !is_fenced(row, incarnation),
        _ => false,
    }
}

fn is_fenced(row: &RouterRow, incarnation: Incarnation) -> bool {
    row.incarnation != incarnation || row.fenced_by.is_some()
}

fn unknown() -> OwnershipError {
    OwnershipError::Unknown("no quorum decided in time".into())
}

fn lost(by: Incarnation) -> OwnershipError {
    OwnershipError::Lost(by.to_string())
}

/// What a serial read showed.
struct Present<T> {
    version: u64,
    row: Option<T>,
}

impl SimStore {
    fn me(&self) -> Owned<&Arc<Me>> {
        self.me.as_ref().ok_or(OwnershipError::Unregistered)
    }

    async fn serial(&self, key: Key, change: Option<Change>) -> Owned<(bool, Present<Serial>)> {
        match self.sim.asked(Request::Serial(key, change)).await {
            Outcome::Serial { applied, version, value } => {
                Ok((applied, Present { version, row: value }))
            }
            _ => Err(unknown()),
        }
    }

    async fn router(&self, router: RouterId) -> Owned<Present<RouterRow>> {
        let (_, Present { version, row }) = self.serial(Key::Router(router), None).await?;
        let row = row.and_then(|row| match row {
            Serial::Router(row) => Some(row),
            Serial::Partition(_) => None,
        });
        Ok(Present { version, row })
    }

    async fn partition(&self, partition: PartitionId) -> Owned<Present<PartitionRow>> {
        let (_, Present { version, row }) = self.serial(Key::Partition(partition), None).await?;
        let row = row.and_then(|row| match row {
            Serial::Partition(row) => Some(row),
            Serial::Router(_) => None,
        });
        Ok(Present { version, row })
    }

    /// Whether the row was still the one of `expected`, and is now this.
    async fn change(&self, expected: u64, value: Serial) -> Owned<bool> {
        let key = match &value {
            Serial::Router(row) => Key::Router(row.incarnation.router),
            Serial::Partition(row) => Key::Partition(row.partition),
        };
        Ok(self.serial(key, Some(Change { expected, value })).await?.0)
    }

    pub(super) async fn take_one(&self, partition: PartitionId) -> Owned<Epoch> {
        let me = self.me()?;
        let Present { version, row } = self.partition(partition).await?;
        if let Some(row) = row
            && row.owner != me.incarnation
            && row.heir.is_none()
        {
            let owner = self.router(row.owner.router).await?.row;
            if owner.is_some_and(|of| !is_fenced(&of, row.owner)) {
                return Err(OwnershipError::Held(row.owner));
            }
        }
        let epoch = row.map_or(1, |row| row.epoch + 1);
        let taken = PartitionRow { partition, epoch, owner: me.incarnation, heir: None };
        if !self.change(version, Serial::Partition(taken)).await? {
            return Err(OwnershipError::Lost(format!("partition {partition} was taken")));
        }
        me.taken().insert(partition, epoch);
        Ok(epoch)
    }
}

impl Ownership for SimStore {
    async fn register(&self, router: RouterId, address: &str) -> Owned<Self> {
        let Present { version, row } = self.router(router).await?;
        let number = row.map_or(1, |row| row.incarnation.number + 1);
        let incarnation = Incarnation { router, number };
        let row = RouterRow { incarnation, fenced_by: None, address: address.into(), renewal: 0 };
        if !self.change(version, Serial::Router(row)).await? {
            return Err(lost(incarnation));
        }
        let me = Me {
            incarnation,
            fenced: AtomicBool::new(false),
            renewals: Mutex::new(0),
            taken: Mutex::default(),
        };
        Ok(Self { sim: self.sim.clone(), me: Some(Arc::new(me)) })
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.me.as_ref().map(|me| me.incarnation)
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let Some(me) = &self.me else {
            return Err(StoreError::Unavailable("not registered".into()));
        };
        let renewal = {
            let mut renewals = me.renewals.lock().unwrap_or_else(PoisonError::into_inner);
            *renewals += 1;
            *renewals
        };
        self.write(vec![(Key::Renewal(me.incarnation), Value::Number(renewal.into()))]).await
    }

    async fn routers(&self) -> Result<Vec<RouterRow>, StoreError> {
        let wants = |key: &Key| matches!(key, Key::Router(_) | Key::Renewal(_));
        let seen = self.read(wants).await?;
        let row = |value: &Value| {
            let Value::Serial(_, Serial::Router(row)) = value else { return None };
            let renewal = match seen.get(&Key::Renewal(row.incarnation)) {
                Some(Value::Number(renewal)) => u32::try_from(*renewal).unwrap_or(u32::MAX),
                _ => 0,
            };
            Some(RouterRow { renewal, ..row.clone() })
        };
        Ok(seen.iter().filter_map(|(_, value)| row(value)).collect())
    }

    async fn fence_off(&self, incarnation: Incarnation) -> Owned<()> {
        let by = self.me()?.incarnation.router;
        loop {
            let Present { version, row } = self.router(incarnation.router).await?;
            let Some(row) = row.filter(|row| !is_fenced(row, incarnation)) else {
                return Ok(());
            };
            let fenced = Serial::Router(RouterRow { fenced_by: Some(by), ..row });
            if self.change(version, fenced).await == Ok(true) {
                return Ok(());
            }
            // The next serial read settles what became of it, or says that nobody knows.
        }
    }

    async fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError> {
        let seen = self.read(|key| matches!(key, Key::Partition(_))).await?;
        let row = |value: &Value| match value {
            Value::Serial(_, Serial::Partition(row)) => Some(*row),
            _ => None,
        };
        Ok(seen.iter().filter_map(|(_, value)| row(value)).collect())
    }

    async fn hand_over(&self, partition: PartitionId, epoch: Epoch, to: RouterId) -> Owned<()> {
        let me = self.me()?;
        let Present { version, row } = self.partition(partition).await?;
        let Some(row) = row else {
            return Err(OwnershipError::Lost("nobody took it".into()));
        };
        if row.epoch != epoch || row.owner != me.incarnation {
            return Err(lost(row.owner));
        }
        let given = PartitionRow { heir: Some(to), ..row };
        if !self.change(version, Serial::Partition(given)).await? {
            return Err(OwnershipError::Lost(format!("partition {partition} was taken")));
        }
        me.taken().remove(&partition);
        Ok(())
    }
}
