//! From a bare host to one that passes check, and back: by the program, on a host that is a
//! directory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::{FakeHost, GIB, assert_same, limits_file, throng_tune};

const PLAN: [&str; 4] = ["--connections", "200000", "--shards", "8"];

fn bare() -> FakeHost {
    let host = FakeHost::new(16 * GIB, 8);
    host.write("/proc/self/limits", &limits_file("1024", "4096"));
    host.write("/var/lib/dpkg/status", "");
    host.write("/etc/hostname", "bare\n");
    host
}

fn run(host: &FakeHost, command: &str, more: &[&str]) -> (i32, String) {
    let plan: &[&str] = if command == "rollback" { &[] } else { &PLAN };
    let (code, out, err) = throng_tune(host.path(), &[&[command], plan, more].concat());
    (code, out + &err)
}

#[test]
fn a_bare_host_passes_check_after_apply_and_is_as_before_after_rollback() {
    let host = bare();
    let before = host.tree();
    assert_eq!(run(&host, "check", &[]).0, 2);
    let (code, text) = run(&host, "apply", &[]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&host, "check", &[]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&host, "rollback", &[]);
    assert_eq!(code, 0, "{text}");
    assert_same(&host.tree(), &before);
    assert_eq!(run(&host, "rollback", &[]), (0, "nothing was applied\n".to_owned()));
    assert_same(&host.tree(), &before);
}

#[test]
fn a_dry_run_says_the_writes_and_makes_none() {
    let host = bare();
    let before = host.tree();
    let (code, text) = run(&host, "apply", &["--dry-run"]);
    assert_eq!(code, 0);
    assert_same(&host.tree(), &before);
    assert!(text.contains("write /proc/sys/net/ipv4/tcp_migrate_req: 0 -> 1\n"), "{text}");
    assert!(text.contains("create /etc/systemd/system/throng-edge.service.d/99-throng-tune.conf:"));
    assert!(text.contains("    LimitNOFILE=32274\n"), "{text}");
    assert!(text.ends_with("nothing was written\n"));
}

#[test]
fn values_larger_than_asked_are_not_written() {
    let host = bare();
    host.sysctl("net.core.netdev_max_backlog", "100000");
    assert_eq!(run(&host, "apply", &[]).0, 0);
    let sysctls = fs::read_to_string(host.path().join("etc/sysctl.d/99-throng-tune.conf")).unwrap();
    assert!(sysctls.contains("net.ipv4.tcp_migrate_req = 1\n"), "{sysctls}");
    assert!(!sysctls.contains("netdev_max_backlog"), "{sysctls}");
    assert!(!sysctls.contains("tcp_rmem"), "lowered only when asked for: {sysctls}");
}

#[test]
fn each_kind_of_key_is_brought_back_by_the_file_of_its_kind() {
    let host = bare();
    host.sysctl("net.netfilter.nf_conntrack_max", "1000");
    host.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "432000");
    assert_eq!(run(&host, "apply", &[]).0, 0);
    let has = |path: &str, line: &str| {
        let text = fs::read_to_string(host.path().join(path)).unwrap();
        assert!(text.lines().any(|other| other == line), "{path}: {text}");
    };
    has("etc/sysctl.d/99-throng-tune.conf", "net.netfilter.nf_conntrack_max = 480000");
    has("etc/modules-load.d/throng-tune.conf", "nf_conntrack");
    let huge_pages = "w /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise";
    has("etc/tmpfiles.d/throng-tune.conf", huge_pages);
    let unit = "etc/systemd/system/throng-edge.service.d/99-throng-tune.conf";
    has(unit, "[Service]");
    has(unit, "LimitNOFILE=32274");
    has("proc/sys/net/netfilter/nf_conntrack_max", "480000");
}

