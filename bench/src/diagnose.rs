//! What limited a run, and what to do: causes explained, and limits recognised from both sides.
//!
//! [`Cause::advice`] speaks of one failed connection, [`findings`] of the run: it reads the books,
//! the pace and the growth of the kernel's counters, and names each limit that left its trace.

use std::time::Duration;

use crate::generator::{Cause, Counter, Sample};
use crate::measure::kernel::Counters;

impl Cause {
    /// What it means and what to do next.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::PortsExhausted => {
                "every port from the source addresses to this destination is taken: give more \
                 --source addresses or destinations, or widen net.ipv4.ip_local_port_range"
            }
            Self::SourceAddress => {
                "the --source address is not of this host: ip addr add, or leave it out"
            }
            Self::Descriptors => "this process may open no more files: raise ulimit -n",
            Self::TableFull => "the table of a ring is full: more --shards",
            Self::NoMemory => {
                "the kernel refused memory for a socket: look at MemAvailable, the cgroup's limit \
                 and net.ipv4.tcp_mem"
            }
            Self::Refused => {
                "nobody listens there: is the server up, and on this address and port?"
            }
            Self::Unreachable => "no way to the destination: look at routes and firewalls",
            Self::ConnectTimeout => {
                "SYNs got no answer: the server's accept queue is full (raise its backlog and \
                 net.core.somaxconn; lower --rate), or a firewall or a full connection tracking \
                 table drops them"
            }
            Self::ResetInHandshake => {
                "the server reset the connection before it answered the upgrade: it refuses new \
                 connections (admission limits), or its process ended"
            }
            Self::EndedInHandshake => {
                "the server closed before it answered the upgrade: admission limits, a full table \
                 of descriptors, or the wrong port"
            }
            Self::UpgradeTimeout => {
                "the server accepted but did not answer the upgrade in time: it is overloaded, or \
                 speaks another protocol on this port"
            }
            Self::BadUpgrade => {
                "the server answered the upgrade with another status (see the detail): 404 wrong \
                 --path, 400 or 426 a missing header or --subprotocol, 429 or 503 its limits"
            }
            Self::HelloRefused => {
                "the server refused hello: it is overloaded, or a token is needed"
            }
            Self::HelloTimeout => {
                "no answer to the first message in time: the server is overloaded, or it expects \
                 another first message"
            }
            Self::Closed => {
                "the server closed with the code in the detail: 4001 slow reader, 4002 heartbeat \
                 missed, 4000 it drains, 4403 a newer connection of the device took over"
            }
            Self::Reset => "the server reset an established connection: did its process end?",
            Self::Ended => {
                "the server ended an established connection without a close frame: a proxy's idle \
                 timeout, or its process ended"
            }
            Self::PeerTimeout => "the peer stopped answering TCP: host or network lost",
            Self::HeartbeatTimeout => {
                "the server did not answer heartbeats in time: it is overloaded or stuck"
            }
            Self::ProtocolError => "the server broke RFC 6455: report it to its authors",
            Self::WrongAnswer => {
                "an answer had other content than it must have: is this an echo server (or, for \
                 Throng, a server of this version)?"
            }
            Self::Generator => {
                "the generator could not go on; the detail is the error number. A bug, or a kernel \
                 that is not known yet: please report it"
            }
        }
    }
}

/// What [`findings`] looks at.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The run so far, or the whole.
    pub total: &'a Sample,
    /// How long no connection was established although some were under way; zero if none was.
    pub stalled: Duration,
    /// Busy share of the generator's busiest thread, 0 to 1.
    pub generator_busy: f64,
    /// Busy share of the server over the processors that it may use, 0 to 1; unknown if not asked.
    pub server_busy: Option<f64>,
    /// Counters of the kernel before and now; unknown where the server is on another host and its
    /// counters matter.
    pub kernel: (&'a Counters, &'a Counters),
    /// Memory that the host has left, in bytes.
    pub memory_available: u64,
}

/// A processor that is busier than this has nothing left to give.
const BUSY: f64 = 0.95;

/// A host with less memory than this starts to reclaim.
const MEMORY_LOW: u64 = 256 << 20;

/// No progress for this long is a stall.
const STALL: Duration = Duration::from_secs(3);

/// Every limit that left a trace, the likeliest first: one sentence each, with the next step.
#[must_use]
pub fn findings(situation: &Situation<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    from_counters(situation, &mut findings);
    from_processors(situation, &mut findings);
    if situation.memory_available < MEMORY_LOW {
        findings.push(format!(
            "memory: {} MiB are left on this host; the kernel reclaims and may kill. Fewer \
             connections, or the ends on two hosts",
            situation.memory_available >> 20
        ));
    }
    if situation.stalled >= STALL && findings.is_empty() {
        findings.push(stall(situation));
    }
    findings
}

