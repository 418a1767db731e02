//! A host is judged by its live values: one short of the bound is wrong, the bound itself is right.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use throng_tune::check::{Plan, Verdict, check};
use throng_tune::live::Host;
use throng_tune::profile::{Profile, Severity};

const PLAN: Plan = Plan { connections: 100_000, shards: 8 };

/// A /proc that holds the plan with nothing to spare.
fn write_proc(proc: &Path) {
    let sysctl = |name: &str, value: &str| {
        let path = proc.join("sys").join(name.replace('.', "/"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    };
    sysctl("kernel.io_uring_disabled", "0\n");
    sysctl("net.core.somaxconn", "4096\n");
    sysctl("net.ipv4.tcp_max_syn_backlog", "4096\n");
    sysctl("net.ipv4.tcp_mem", "1\t2\t100000\n");
    fs::create_dir_all(proc.join("self")).unwrap();
    let limits = "Limit Soft Hard Units\nMax open files            1024     12564      files\n";
    fs::write(proc.join("self/limits"), limits).unwrap();
    let kib = (100_000_u64 * 5632 + 8 * 4 * 1024 * 1024 + 256 * 1024 * 1024) / 1024;
    fs::write(proc.join("meminfo"), format!("MemTotal: {kib} kB\nMemAvailable: {kib} kB\n"))
        .unwrap();
}

fn verdicts(proc: &Path) -> Vec<(String, Verdict)> {
    let profile = Profile::edge().unwrap();
    let findings = check(&profile, PLAN, &Host::at(proc)).unwrap();
    findings.iter().map(|finding| (finding.key.name.clone(), finding.verdict)).collect()
}

fn with(change: impl Fn(&Path)) -> Vec<(String, Verdict)> {
    let proc = tempfile::tempdir().unwrap();
    write_proc(proc.path());
    change(proc.path());
    let bad = |(_, verdict): &(String, Verdict)| *verdict != Verdict::Good;
    verdicts(proc.path()).into_iter().filter(bad).collect()
}

#[test]
fn a_host_that_just_holds_the_plan_is_good() {
    assert_eq!(with(|_| ()), []);
}

#[test]
fn one_descriptor_short_is_a_fault() {
    let found = with(|proc| {
        let path = proc.join("self/limits");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("12564", "12563")).unwrap();
    });
    assert_eq!(found, [("nofile".to_owned(), Verdict::Wrong(Severity::Fault))]);
}

#[test]
fn io_uring_switched_off_is_a_fault() {
    let found = with(|proc| fs::write(proc.join("sys/kernel/io_uring_disabled"), "1").unwrap());
    assert_eq!(found, [("kernel.io_uring_disabled".to_owned(), Verdict::Wrong(Severity::Fault))]);
}

#[test]
fn only_the_named_column_counts() {
    let found = with(|proc| {
        fs::write(proc.join("sys/net/ipv4/tcp_mem"), "100000\t100000\t99999\n").unwrap();
    });
    assert_eq!(found, [("net.ipv4.tcp_mem".to_owned(), Verdict::Wrong(Severity::Warning))]);
}

#[test]
fn a_larger_value_is_never_a_fault() {
    let found = with(|proc| fs::write(proc.join("sys/net/core/somaxconn"), "65535").unwrap());
    assert_eq!(found, []);
}

#[test]
fn a_key_that_the_kernel_lacks_is_absent() {
    let found = with(|proc| fs::remove_file(proc.join("sys/net/core/somaxconn")).unwrap());
    assert_eq!(found, [("net.core.somaxconn".to_owned(), Verdict::Absent)]);
}

#[test]
fn an_unlimited_limit_is_good() {
    let found = with(|proc| {
        let path = proc.join("self/limits");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("12564", "unlimited")).unwrap();
    });
    assert_eq!(found, []);
}