#[test]
fn rollback_after_a_reboot_and_with_a_key_that_vanished() {
    let host = bare();
    let before = host.tree();
    assert_eq!(run(&host, "apply", &[]).0, 0);
    // The next kernel starts with its own values, gets those of the file, and lacks a key.
    host.sysctl("net.ipv4.tcp_slow_start_after_idle", "0");
    host.remove("/proc/sys/net/ipv4/tcp_migrate_req");
    let (code, text) = run(&host, "rollback", &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no longer there: /proc/sys/net/ipv4/tcp_migrate_req"), "{text}");
    let mut after = host.tree();
    after.insert("proc/sys/net/ipv4/tcp_migrate_req".to_owned(), Some("0\n".to_owned()));
    assert_same(&after, &before);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_told() {
    let host = bare();
    assert_eq!(run(&host, "apply", &[]).0, 0);
    host.sysctl("net.core.netdev_max_backlog", "777");
    let (code, text) = run(&host, "rollback", &[]);
    assert_eq!(code, 0);
    assert!(text.contains("had been changed by another to \"777\""), "{text}");
    let path = host.path().join("proc/sys/net/core/netdev_max_backlog");
    assert_eq!(fs::read_to_string(path).unwrap(), "1000\n");
}

#[test]
fn a_refused_value_puts_everything_back() {
    let host = bare();
    let before = host.tree();
    // A directory in the place of the file for the next boot.
    fs::create_dir_all(host.path().join("etc/sysctl.d/99-throng-tune.conf/x")).unwrap();
    let (code, text) = run(&host, "apply", &[]);
    assert_eq!(code, 74, "{text}");
    fs::remove_dir_all(host.path().join("etc/sysctl.d")).unwrap();
    assert_eq!(run(&host, "rollback", &[]).0, 0);
    assert_same(&host.tree(), &before);
}

#[test]
fn a_plan_that_does_not_fit_is_not_applied() {
    let host = bare();
    let before = host.tree();
    let (code, text, _) = throng_tune(host.path(), &["apply", "--connections", "90000000"]);
    assert_eq!(code, 2, "{text}");
    assert_same(&host.tree(), &before);
}

#[test]
fn values_of_one_network_namespace_are_not_put_back_into_another() {
    let host = bare();
    let link = host.path().join("proc/self/ns/net");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("net:[4026531840]", &link).unwrap();
    assert_eq!(run(&host, "apply", &[]).0, 0);
    fs::remove_file(&link).unwrap();
    symlink("net:[4026532177]", &link).unwrap();
    let (code, text) = run(&host, "rollback", &[]);
    assert_eq!(code, 74, "{text}");
    assert!(text.contains("net:[4026531840] were changed, and this is net:[4026532177]"), "{text}");
    assert_eq!(run(&host, "apply", &[]).0, 74);
    fs::remove_file(&link).unwrap();
    symlink("net:[4026531840]", &link).unwrap();
    assert_eq!(run(&host, "rollback", &[]).0, 0);
}

#[test]
fn a_record_of_another_version_is_left_alone() {
    let host = bare();
    host.write("/var/lib/throng-tune/journal.json", "{\"schema\":\"other/9\"}");
    let before = host.tree();
    assert_eq!(run(&host, "apply", &[]).0, 78);
    assert_eq!(run(&host, "rollback", &[]).0, 78);
    assert_eq!(run(&host, "check", &[]).0, 78);
    assert_same(&host.tree(), &before);
}

#[test]
fn a_listener_older_than_the_value_is_told_to_restart() {
    let host = bare();
    host.sysctl("net.core.somaxconn", "128");
    host.write("/proc/9/limits", &limits_file("1048576", "1048576"));
    host.write("/proc/9/status", "Seccomp:\t0\nCapEff:\t0000000000000000\n");
    host.write("/proc/9/cgroup", "0::/\n");
    host.write("/proc/stat", "btime 1000\n");
    host.write("/proc/9/stat", &format!("9 (a ) b) S {} 500 0\n", ["0"; 18].join(" ")));
    assert_eq!(run(&host, "apply", &[]).0, 0);
    let (code, text) = run(&host, "check", &["--pid", "9"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the running process has the old value"), "{text}");
}