/// Counter of the kernel, what its growth means, the next step.
const TRACES: [(&str, &str); 9] = [
    (
        "TcpExt.ListenOverflows",
        "the accept queue of a listener overflowed: raise the server's backlog and \
         net.core.somaxconn, add shards, or lower --rate",
    ),
    (
        "TcpExt.TCPReqQFullDrop",
        "the SYN queue was full: raise net.ipv4.tcp_max_syn_backlog, or lower --rate",
    ),
    (
        "TcpExt.TCPReqQFullDoCookies",
        "the SYN queue was full and SYN cookies were sent: raise net.ipv4.tcp_max_syn_backlog",
    ),
    (
        "TcpExt.TCPMemoryPressures",
        "TCP memory is under pressure: buffers shrink. Raise net.ipv4.tcp_mem (pages), or send less",
    ),
    (
        "TcpExt.TCPAbortOnMemory",
        "the kernel reset connections for want of TCP memory or for too many orphans: raise \
         net.ipv4.tcp_mem and net.ipv4.tcp_max_orphans",
    ),
    (
        "TcpExt.TCPTimeWaitOverflow",
        "TIME-WAIT sockets beyond net.ipv4.tcp_max_tw_buckets: harmless for the run, raise it",
    ),
    (
        "softnet.dropped",
        "the network's backlog queue dropped packets: raise net.core.netdev_max_backlog",
    ),
    (
        "TcpExt.TCPBacklogDrop",
        "packets were dropped while a process held its socket: a processor was too busy",
    ),
    ("TcpExt.PruneCalled", "receive buffers were pruned: a reader is too slow for what it is sent"),
];

fn from_counters(situation: &Situation<'_>, findings: &mut Vec<String>) {
    let (before, now) = situation.kernel;
    for (counter, meaning) in TRACES {
        let grown = now.since(before, counter);
        if grown > 0 {
            findings.push(format!("{counter} +{grown}: {meaning}"));
        }
    }
}

fn from_processors(situation: &Situation<'_>, findings: &mut Vec<String>) {
    if situation.generator_busy >= BUSY {
        findings.push(format!(
            "generator: its busiest thread used {:.0} % of a processor, so it may be the narrow \
             end. More --shards, and read the server's processor time per message \
             rather than the rate",
            situation.generator_busy * 100.0
        ));
    }
    if let Some(busy) = situation.server_busy.filter(|busy| *busy >= BUSY) {
        findings.push(format!(
            "server: its processors are {:.0} % busy: this is its limit here",
            busy * 100.0
        ));
    }
}

fn stall(situation: &Situation<'_>) -> String {
    let total = situation.total;
    let waiting = total
        .count(Counter::Started)
        .saturating_sub(total.count(Counter::Established) + total.count(Counter::Failed));
    let commonest = total.failures().max_by_key(|(_, _, count)| *count);
    let hint = commonest.map_or(
        "no counter of this host says why: look at the server's log and its processors",
        |(cause, _, _)| cause.advice(),
    );
    format!(
        "nothing was established for {:.0} s while {waiting} connections wait: {hint}",
        situation.stalled.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation<'a>(total: &'a Sample, before: &'a Counters, now: &'a Counters) -> Situation<'a> {
        Situation {
            total,
            stalled: Duration::ZERO,
            generator_busy: 0.5,
            server_busy: None,
            kernel: (before, now),
            memory_available: 8 << 30,
        }
    }

    fn counters(text: &str) -> Counters {
        Counters::parse_pairs(text)
    }

    #[test]
    fn a_run_without_traces_has_no_findings() {
        let (total, none) = (Sample::default(), Counters::default());
        assert!(findings(&situation(&total, &none, &none)).is_empty());
    }

    #[test]
    fn each_counter_that_grew_is_named_with_its_growth() {
        let total = Sample::default();
        let before = counters("TcpExt: ListenOverflows TCPMemoryPressures\nTcpExt: 5 1\n");
        let now = counters("TcpExt: ListenOverflows TCPMemoryPressures\nTcpExt: 12 1\n");
        let found = findings(&situation(&total, &before, &now));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("TcpExt.ListenOverflows +7: "), "{found:?}");
    }

    #[test]
    fn a_busy_generator_is_told_from_a_busy_server() {
        let (total, none) = (Sample::default(), Counters::default());
        let busy = |generator_busy, server_busy| {
            let server_busy = Some(server_busy);
            findings(&Situation { generator_busy, server_busy, ..situation(&total, &none, &none) })
        };
        assert!(busy(0.95, 0.5)[0].starts_with("generator: "));
        assert!(busy(0.94, 0.95)[0].starts_with("server: "));
        assert!(busy(0.94, 0.94).is_empty());
    }

    #[test]
    fn a_stall_without_other_traces_names_the_commonest_failure() {
        let none = Counters::default();
        let mut total = Sample::default();
        total.add(Counter::Started, 10);
        total.fail(Cause::ConnectTimeout, 0);
        let stalled = Situation { stalled: STALL, ..situation(&total, &none, &none) };
        let found = findings(&stalled);
        assert!(found[0].contains("9 connections wait"), "{found:?}");
        assert!(found[0].contains(Cause::ConnectTimeout.advice()));
        let shorter = Situation { stalled: STALL - Duration::from_millis(1), ..stalled };
        assert!(findings(&shorter).is_empty());
    }

    #[test]
    fn scarce_memory_is_named() {
        let (total, none) = (Sample::default(), Counters::default());
        let with = |memory_available| {
            findings(&Situation { memory_available, ..situation(&total, &none, &none) })
        };
        assert!(with(MEMORY_LOW).is_empty());
        assert!(with(MEMORY_LOW - 1)[0].starts_with("memory: "));
    }

    #[test]
    fn every_cause_has_advice_and_a_name_of_its_own() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
        assert!(Cause::ALL.iter().all(|cause| !cause.advice().is_empty()));
    }
}
