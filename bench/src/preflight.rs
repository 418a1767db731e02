//! What a run needs of its own host, and what the host has: said before the first connection, so
//! that a limit of the generator is never taken for one of the server.
//!
//! [`HostFacts::read`] reads, [`check`] judges: the judging is a function of the facts and tested
//! without a host.

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;

use throng_ring::Backend;

use crate::limits::SPARE_SLOTS;

/// Kernel memory of one connection's end on this host before anything is measured, in bytes: what
/// an armed TCP socket was seen to take on Linux 6.18, rounded up.
const KERNEL_BYTES_PER_END: u64 = 4_500;

/// User memory of one client.
const USER_BYTES_PER_CLIENT: u64 = 256;

/// Part of the free memory that a run may take before it is warned of.
const MEMORY_SHARE: f64 = 0.8;

/// What a run asks for.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Connections open at one time.
    pub connections: u64,
    /// Pairs of source address and destination (address and port).
    pub tuples: u64,
    /// Threads: rings with a table of their own each, or sharers of the process's.
    pub shards: u64,
    /// Which of the two.
    pub driver: Backend,
    /// Whether the server is on this host too, so that its ends count as well.
    pub server_here: bool,
}

/// What the host has.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// net.ipv4.ip_local_port_range.
    pub ports: RangeInclusive<u16>,
    /// Ports of that range which are reserved.
    pub ports_reserved: u64,
    /// RLIMIT_NOFILE, which caps each ring's table, or all of epoll's together.
    pub descriptors: u64,
    /// Files that the host may have open, and has open.
    pub files: (u64, u64),
    /// MemAvailable, in bytes.
    pub memory_available: u64,
    /// Entries that connection tracking may hold and holds; `None`: it does not track.
    pub conntrack: Option<(u64, u64)>,
    /// The load of the last minute per processor: others at work make figures worse.
    pub load_per_core: f64,
    /// Processors that this process may use.
    pub cores: u64,
}

/// How grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Enough.
    Fine,
    /// The run can be made, its figures may suffer.
    Warning,
    /// The run cannot reach its numbers.
    Failure,
}

/// One line of the preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// What the run needs.
    pub needed: String,
    /// What there is.
    pub available: String,
    /// The verdict.
    pub severity: Severity,
    /// What to do; empty if fine.
    pub advice: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Fine => "ok  ",
            Severity::Warning => "warn",
            Severity::Failure => "FAIL",
        };
        let Self { name, needed, available, advice, .. } = self;
        write!(f, "{mark} {name:<12} needs {needed}, has {available}")?;
        if advice.is_empty() { Ok(()) } else { write!(f, "\n     → {advice}") }
    }
}

/// Judges every need.
#[must_use]
pub fn check(needs: &Needs, facts: &HostFacts) -> Vec<Check> {
    let checks = [
        Some(ports(needs, facts)),
        Some(tables(needs, facts)),
        Some(files(needs, facts)),
        Some(memory(needs, facts)),
        facts.conntrack.map(|conntrack| tracking(needs, conntrack)),
        Some(load(facts)),
    ];
    checks.into_iter().flatten().collect()
}

fn judged(
    name: &'static str,
    needed: String,
    available: String,
    complaint: Option<(Severity, String)>,
) -> Check {
    let (severity, advice) = complaint.unwrap_or((Severity::Fine, String::new()));
    Check { name, needed, available, severity, advice }
}

fn ports(needs: &Needs, facts: &HostFacts) -> Check {
    let per_tuple = facts.ports_per_tuple();
    let available = per_tuple * needs.tuples;
    let complaint = (available < needs.connections).then(|| {
        let tuples = needs.connections.div_ceil(per_tuple.max(1));
        let (low, high) = (facts.ports.start(), facts.ports.end());
        let advice = format!(
            "{tuples} pairs of source and destination are needed: more --source addresses (any of \
             127.0.0.0/8 serve on loopback) or more --url; or widen net.ipv4.ip_local_port_range \
             ({low} {high}) to 1024 65535"
        );
        (Severity::Failure, advice)
    });
    let needed = format!("{} ports", needs.connections);
    judged("ports", needed, format!("{available} ({} tuples)", needs.tuples), complaint)
}

fn tables(needs: &Needs, facts: &HostFacts) -> Check {
    if needs.driver == Backend::Epoll {
        return shared_table(needs, facts);
    }
    let per_ring = needs.connections.div_ceil(needs.shards.max(1)) + u64::from(SPARE_SLOTS);
    let complaint = (per_ring > facts.descriptors).then(|| {
        let room = facts.descriptors.saturating_sub(u64::from(SPARE_SLOTS)).max(1);
        let shards = needs.connections.div_ceil(room);
        let advice = format!("--shards {shards}, or raise RLIMIT_NOFILE (ulimit -n) to {per_ring}");
        (Severity::Failure, advice)
    });
    let needed = format!("{per_ring} descriptors in each of {} rings", needs.shards);
    judged("descriptors", needed, facts.descriptors.to_string(), complaint)
}

