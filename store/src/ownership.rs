//! Who owns what in a store that several routers share.
//!
//! A handle is one *incarnation* of one router: the time from one [`Ownership::register`] until
//! another incarnation of that router registers or somebody fences it off. The store keeps two
//! things, and nothing here rests on a clock:
//! - for every router its newest incarnation, whether that is fenced, where the router listens, and
//!   a counter of renewals. Renewals say only that it lives, to observers who judge by their own
//!   clocks;
//! - for every partition its epoch and the incarnation that took it.
//!
//! Order of calls: `register`; then, as long as the incarnation lives, `renew` now and then and
//! [`Store::fence`] for every commit. To take a partition: [`Ownership::fence_off`] its owner,
//! unless that has handed over; [`Store::take`]; read the tail; [`Store::fence`]; only then serve.
//! An incarnation that is fenced stays so: its router serves nothing more and registers anew.
//!
//! Invariants every engine keeps:
//! - Incarnations of a router and epochs of a partition only grow; none is given to two callers.
//! - Once `fence_off` returned, no [`Store::fence`] of that incarnation that starts afterwards says
//!   `Held`, and none ever does again.
//! - Once `take` returned an epoch, the owner of every earlier epoch is fenced in that sense, or
//!   has handed over, or is the same handle.
//! - A write whose outcome was unknown may take effect later; if so, it takes the effect it was
//!   meant to have or none: each is conditional on what its caller saw.

use std::fmt;
use std::future::Future;

use thiserror::Error;

use crate::{Epoch, PartitionId, Store, StoreError};

/// A router: its number is configured, and it keeps it over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub u32);

/// One life of a router as the others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The router.
    pub router: RouterId,
    /// 1 for its first, higher for every later one.
    pub number: u32,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "router {}, incarnation {}", self.router.0, self.number)
    }
}

/// What routers know of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterRow {
    /// Its newest incarnation. All earlier ones are fenced.
    pub incarnation: Incarnation,
    /// Who fenced this incarnation off; `None` = nobody.
    pub fenced_by: Option<RouterId>,
    /// Where this incarnation listens for links.
    pub address: String,
    /// How often this incarnation renewed. Only its changes mean something.
    pub renewal: u32,
}

/// Who owns a partition that somebody took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// The partition.
    pub partition: PartitionId,
    /// The newest epoch, 1 for the first taking.
    pub epoch: Epoch,
    /// Who took it.
    pub owner: Incarnation,
    /// Set when the owner has handed over: it serves nothing more in this epoch, and the next one
    /// need not fence it. Says who was meant to be the next, which others may be all the same.
    pub heir: Option<RouterId>,
}

/// Why a change of ownership did not happen, or may not have happened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OwnershipError {
    /// Somebody else was faster, so that what the caller acted on does not hold any more. Nothing
    /// was changed. Read again and decide anew.
    #[error("another router was faster: {0}")]
    Lost(String),
    /// The partition's owner is neither fenced nor has it handed over. Nothing was changed. Fence
    /// it off first, or leave it the partition.
    #[error("{0} owns the partition and is not fenced")]
    Held(Incarnation),
    /// This handle was never registered: it reads, and can own nothing.
    #[error("this handle is not registered as a router")]
    Unregistered,
    /// The change may have been made, and may yet be; the store could not be read to find out. Ask
    /// again: every call here may be repeated, and says under its own name what that does.
    #[error("nobody knows whether it was done: {0}")]
    Unknown(String),
    /// The store refused, or holds what cannot be read. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What routers need of a store that they share.
///
/// Of [`Store`], these calls mean more here:
/// - [`Store::take`] adds one to the partition's epoch by a conditional write and makes this
///   incarnation the owner. It gives [`OwnershipError::Held`] unless the last owner is fenced, has
///   handed over, or is this incarnation. After [`OwnershipError::Unknown`] it may be repeated, and
///   gives a higher epoch; so does taking what this incarnation has already. Nothing of its earlier
///   epoch may be served or under way in this process then: one fence covers both.
/// - [`Store::fence`] reads this incarnation's own row from a quorum of the home data centre, or
///   answers `Fenced` without reading once it has seen so. A handle that was never registered is
///   `Fenced`.
/// - [`Store::open_windows_all`] is about the partitions that this handle took.
pub trait Ownership: Store {
    /// A handle that is a new incarnation of a router, at `address`, higher than every earlier one:
    /// those are fenced from then on, this handle's own, too, if it is one. The handle that is
    /// asked stays what it was.
    ///
    /// # Errors
    /// [`OwnershipError::Lost`] if another process registered the same router meanwhile: two have
    /// the same number, or the last one is not gone. `Unknown` is harmless: an incarnation that
    /// nobody was given is never used.
    fn register(
        &self,
        router: RouterId,
        address: &str,
    ) -> impl Future<Output = Result<Self, OwnershipError>> + Send;

    /// Which incarnation this handle is; `None` before it was registered.
    fn incarnation(&self) -> Option<Incarnation>;

    /// Says that this incarnation lives: its counter goes up by one. Not conditional, and no proof
    /// of anything: a fenced incarnation may renew, and nobody sees it as the newer one's doing.
    ///
    /// # Errors
    /// Those of a write; the next renewal makes up for a lost one.
    fn renew(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Every router that ever registered, in the order of their ids;
    /// [`crate::limits::ROUTERS_MAX`] at most.
    ///
    /// # Errors
    /// Those of a read, and [`StoreError::Corrupt`] if there are more.
    fn routers(&self) -> impl Future<Output = Result<Vec<RouterRow>, StoreError>> + Send;

    /// Fences an incarnation off, which is never undone. `Ok` if it is fenced, whoever did it, or a
    /// newer one of the same router has registered. A conditional write; if its outcome is unknown,
    /// the row is read with serial consistency, which settles it.
    ///
    /// # Errors
    /// `Unknown` if that read failed, too: the incarnation may be fenced now, or become so. Ask
    /// again before anything is taken from it. Never `Lost`, never `Held`.
    fn fence_off(
        &self,
        incarnation: Incarnation,
    ) -> impl Future<Output = Result<(), OwnershipError>> + Send;

    /// All partitions that were ever taken, in their order. What is being changed meanwhile may be
    /// seen before or after: it is for deciding what to do, and the conditional writes decide.
    ///
    /// # Errors
    /// Those of a read.
    fn partitions(&self) -> impl Future<Output = Result<Vec<PartitionRow>, StoreError>> + Send;

    /// Gives a partition away that this incarnation took with `epoch`: whoever takes it next need
    /// not fence this router. From this call on the caller serves nothing in that epoch and has
    /// nothing under way in it, whatever comes of the call.
    ///
    /// # Errors
    /// `Lost` if the epoch or the owner is another: the partition is somebody else's already.
    /// After `Unknown` it may be repeated, or the partition taken again.
    fn hand_over(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        to: RouterId,
    ) -> impl Future<Output = Result<(), OwnershipError>> + Send;

    /// [`Store::take`] for many partitions at once, each with an outcome of its own, in the order
    /// asked. An engine that can take several in one conditional write does so here.
    fn take_many(
        &self,
        partitions: Vec<PartitionId>,
    ) -> impl Future<Output = Vec<(PartitionId, Result<Epoch, OwnershipError>)>> + Send {
        async move {
            let mut taken = Vec::with_capacity(partitions.len());
            for partition in partitions {
                taken.push((partition, self.take(partition).await));
            }
            taken
        }
    }
}
