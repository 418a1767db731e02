//! A counter that grew and a level that is near its most are told; everything else is not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{FakeHost, GIB, throng_tune};
use throng_tune::host::Host;
use throng_tune::watch::{Sample, Watch};

/// A host on which each counter has the value given, all else being 0.
fn host(overflows: u32, udp: u32, dropped: &str, tracked: u32, orphans: u32) -> FakeHost {
    let host = FakeHost::new(4 * GIB, 2);
    host.write(
        "/proc/net/netstat",
        &format!(
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 7 {overflows} 0\n\
         IpExt: InNoRoutes ListenOverflows\nIpExt: 5 99\n"
        ),
    );
    host.write("/proc/net/snmp", &format!("Udp: InDatagrams RcvbufErrors\nUdp: 1 {udp}\n"));
    host.write(
        "/proc/net/softnet_stat",
        &format!("00000010 {dropped} 00000000\n00000010 00000001 00000000\n"),
    );
    host.write(
        "/proc/net/sockstat",
        &format!("sockets: used 3\nTCP: inuse 1 orphan {orphans} tw 0 alloc 1 mem 0\n"),
    );
    host.sysctl("net.netfilter.nf_conntrack_count", &tracked.to_string());
    host.sysctl("net.netfilter.nf_conntrack_max", "1000");
    host
}

fn sample(host: &FakeHost, metrics: &str) -> Sample {
    Watch::new().unwrap().sample(&Host::at(host.path()), metrics)
}

/// Names and amounts of the news between two hosts.
fn news(before: &Sample, after: &Sample) -> Vec<(String, String)> {
    let news = Watch::new().unwrap().news(before, after);
    news.into_iter().map(|news| (news.name, news.amount)).collect()
}

fn told(name: &str, amount: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), amount.to_owned())]
}

#[test]
fn what_did_not_grow_is_not_told() {
    let same = sample(&host(5, 3, "00000002", 799, 0), "");
    assert_eq!(news(&same, &same), []);
}

#[test]
fn each_place_of_a_counter_is_read() {
    let before = sample(&host(5, 3, "00000002", 0, 0), "");
    let after = |overflows, udp, dropped| sample(&host(overflows, udp, dropped, 0, 0), "");
    assert_eq!(news(&before, &after(6, 3, "00000002")), told("ListenOverflows", "+1 to 6"));
    assert_eq!(news(&before, &after(5, 13, "00000002")), told("RcvbufErrors", "+10 to 13"));
    assert_eq!(news(&before, &after(5, 3, "0000000a")), told("softnet dropped", "+8 to 11"));
}

#[test]
fn a_level_is_told_from_its_share_on() {
    let at = |tracked| sample(&host(0, 0, "00000000", tracked, 0), "");
    assert_eq!(news(&at(0), &at(799)), []);
    assert_eq!(news(&at(0), &at(800)), told("tracked connections", "800 of 1000"));
    let orphans = |orphans| sample(&host(0, 0, "00000000", 0, orphans), "");
    assert_eq!(news(&orphans(0), &orphans(16_384)), told("orphans", "16384 of 16384"));
}

#[test]
fn the_gateways_own_counters_start_anew_with_it() {
    let host = host(0, 0, "00000000", 0, 0);
    let at = |count: u32| {
        sample(&host, &format!("throng_edge_accept_failures_total{{shard=\"0\"}} {count}\n# EOF\n"))
    };
    assert_eq!(news(&at(4), &at(6)), told("accept failures", "+2 to 6"));
    assert_eq!(news(&at(4), &at(1)), told("accept failures", "+1 to 1"));
    assert_eq!(news(&at(4), &at(4)), []);
}

#[test]
fn every_counter_of_the_kernel_is_on_this_one_or_its_module_is_not_loaded() {
    let watch = Watch::new().unwrap();
    let sample = watch.sample(&Host::this(), "");
    let shows_all = Host::this().has("/proc/sys/net/ipv4/tcp_mem");
    for count in &watch.counts {
        let is_elsewhere = count.name.starts_with("conntrack") || count.is_of_gateway();
        assert!(is_elsewhere || sample.counts.contains_key(&count.name), "{}", count.name);
    }
    for level in &watch.levels {
        // A container's network namespace does not show the host's most.
        let is_elsewhere = level.name.starts_with("tracked") || !shows_all;
        assert!(is_elsewhere || sample.levels.contains_key(&level.name), "{}", level.name);
    }
}

#[test]
fn the_program_says_what_was_counted_so_far() {
    let host = host(5, 0, "00000000", 0, 0);
    let (code, out, _) = throng_tune(host.path(), &["watch", "--count", "1", "--interval-ms", "1"]);
    assert_eq!(code, 0);
    assert!(out.contains("ListenOverflows 5 so far: connections were dropped"), "{out}");
    assert!(out.ends_with("0 s  nothing\n"), "{out}");
    let nobody = ["watch", "--count", "0", "--metrics", "http://127.0.0.1:1"];
    assert_eq!(throng_tune(host.path(), &nobody).0, 69);
}
