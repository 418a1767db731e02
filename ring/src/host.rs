//! What a shard asks of its host: limits of the process and a core to run on.

use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// A resource limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// How far it may be raised without privilege.
    pub hard: Option<u64>,
}

/// RLIMIT_NOFILE: caps plain descriptors of the process and each ring's table of direct ones.
#[must_use]
pub fn rlimit_nofile() -> Limit {
    limit(Resource::Nofile)
}

/// RLIMIT_MEMLOCK in bytes.
#[must_use]
pub fn rlimit_memlock() -> Limit {
    limit(Resource::Memlock)
}

/// Raises the soft RLIMIT_NOFILE to the hard one and returns what holds then.
///
/// # Errors
/// The kernel refused.
pub fn raise_nofile() -> io::Result<Limit> {
    let Limit { hard, .. } = rlimit_nofile();
    let wanted = rustix::process::Rlimit { current: hard, maximum: hard };
    rustix::process::setrlimit(Resource::Nofile, wanted)?;
    Ok(rlimit_nofile())
}

/// The cores this process may run on, in order.
#[must_use]
pub fn cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

/// Binds the calling thread to one core (a number from [`cores`]).
///
/// # Errors
/// The core does not exist or is not this process's to use.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// The kernel's release, as uname gives it.
#[must_use]
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn limit(resource: Resource) -> Limit {
    let limit = getrlimit(resource);
    Limit { soft: limit.current, hard: limit.maximum }
}
