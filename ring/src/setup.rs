//! Why a driver could not be set up: the cause, the live value behind it, and what to do.

use std::io;

use crate::host;

/// The oldest kernel whose io_uring has what the driver is built on (DEFER_TASKRUN, sparse
/// descriptor tables, multishot receive from a buffer ring, cancel by key).
pub const KERNEL_FLOOR: (u32, u32) = (6, 1);

/// A driver could not be set up. None of these mends itself: a person or an orchestrator must act.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The kernel is older than the driver's floor.
    #[error(
        "kernel {release} is too old for the io_uring driver; use kernel {}.{} or newer",
        KERNEL_FLOOR.0, KERNEL_FLOOR.1
    )]
    KernelTooOld {
        /// What uname says.
        release: String,
    },
    /// The system call does not exist here.
    #[error(
        "io_uring does not exist on kernel {release} (ENOSYS): built without CONFIG_IO_URING, or a \
         sandbox such as gVisor answers for the kernel; run on a host kernel that has it"
    )]
    Missing {
        /// What uname says.
        release: String,
    },
    /// The administrator switched io_uring off.
    #[error(
        "io_uring is switched off: sysctl kernel.io_uring_disabled = {value} (1: only privileged or \
         members of kernel.io_uring_group, 2: nobody); set it to 0 (`sysctl -w \
         kernel.io_uring_disabled=0`) or, at 1, add this user to the group"
    )]
    Disabled {
        /// The live value of the sysctl.
        value: u32,
    },
    /// A security filter denies the system call.
    #[error(
        "io_uring_setup was denied (EPERM) while sysctl kernel.io_uring_disabled = 0: a seccomp or \
         LSM policy denies it ({filter}); container runtimes' default profiles do: allow \
         io_uring_setup, io_uring_enter and io_uring_register in the profile (docker: \
         --security-opt seccomp=PROFILE)"
    )]
    Denied {
        /// What /proc/self/status says about seccomp.
        filter: String,
    },
    /// Locked memory is used up.
    #[error(
        "no memory for the ring (ENOMEM) with RLIMIT_MEMLOCK = {memlock_bytes} bytes; raise it \
         (`ulimit -l unlimited`, LimitMEMLOCK=infinity), use smaller rings or fewer shards, or give \
         the host or cgroup more memory"
    )]
    Memory {
        /// The live soft limit in bytes, or `unlimited`.
        memlock_bytes: String,
    },
    /// Descriptors are used up.
    #[error(
        "no descriptor left for the driver: RLIMIT_NOFILE = {soft} (hard {hard}); raise it (`ulimit -n \
         {hard}`, LimitNOFILE=)"
    )]
    Descriptors {
        /// The live soft limit.
        soft: u64,
        /// The live hard limit.
        hard: u64,
    },
    /// The caller asked for something impossible.
    #[error("{field} = {value} cannot be: {must}")]
    Configuration {
        /// Which field of the configuration.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        must: &'static str,
    },
    /// Anything else, with the step that failed.
    #[error("{step} failed on kernel {release}: {error}")]
    Step {
        /// Which step.
        step: &'static str,
        /// What uname says.
        release: String,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl SetupError {
    /// Why a step that takes a descriptor failed.
    pub(crate) fn of_descriptor(step: &'static str, error: io::Error) -> Self {
        let nofile = host::rlimit_nofile();
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::Descriptors {
                soft: nofile.soft.unwrap_or(u64::MAX),
                hard: nofile.hard.unwrap_or(u64::MAX),
            },
            _ => Self::Step { step, release: host::kernel_release(), error },
        }
    }
}
