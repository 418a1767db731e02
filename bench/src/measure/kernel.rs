//! Memory and counters of the kernel, from /proc: what both ends of a run share.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::malformed;

/// Bytes of a page of this architecture's kernel (x86-64, arm64 as distributions build it).
const PAGE_BYTES: u64 = 4096;

/// The kernel's slab in use, reclaimable or not, in bytes, from object counts.
///
/// `MemInfo`'s `Slab` counts whole pages, half-empty ones included; the active objects are what
/// connections cost. Needs root.
///
/// # Errors
/// /proc/slabinfo is not readable (needs root) or not understood.
pub fn slab_bytes() -> io::Result<u64> {
    slab_bytes_in(&fs::read_to_string("/proc/slabinfo")?)
}

fn slab_bytes_in(slabinfo: &str) -> io::Result<u64> {
    let rows = slabinfo.lines().filter(|line| !line.starts_with('#') && !line.starts_with("slab"));
    rows.map(|row| {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let active: u64 = fields.next()?.parse().ok()?;
        let object_bytes: u64 = fields.nth(1)?.parse().ok()?;
        Some(active * object_bytes)
    })
    .sum::<Option<u64>>()
    .ok_or_else(|| malformed("slabinfo"))
}

/// Memory that the kernel has given to sockets as whole pages, in bytes (`tcp_mem` pages).
///
/// # Errors
/// /proc/net/sockstat is not readable.
pub fn socket_page_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find(|line| line.starts_with("TCP:"));
    let pages = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| malformed("sockstat"))
}

/// Counters that tell which limit of this host was hit. They only grow; what a run did is the
/// difference of two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads `TcpExt` and `Tcp` of /proc/net, and the columns of softnet_stat that matter
    /// (`softnet.dropped`, `softnet.squeezed`). What is not there is left out.
    #[must_use]
    pub fn read() -> Self {
        let mut counters = BTreeMap::new();
        for file in ["/proc/net/netstat", "/proc/net/snmp"] {
            collect_pairs(&fs::read_to_string(file).unwrap_or_default(), &mut counters);
        }
        let softnet = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
        collect_softnet(&softnet, &mut counters);
        Self(counters)
    }

    #[cfg(test)]
    pub(crate) fn parse_pairs(text: &str) -> Self {
        let mut counters = BTreeMap::new();
        collect_pairs(text, &mut counters);
        Self(counters)
    }

    /// By how much a counter (`TcpExt.ListenOverflows`) grew since `before`.
    #[must_use]
    pub fn since(&self, before: &Self, name: &str) -> u64 {
        let of = |counters: &Self| counters.0.get(name).copied().unwrap_or_default();
        of(self).saturating_sub(of(before))
    }
}

/// Pairs of lines: `Name: key key`, `Name: value value`.
fn collect_pairs(text: &str, counters: &mut BTreeMap<String, u64>) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let (Some((group, keys)), Some((_, values))) =
            (pair[0].split_once(':'), pair[1].split_once(':'))
        else {
            continue;
        };
        for (key, value) in keys.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            if let Ok(value) = value.parse() {
                counters.insert(format!("{group}.{key}"), value);
            }
        }
    }
}

/// One line a processor, hexadecimal: packets, dropped, squeezed, …
fn collect_softnet(text: &str, counters: &mut BTreeMap<String, u64>) {
    for line in text.lines() {
        let mut columns = line.split_ascii_whitespace().skip(1);
        for name in ["softnet.dropped", "softnet.squeezed"] {
            let value = columns.next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
            *counters.entry(name.to_owned()).or_default() += value.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slab_is_active_objects_times_their_size() {
        let text = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> ...\n\
                    TCP 10 14 2368 13 8 : tunables 0 0 0\nfilp 100 120 192 21 1 : tunables\n";
        assert_eq!(slab_bytes_in(text).unwrap(), 10 * 2368 + 100 * 192);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        assert!(slab_bytes_in("TCP ten 14 2368\n").is_err());
    }

    #[test]
    fn counters_are_named_by_group_and_their_growth_is_told() {
        let before = Counters::parse_pairs("TcpExt: A B\nTcpExt: 1 7\nIpExt: A\nIpExt: 3\n");
        let after = Counters::parse_pairs("TcpExt: A B\nTcpExt: 5 7\n");
        assert_eq!(after.since(&before, "TcpExt.A"), 4);
        assert_eq!(after.since(&before, "TcpExt.B"), 0);
        assert_eq!(after.since(&before, "IpExt.A"), 0, "gone from the second reading");
    }

    #[test]
    fn softnet_columns_are_added_over_processors() {
        let mut counters = BTreeMap::new();
        collect_softnet("02fa 00000002 0000000a 0\n0266 00000001 00000010 0\n", &mut counters);
        assert_eq!(counters["softnet.dropped"], 3);
        assert_eq!(counters["softnet.squeezed"], 26);
    }

    #[test]
    fn this_host_has_the_counters_that_findings_rest_on() {
        let Counters(counters) = Counters::read();
        for name in ["TcpExt.ListenOverflows", "TcpExt.ListenDrops", "Tcp.RetransSegs"] {
            assert!(counters.contains_key(name), "{name}");
        }
    }
}
