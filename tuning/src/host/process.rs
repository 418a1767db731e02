//! One process: its limits, its control groups, its seccomp filter, its capabilities.

use super::{Host, ReadError};
use crate::value::Word;

/// A control group's limit above this is none: version 1 writes the largest multiple of a page.
const CGROUP_BYTES_MAX: u64 = 1 << 60;

/// A process of the host, or this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    directory: String,
    is_named: bool,
}

/// The soft and the hard value of a resource limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In force.
    pub soft: Word,
    /// To which the process may raise it.
    pub hard: Word,
}

impl Process {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        Self { directory: "/proc/self".to_owned(), is_named: false }
    }

    /// Another one.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self { directory: format!("/proc/{pid}"), is_named: true }
    }

    /// Whether it was asked for by its id.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// A resource limit by its name in setrlimit(2), in small letters without `RLIMIT_`.
    ///
    /// # Errors
    /// The process is not there, may not be looked at, or has no such limit.
    pub fn limits(&self, host: &Host, name: &str) -> Result<Limits, ReadError> {
        let path = format!("{}/limits", self.directory);
        let unexpected = || ReadError::unexpected(&path, &format!("limit {name}"));
        let title = limit_title(name).ok_or_else(unexpected)?;
        let text = host.read(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(title)).ok_or_else(unexpected)?;
        let mut words = line.split_whitespace().map(Word::parse);
        let (Some(soft), Some(hard)) = (words.next(), words.next()) else {
            return Err(unexpected());
        };
        Ok(Limits { soft, hard })
    }

    /// Whether it holds a capability (its number in linux/capability.h); not if that cannot be
    /// known.
    #[must_use]
    pub fn has_capability(&self, host: &Host, number: u32) -> bool {
        let field = host.field(&format!("{}/status", self.directory), "CapEff");
        let mask = field.ok().and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(0);
        mask.checked_shr(number).is_some_and(|rest| rest & 1 == 1)
    }

    /// Whether a seccomp filter looks at its system calls.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn has_seccomp_filter(&self, host: &Host) -> Result<bool, ReadError> {
        Ok(host.field(&format!("{}/status", self.directory), "Seccomp")? == "2")
    }

    /// When it started, in seconds since the epoch.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn started_s(&self, host: &Host) -> Result<u64, ReadError> {
        /// Ticks of a second in /proc, whatever the kernel's own (USER_HZ).
        const TICKS_PER_S: u64 = 100;
        let path = format!("{}/stat", self.directory);
        let stat = host.read(&path)?;
        // After the name, which may hold spaces and brackets: state is field 3, starttime field 22.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = rest.split_whitespace().nth(19).and_then(|ticks| ticks.parse::<u64>().ok());
        let ticks = ticks.ok_or_else(|| ReadError::unexpected(&path, "start time"))?;
        let boot = host.read("/proc/stat")?;
        let boot_s = boot.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<u64>().ok());
        let boot_s = boot_s.ok_or_else(|| ReadError::unexpected("/proc/stat", "line btime"))?;
        Ok(boot_s + ticks / TICKS_PER_S)
    }

    /// The tightest memory limit of its control groups, in bytes.
    #[must_use]
    pub fn memory_limit(&self, host: &Host) -> Option<u64> {
        let text = host.read(&format!("{}/cgroup", self.directory)).ok()?;
        text.lines().flat_map(|line| limits_of_group(host, line)).min()
    }
}

/// What a line of /proc/PID/cgroup leads to: the limits of the group and of all around it.
fn limits_of_group(host: &Host, line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next())
    else {
        return Vec::new();
    };
    let (base, files): (_, &[&str]) = match controllers {
        "" => ("/sys/fs/cgroup", &["memory.max", "memory.high"]),
        names if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
        }
        _ => return Vec::new(),
    };
    let mut limits = Vec::new();
    let mut group = group.trim_end_matches('/');
    loop {
        let read = |file: &&str| host.number(&format!("{base}{group}/{file}")).ok();
        limits.extend(files.iter().filter_map(read).filter(|bytes| *bytes < CGROUP_BYTES_MAX));
        let Some((outer, _)) = group.rsplit_once('/') else { return limits };
        group = outer;
    }
}

fn limit_title(name: &str) -> Option<&'static str> {
    match name {
        "nofile" => Some("Max open files"),
        "memlock" => Some("Max locked memory"),
        "nice" => Some("Max nice priority"),
        "nproc" => Some("Max processes"),
        _ => None,
    }
}
