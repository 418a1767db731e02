//! What formulas are about: memory, cores, queues, the kernel's version.

use std::fmt;

use super::{Host, Process, ReadError};

/// Version of a kernel: 6.18 is (6, 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32);

/// The facts of a host that decide what it can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The running kernel.
    pub kernel: KernelVersion,
    /// All memory, in bytes.
    pub memory_bytes: u64,
    /// The tightest memory limit of the control groups around the process, in bytes.
    pub cgroup_bytes: Option<u64>,
    /// Swap space, in bytes.
    pub swap_bytes: u64,
    /// Processors that are online.
    pub cores: u64,
    /// Receive queues of the network card that has the most; 1 if there is no real card.
    pub nic_queues: u64,
    /// NUMA nodes.
    pub numa_nodes: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Whether connections are tracked (nf_conntrack is loaded).
    pub conntrack: bool,
}

impl KernelVersion {
    /// Reads `6.18.44-generic` or `6.18`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        Some(Self(major, numbers.next()?.parse().ok()?))
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Facts {
    /// Reads them; control groups are those of `process`.
    ///
    /// # Errors
    /// The kernel's version, the memory or the processors cannot be known. The rest has a value
    /// that is right where the file is not there.
    pub fn read(host: &Host, process: &Process) -> Result<Self, ReadError> {
        let release = "/proc/sys/kernel/osrelease";
        let kernel = KernelVersion::parse(&host.read(release)?)
            .ok_or_else(|| ReadError::unexpected(release, "version"))?;
        let online = "/sys/devices/system/cpu/online";
        Ok(Self {
            kernel,
            memory_bytes: host.meminfo_bytes("MemTotal")?,
            cgroup_bytes: process.memory_limit(host),
            swap_bytes: host.meminfo_bytes("SwapTotal").unwrap_or(0),
            cores: listed(&host.read(online)?)
                .ok_or_else(|| ReadError::unexpected(online, "list of processors"))?,
            nic_queues: nic_queues(host),
            numa_nodes: host
                .read("/sys/devices/system/node/online")
                .ok()
                .and_then(|t| listed(&t))
                .unwrap_or(1),
            page_bytes: rustix::param::page_size() as u64,
            conntrack: host.has("/proc/sys/net/netfilter/nf_conntrack_max"),
        })
    }
}

/// How many numbers a list such as `0-3,8` has; `None` if it is no list.
fn listed(text: &str) -> Option<u64> {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (last.checked_sub(first)?).checked_add(1)
    };
    let counts: Option<Vec<_>> = text.trim().split(',').map(count).collect();
    counts?.into_iter().try_fold(0_u64, u64::checked_add)
}

/// Interfaces with a device behind them; the others (loopback, bridges) do not spread anything.
pub(crate) fn cards(host: &Host) -> Vec<String> {
    let real = |name: &String| host.has(&format!("/sys/class/net/{name}/device"));
    host.names("/sys/class/net").into_iter().filter(real).collect()
}

/// The receive or transmit queues (`rx`, `tx`) of an interface.
pub(crate) fn queues(host: &Host, card: &str, kind: &str) -> Vec<String> {
    let all = host.names(&format!("/sys/class/net/{card}/queues"));
    all.into_iter().filter(|queue| queue.starts_with(kind)).collect()
}

fn nic_queues(host: &Host) -> u64 {
    let most = cards(host).iter().map(|card| queues(host, card, "rx-").len() as u64).max();
    most.unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted() {
        assert_eq!(listed("0-3,8\n"), Some(5));
        assert_eq!(listed("0\n"), Some(1));
        assert_eq!(listed("3-0"), None);
        assert_eq!(listed(""), None);
    }

    #[test]
    fn versions_have_an_order() {
        let version = |text| KernelVersion::parse(text).unwrap();
        assert!(version("6.18.44-fc") > version("6.6"));
        assert!(version("4.19") < version("5.0"));
        assert_eq!(KernelVersion::parse("linux"), None);
    }
}
