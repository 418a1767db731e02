//! The calls of [`Store`] and [`Ownership`], each handed to the module that knows how.

use std::sync::Arc;

use super::appends::Appends;
use super::ownership::Identity;
use super::values::{or_zero, signed};
use super::windows::Windows;
use super::{Cql, Registered, lists, log, ownership, projections, taking, windows};
use crate::{
    Append, Busy, ConvId, ConvRow, DirtyWindow, Epoch, FenceOutcome, Incarnation, MemberRow,
    Outcomes, Ownership, OwnershipError, PageLimit, PartitionId, PartitionRow, Projection, Range,
    RouterId, RouterRow, Row, Store, StoreError, Tag, UserConvRow, UserId, Watermarks,
};

impl Store for Cql {
    fn log_id(&self) -> [u8; 16] {
        self.shared.log_id
    }

    async fn take(&self, partition: PartitionId) -> Result<Epoch, OwnershipError> {
        let taken = self.take_many(vec![partition]).await.pop();
        taken.map_or(Err(OwnershipError::Unregistered), |(_, outcome)| outcome)
    }

    async fn fence(&self) -> FenceOutcome {
        match &self.registered {
            Some(registered) => ownership::fence(self.client(), &registered.identity).await,
            None => FenceOutcome::Fenced,
        }
    }

    fn append(&self, append: Append, tag: Tag, outcomes: &Outcomes) -> Result<(), Busy> {
        match &self.registered {
            Some(registered) => {
                registered.appends.push(&self.shared.runtime, append, tag, outcomes)
            }
            None => Err(Busy(append)),
        }
    }

    async fn tail(&self, conv: ConvId, limit: PageLimit) -> Result<Vec<Row>, StoreError> {
        log::tail(self.client(), conv, limit).await
    }

    async fn range(
        &self,
        conv: ConvId,
        range: Range,
        limit: PageLimit,
    ) -> Result<Vec<Row>, StoreError> {
        log::range(self.client(), conv, range, limit).await
    }

    async fn project(&self, projections: Vec<Projection>) -> Result<(), StoreError> {
        projections::project(self.client(), projections).await
    }

    async fn conv(&self, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
        lists::conv(self.client(), conv).await
    }

    async fn members(
        &self,
        conv: ConvId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        lists::members(self.client(), conv, after, limit).await
    }

    async fn member(&self, conv: ConvId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        lists::member(self.client(), conv, user).await
    }

    async fn user_convs(
        &self,
        user: UserId,
        after: Option<ConvId>,
        limit: usize,
    ) -> Result<Vec<UserConvRow>, StoreError> {
        lists::user_convs(self.client(), user, after, limit).await
    }

    async fn user_conv(
        &self,
        user: UserId,
        conv: ConvId,
    ) -> Result<Option<UserConvRow>, StoreError> {
        lists::user_conv(self.client(), user, conv).await
    }

    async fn watermarks(
        &self,
        conv: ConvId,
        users: Vec<UserId>,
    ) -> Result<Vec<Watermarks>, StoreError> {
        lists::watermarks(self.client(), conv, users).await
    }

    async fn open_windows(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let registered = self.registered()?;
        let present = registered.identity.epoch_of(partition);
        windows::of_partition(self.client(), &registered.windows, partition, present).await
    }

    async fn open_windows_all(
        &self,
        after: Option<(DirtyWindow, ConvId)>,
        limit: usize,
    ) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
        let registered = self.registered()?;
        let present = |partition| registered.identity.epoch_of(partition);
        windows::of_all(self.client(), &registered.windows, after, limit, present).await
    }

    async fn moment(&self) -> Result<u64, StoreError> {
        let client = self.client();
        let found = client.read_one::<(Option<i64>,)>(&client.statements.moment, ()).await?;
        or_zero(found.and_then(|(moment,)| moment))
    }

    async fn record_moment(&self, moment_ms: u64) -> Result<(), StoreError> {
        let moment = signed(moment_ms);
        self.client().write(&self.client().statements.put_moment, (moment, moment)).await
    }

    async fn close_window(&self, window: DirtyWindow) -> Result<(), StoreError> {
        windows::close(self.client(), &self.registered()?.windows, window).await
    }
}

impl Ownership for Cql {
    async fn register(&self, router: RouterId, address: &str) -> Result<Self, OwnershipError> {
        let identity = ownership::register(self.client(), router, address).await?;
        let registered = Registered::new(self, identity);
        Ok(Self { shared: Arc::clone(&self.shared), registered: Some(Arc::new(registered)) })
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.registered.as_ref().map(|registered| registered.identity.incarnation)
    }

    async fn renew(&self) -> Result<(), StoreError> {
        ownership::renew(self.client(), &self.registered()?.identity).await
    }

    async fn routers(&self) -> Result<Vec<RouterRow>, StoreError> {
        ownership::routers(self.client()).await
    }

    async fn fence_off(&self, incarnation: Incarnation) -> Result<(), OwnershipError> {
        let registered = self.registered.as_ref().ok_or(OwnershipError::Unregistered)?;
        ownership::fence_off(self.client(), &registered.identity, incarnation).await
    }

    async fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError> {
        ownership::partitions(self.client()).await
    }

    async fn hand_over(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        to: RouterId,
    ) -> Result<(), OwnershipError> {
        let registered = self.registered.as_ref().ok_or(OwnershipError::Unregistered)?;
        ownership::hand_over(self.client(), &registered.identity, partition, epoch, to).await
    }

    async fn take_many(
        &self,
        partitions: Vec<PartitionId>,
    ) -> Vec<(PartitionId, Result<Epoch, OwnershipError>)> {
        let Some(registered) = &self.registered else {
            let unregistered = |partition| (partition, Err(OwnershipError::Unregistered));
            return partitions.into_iter().map(unregistered).collect();
        };
        let taken = taking::take(self.client(), &registered.identity, &partitions).await;
        for (partition, outcome) in &taken {
            if let Ok(epoch) = outcome {
                registered.windows.taken(*partition, *epoch);
            }
        }
        taken
    }
}

impl Registered {
    fn new(store: &Cql, identity: Identity) -> Self {
        let (client, windows) = (Arc::clone(&store.shared.client), Arc::new(Windows::default()));
        let fenced = Arc::clone(&identity.fenced);
        let appends = Appends::new(client, Arc::clone(&windows), fenced);
        Self { identity, windows, appends }
    }
}
