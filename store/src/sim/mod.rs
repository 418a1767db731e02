//! Three replicas that do what the worst of stores may do, for tests and simulations.
//!
//! What a replicated store promises, and nothing more:
//! - A write is many cells, and each reaches each replica by itself: at once, late (also long after
//!   its writer has died and others have taken over), or never. Its caller hears `Ok` when every
//!   cell is at two replicas; else, after a while, that nobody knows.
//! - A read asks replicas, which answer at different moments, and has what the first two had then.
//!   No read repairs anything.
//! - A conditional write is decided at one moment, once, or never, and that may be long after its
//!   caller was told that nobody knows. What it decided reaches the replicas as any cell does; its
//!   caller hears of it when what it saw or made is at two of them.
//!
//! The core ([`Step`] says what can happen next, `world` what it does) is sans-IO: it has no
//! thread and no clock. Who drives it is one of two:
//! - [`Sim::by_hand`]: the caller picks each step with [`Sim::take`], as a test of one schedule or
//!   an explorer of many does.
//! - [`Sim::seeded`]: a virtual clock; every step has its moment, or never comes, as a seed and
//!   [`Faults`] decide. The caller moves the clock with [`Sim::advance`].
//!
//! On top is a handle, [`SimStore`], that is a [`crate::Store`] and a [`crate::Ownership`]; one for
//! each incarnation of a router. Its futures are ready when the steps that they wait for are taken.
//!
//! Invariant of the simulation itself: two rows of one (seq, epoch) have one content. A writer that
//! breaks it is told by a panic, as no store could say which of them it keeps.

mod ownership;
mod replica;
mod schedule;
mod store;
mod world;

pub use schedule::Faults;
pub use world::{Kind, Step};

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schedule::Schedule;
use tokio::sync::oneshot;
use world::{Finished, Outcome, Request, World};

use crate::{Epoch, Incarnation, PartitionId};

/// The replicas and what is on its way to them. Clones are the same store.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<Inner>>);

struct Inner {
    world: World,
    driver: Driver,
}

enum Driver {
    ByHand(Vec<Step>),
    Seeded(Schedule),
}

impl Sim {
    /// Nothing happens but by [`Sim::take`].
    #[must_use]
    pub fn by_hand() -> Self {
        Self::driven(Driver::ByHand(Vec::new()))
    }

    /// What happens, and when, follows from the seed and from what is asked.
    #[must_use]
    pub fn seeded(seed: u64, faults: Faults) -> Self {
        Self::driven(Driver::Seeded(Schedule::new(seed, faults)))
    }

    fn driven(driver: Driver) -> Self {
        Self(Arc::new(Mutex::new(Inner { world: World::default(), driver })))
    }

    /// A handle that is not registered as a router: it reads.
    #[must_use]
    pub fn handle(&self) -> SimStore {
        SimStore { sim: self.clone(), me: None }
    }

    /// By hand: what can happen next, in the order in which it became possible.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        match &self.lock().driver {
            Driver::ByHand(steps) => steps.clone(),
            Driver::Seeded(_) => Vec::new(),
        }
    }

    /// By hand: the first of [`Sim::steps`] that `picks` picks happens. `false` if there is none.
    pub fn take(&self, picks: impl Fn(&Step) -> bool) -> bool {
        let mut inner = self.lock();
        let Driver::ByHand(steps) = &mut inner.driver else { return false };
        let Some(index) = steps.iter().position(picks) else { return false };
        let step = steps.remove(index);
        let finished = inner.happens(step);
        drop(inner);
        tell(finished);
        true
    }

    /// Seeded: the moment of the next step, milliseconds since the beginning.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        match &self.lock().driver {
            Driver::ByHand(_) => None,
            Driver::Seeded(schedule) => schedule.next_ms(),
        }
    }

    /// Seeded: the clock goes on to `to_ms`, milliseconds since the beginning. Gives the steps that
    /// happened, each with its moment.
    pub fn advance(&self, to_ms: u64) -> Vec<(u64, Step)> {
        let mut happened = Vec::new();
        loop {
            let mut inner = self.lock();
            let Driver::Seeded(schedule) = &mut inner.driver else { return happened };
            let Some((at_ms, step)) = schedule.pop(to_ms) else { return happened };
            happened.push((at_ms, step.clone()));
            let finished = inner.happens(step);
            drop(inner);
            tell(finished);
        }
    }

    /// Seeded: other faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        if let Driver::Seeded(schedule) = &mut self.lock().driver {
            schedule.set_faults(faults);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the replicas; `reply` is called when it is known what came of it.
    fn ask(&self, request: Request, reply: impl FnOnce(Outcome) + Send + 'static) {
        let mut inner = self.lock();
        let steps = inner.world.begin(request, Box::new(reply));
        inner.driver.enable(steps);
    }

    /// As [`Sim::ask`], for who waits.
    async fn asked(&self, request: Request) -> Outcome {
        let (told, outcome) = oneshot::channel();
        self.ask(request, move |outcome| {
            // Who asked may be gone.
            let _ = told.send(outcome);
        });
        outcome.await.unwrap_or(Outcome::Unknown)
    }

    /// Whether the queue for appends is full this time.
    fn is_busy(&self) -> bool {
        match &mut self.lock().driver {
            Driver::ByHand(_) => false,
            Driver::Seeded(schedule) => schedule.is_busy(),
        }
    }
}

impl Inner {
    fn happens(&mut self, step: Step) -> Option<Finished> {
        let (steps, finished) = self.world.happens(step);
        self.driver.enable(steps);
        finished
    }
}

impl Driver {
    fn enable(&mut self, steps: Vec<Step>) {
        match self {
            Self::ByHand(pending) => pending.extend(steps),
            Self::Seeded(schedule) => schedule.enable(steps),
        }
    }
}

/// Without the lock: who is told may ask at once.
fn tell(finished: Option<Finished>) {
    if let Some((reply, outcome)) = finished {
        reply(outcome);
    }
}

/// One incarnation of a router at the store.
#[derive(Clone)]
pub struct SimStore {
    sim: Sim,
    me: Option<Arc<Me>>,
}

struct Me {
    incarnation: Incarnation,
    fenced: AtomicBool,
    renewals: Mutex<u32>,
    taken: Mutex<std::collections::BTreeMap<PartitionId, Epoch>>,
}