/// Over epoll each connection is a descriptor of the process, and more threads hold no more.
fn shared_table(needs: &Needs, facts: &HostFacts) -> Check {
    let all = needs.connections + needs.shards * u64::from(SPARE_SLOTS);
    let complaint = (all > facts.descriptors).then(|| {
        let advice = format!("--driver io_uring, or raise RLIMIT_NOFILE (ulimit -n) to {all}");
        (Severity::Failure, advice)
    });
    let needed = format!("{all} descriptors in all");
    judged("descriptors", needed, facts.descriptors.to_string(), complaint)
}

fn files(needs: &Needs, facts: &HostFacts) -> Check {
    let (most, open) = facts.files;
    let needed = needs.ends();
    let free = most.saturating_sub(open);
    let complaint = (free < needed).then(|| {
        let advice = format!(
            "sysctl fs.file-max={} (a process with CAP_SYS_ADMIN is not held to it)",
            open + needed
        );
        (Severity::Warning, advice)
    });
    judged("open files", needed.to_string(), format!("{free} of {most}"), complaint)
}

fn memory(needs: &Needs, facts: &HostFacts) -> Check {
    let bytes = needs.ends() * KERNEL_BYTES_PER_END + needs.connections * USER_BYTES_PER_CLIENT;
    #[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
    let share = bytes as f64 / facts.memory_available.max(1) as f64;
    let complaint = (share > MEMORY_SHARE).then(|| {
        let severity = if share > 1.0 { Severity::Failure } else { Severity::Warning };
        let most = needs.connections * facts.memory_available / bytes.max(1);
        (severity, format!("fewer --connections: about {most} fit; or the server on another host"))
    });
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    judged("memory", mib(bytes), format!("{} available", mib(facts.memory_available)), complaint)
}

fn tracking(needs: &Needs, (most, held): (u64, u64)) -> Check {
    let free = most.saturating_sub(held);
    // An idle table on a host that has the module but no rule that uses it: nothing is tracked.
    let idle = held == 0;
    let complaint = (free < needs.connections).then(|| {
        let advice = format!(
            "connection tracking would drop what does not fit, if a firewall rule uses it: sysctl \
             net.netfilter.nf_conntrack_max={}, or exempt the test's ports from tracking",
            held + needs.connections
        );
        (if idle { Severity::Warning } else { Severity::Failure }, advice)
    });
    judged("conntrack", needs.connections.to_string(), format!("{free} of {most}"), complaint)
}

fn load(facts: &HostFacts) -> Check {
    let complaint = (facts.load_per_core > 0.5).then(|| {
        let advice = "other programs are at work here: stop them, or do not trust times".to_owned();
        (Severity::Warning, advice)
    });
    let has = format!("load {:.2} on each of {}", facts.load_per_core, facts.cores);
    judged("processors", "a quiet host".to_owned(), has, complaint)
}

impl Needs {
    fn ends(&self) -> u64 {
        self.connections * if self.server_here { 2 } else { 1 }
    }
}

