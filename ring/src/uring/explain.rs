//! From a kernel's refusal to a [`SetupError`]: the errno alone does not say who refused, the live
//! values beside it do.

use std::fs;
use std::io;

use crate::host;
use crate::setup::{KERNEL_FLOOR, SetupError};

/// What the host says about itself at the moment of a failure.
#[derive(Clone, Debug)]
pub(super) struct Live {
    release: String,
    io_uring_disabled: Option<u32>,
    filter: String,
    memlock: host::Limit,
    nofile: host::Limit,
}

impl Live {
    /// Reads the values.
    pub(super) fn read() -> Self {
        let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find(|line| line.starts_with("Seccomp:"));
        Self {
            release: host::kernel_release(),
            io_uring_disabled: sysctl.and_then(|value| value.trim().parse().ok()),
            filter: seccomp.unwrap_or("Seccomp: unknown").split_whitespace().collect(),
            memlock: host::rlimit_memlock(),
            nofile: host::rlimit_nofile(),
        }
    }

    /// Whether the kernel is as new as the driver needs; an unreadable release passes.
    pub(super) fn is_new_enough(&self) -> bool {
        let mut numbers = self.release.split(['.', '-']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= KERNEL_FLOOR,
            _ => true,
        }
    }

    /// Why `step` failed with `error`.
    pub(super) fn explain(self, step: &'static str, error: io::Error) -> SetupError {
        let release = self.release.clone();
        match error.raw_os_error() {
            Some(libc::ENOSYS) => SetupError::Missing { release },
            Some(libc::EPERM) => match self.io_uring_disabled {
                Some(value) if value > 0 => SetupError::Disabled { value },
                _ => SetupError::Denied { filter: self.filter },
            },
            Some(libc::ENOMEM) => SetupError::Memory { memlock_bytes: in_words(self.memlock.soft) },
            Some(libc::EMFILE | libc::ENFILE) => SetupError::Descriptors {
                soft: self.nofile.soft.unwrap_or(u64::MAX),
                hard: self.nofile.hard.unwrap_or(u64::MAX),
            },
            _ if !self.is_new_enough() => SetupError::KernelTooOld { release },
            _ => SetupError::Step { step, release, error },
        }
    }
}

fn in_words(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live {
            release: "6.18.44-test".into(),
            io_uring_disabled: Some(0),
            filter: "Seccomp:2".into(),
            memlock: host::Limit { soft: Some(65536), hard: None },
            nofile: host::Limit { soft: Some(1024), hard: Some(4096) },
        }
    }

    fn said(live: Live, errno: i32) -> String {
        live.explain("io_uring_setup", io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn a_refusal_names_its_cause_its_live_value_and_the_remedy() {
        let disabled = Live { io_uring_disabled: Some(2), ..live() };
        for (text, parts) in [
            (said(disabled, libc::EPERM), ["io_uring_disabled = 2", "sysctl -w"]),
            (said(live(), libc::EPERM), ["Seccomp:2", "profile"]),
            (said(live(), libc::ENOSYS), ["6.18.44-test", "CONFIG_IO_URING"]),
            (said(live(), libc::ENOMEM), ["RLIMIT_MEMLOCK = 65536", "ulimit -l"]),
            (said(live(), libc::EMFILE), ["RLIMIT_NOFILE = 1024", "ulimit -n 4096"]),
            (said(live(), libc::EINVAL), ["io_uring_setup", "6.18.44-test"]),
        ] {
            assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} not in: {text}");
        }
    }

    #[test]
    fn the_kernel_floor_passes_and_one_below_fails() {
        let of = |release: &str| Live { release: release.into(), ..live() };
        assert!(of("6.1.0").is_new_enough() && of("7.0").is_new_enough());
        assert!(!of("6.0.19-generic").is_new_enough() && !of("5.15").is_new_enough());
        assert!(said(of("5.15"), libc::EINVAL).contains("too old"));
    }

    #[test]
    fn the_live_values_of_this_host_are_read() {
        let live = Live::read();
        assert!(live.release.starts_with(|c: char| c.is_ascii_digit()));
        assert!(live.filter.starts_with("Seccomp:"));
    }
}
