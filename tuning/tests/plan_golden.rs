//! What a plan says for a laptop of 4 GiB, a host of 64 GiB and one of 512 GiB.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{FakeHost, GIB, assert_golden, throng_tune};

fn plan(gib: u64, cores: u64, arguments: &[&str]) -> (i32, String) {
    let host = FakeHost::new(gib * GIB, cores);
    let all: Vec<_> = ["plan"].iter().chain(arguments).copied().collect();
    let (code, out, err) = throng_tune(host.path(), &all);
    assert_eq!(err, "");
    (code, out)
}

#[test]
fn a_laptop_of_4_gib() {
    let (code, text) = plan(4, 4, &["--connections", "50000"]);
    assert_eq!(code, 0);
    assert_golden("laptop-4g.txt", &text);
}

#[test]
fn a_host_of_64_gib() {
    let (code, text) = plan(64, 16, &["--connections", "2000000", "--shards", "64"]);
    assert_eq!(code, 0);
    assert_golden("host-64g.txt", &text);
}

#[test]
fn a_host_of_512_gib_with_all_transports() {
    let arguments =
        ["--connections", "5000000", "--transport", "ws,wss,quic", "--messages-per-s", "20000"];
    let (code, text) = plan(512, 64, &arguments);
    assert_eq!(code, 0);
    assert_golden("host-512g.txt", &text);
}

#[test]
fn what_does_not_fit_is_refused_with_the_number_that_does() {
    let (code, text) = plan(4, 4, &["--connections", "5000000"]);
    assert_eq!(code, 2);
    assert_golden("laptop-4g-refused.txt", &text);
}

#[test]
fn a_plan_that_something_else_than_memory_cannot_hold_fails_from_one_more_on() {
    // One table of 1,048,576 descriptors, of which 128 are spare.
    let plan = |connections| plan(64, 16, &["--shards", "1", "--connections", connections]);
    assert_eq!(plan("1048448").0, 0);
    let (code, text) = plan("1048449");
    assert_eq!(code, 2);
    assert!(text.contains("throng_edge_refused_total  BELOW THE PLAN"), "{text}");
}

#[test]
fn a_control_group_counts_as_the_host() {
    let host = FakeHost::new(64 * GIB, 16);
    host.write("/proc/self/cgroup", "0::/pods/edge\n");
    host.write("/sys/fs/cgroup/pods/memory.max", &(2 * GIB).to_string());
    host.write("/sys/fs/cgroup/pods/edge/memory.max", "max\n");
    let (code, text, _) = throng_tune(host.path(), &["plan", "--connections", "1000000"]);
    assert_eq!(code, 2);
    assert!(text.contains("DOES NOT FIT into 2.00 GiB"), "{text}");
}