impl HostFacts {
    /// Reads this host. What cannot be read counts as enough.
    #[must_use]
    pub fn read() -> Self {
        let cores = throng_ring::host::cores().len().max(1) as u64;
        let load =
            text("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok());
        let number = |path| text(path).trim().parse::<u64>().ok();
        let conntrack = number("/proc/sys/net/netfilter/nf_conntrack_max")
            .zip(number("/proc/sys/net/netfilter/nf_conntrack_count"));
        let (reserved, ports) = local_ports();
        Self {
            ports,
            ports_reserved: reserved,
            descriptors: throng_ring::host::rlimit_nofile().hard.unwrap_or(u64::MAX),
            files: parse_files(&text("/proc/sys/fs/file-nr")).unwrap_or((u64::MAX, 0)),
            memory_available: parse_available(&text("/proc/meminfo")).unwrap_or(u64::MAX),
            conntrack,
            load_per_core: load.unwrap_or_default() / cores as f64,
            cores,
        }
    }

    /// Ports that one pair of source and destination offers.
    #[must_use]
    pub fn ports_per_tuple(&self) -> u64 {
        let (low, high) = (u64::from(*self.ports.start()), u64::from(*self.ports.end()));
        (high + 1).saturating_sub(low).saturating_sub(self.ports_reserved)
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Reserved ports within the range, and the range.
fn local_ports() -> (u64, RangeInclusive<u16>) {
    let range =
        parse_range(&text("/proc/sys/net/ipv4/ip_local_port_range")).unwrap_or(32_768..=60_999);
    (reserved_within(&text("/proc/sys/net/ipv4/ip_local_reserved_ports"), &range), range)
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut fields = text.split_ascii_whitespace();
    Some(fields.next()?.parse().ok()?..=fields.next()?.parse().ok()?)
}

fn reserved_within(list: &str, range: &RangeInclusive<u16>) -> u64 {
    let parts = list.trim().split(',').filter_map(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some((low.parse::<u16>().ok()?, high.parse::<u16>().ok()?))
    });
    parts
        .map(|(low, high)| {
            let (low, high) = (low.max(*range.start()), high.min(*range.end()));
            u64::from(high.saturating_add(1).saturating_sub(low))
        })
        .sum()
}

/// (most, open) of "open free most".
fn parse_files(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    let open = fields.next()?.parse().ok()?;
    Some((fields.nth(1)?.parse().ok()?, open))
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> HostFacts {
        HostFacts {
            ports: 32_768..=60_999,
            ports_reserved: 0,
            descriptors: 20_000,
            files: (2_000_000, 1_000),
            memory_available: 16 << 30,
            conntrack: None,
            load_per_core: 0.1,
            cores: 2,
        }
    }

    fn needs(connections: u64) -> Needs {
        let driver = Backend::IoUring;
        Needs { connections, tuples: 1, shards: 1, driver, server_here: false }
    }

    fn severity(name: &str, needs: &Needs, facts: &HostFacts) -> Severity {
        check(needs, facts).into_iter().find(|check| check.name == name).unwrap().severity
    }

    #[test]
    fn ports_of_one_tuple_suffice_up_to_their_number() {
        let tables = HostFacts { descriptors: 100_000, ..facts() };
        assert_eq!(severity("ports", &needs(28_232), &tables), Severity::Fine);
        assert_eq!(severity("ports", &needs(28_233), &tables), Severity::Failure);
        let two = Needs { tuples: 2, ..needs(28_233) };
        assert_eq!(severity("ports", &two, &tables), Severity::Fine);
    }

    #[test]
    fn reserved_ports_are_not_offered() {
        let range = 100..=200;
        assert_eq!(reserved_within("50-99,150,160-169,200-300\n", &range), 12);
        assert_eq!(reserved_within("\n", &range), 0);
        let facts = HostFacts { ports: range, ports_reserved: 12, ..facts() };
        assert_eq!(facts.ports_per_tuple(), 89);
    }

    #[test]
    fn a_table_holds_its_connections_and_some_spare() {
        let spare = u64::from(SPARE_SLOTS);
        assert_eq!(severity("descriptors", &needs(20_000 - spare), &facts()), Severity::Fine);
        assert_eq!(severity("descriptors", &needs(20_001 - spare), &facts()), Severity::Failure);
    }

    #[test]
    fn over_epoll_all_threads_share_what_the_process_may_open() {
        let epoll = |connections| Needs { shards: 2, driver: Backend::Epoll, ..needs(connections) };
        let spare = 2 * u64::from(SPARE_SLOTS);
        assert_eq!(severity("descriptors", &epoll(20_000 - spare), &facts()), Severity::Fine);
        assert_eq!(severity("descriptors", &epoll(20_001 - spare), &facts()), Severity::Failure);
    }

    #[test]
    fn the_advice_names_a_number_of_shards_that_passes() {
        let wanted = needs(100_000);
        let checks = check(&wanted, &facts());
        let advice = &checks.iter().find(|check| check.name == "descriptors").unwrap().advice;
        let digits: String = advice
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        let shards = digits.parse().unwrap();
        let advised = Needs { shards, ..wanted };
        assert_eq!(severity("descriptors", &advised, &facts()), Severity::Fine);
    }

    #[test]
    fn both_ends_on_one_host_count_twice() {
        let small = HostFacts { files: (150_000, 0), ..facts() };
        let apart = needs(100_000);
        assert_eq!(severity("open files", &apart, &small), Severity::Fine);
        let here = Needs { server_here: true, ..apart };
        assert_eq!(severity("open files", &here, &small), Severity::Warning);
    }

    #[test]
    fn memory_that_does_not_suffice_is_a_failure_and_scarce_memory_a_warning() {
        let bytes = KERNEL_BYTES_PER_END * 1_000 + USER_BYTES_PER_CLIENT * 1_000;
        let with = |memory_available| HostFacts { memory_available, ..facts() };
        assert_eq!(severity("memory", &needs(1_000), &with(2 * bytes)), Severity::Fine);
        assert_eq!(severity("memory", &needs(1_000), &with(bytes)), Severity::Warning);
        assert_eq!(severity("memory", &needs(1_000), &with(bytes - 1)), Severity::Failure);
    }

    #[test]
    fn a_tracking_table_in_use_must_hold_the_run() {
        let with = |conntrack| HostFacts { conntrack: Some(conntrack), ..facts() };
        assert_eq!(severity("conntrack", &needs(1_000), &with((1_010, 10))), Severity::Fine);
        assert_eq!(severity("conntrack", &needs(1_000), &with((1_009, 10))), Severity::Failure);
        assert_eq!(severity("conntrack", &needs(1_000), &with((999, 0))), Severity::Warning);
    }

    #[test]
    fn this_host_can_be_read() {
        let facts = HostFacts::read();
        assert!(facts.ports_per_tuple() > 0);
        assert!(facts.descriptors > 0);
        assert!(facts.memory_available > 0);
    }
}
