//! A host is judged by its live values: what it needs and does not have fails, what would merely be
//! better is advice, and what cannot be read never passes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use support::{FakeHost, GIB, limits_file, throng_tune};

const PLAN: [&str; 5] = ["check", "--connections", "100000", "--shards", "8"];

/// A host that passes.
fn ready() -> FakeHost {
    let host = FakeHost::new(16 * GIB, 8);
    host.sysctl("net.ipv4.tcp_slow_start_after_idle", "0");
    host.sysctl("net.ipv4.tcp_migrate_req", "1");
    host.sysctl("net.core.netdev_max_backlog", "4096");
    host.sysctl("net.ipv4.tcp_max_tw_buckets", "100000");
    host.sysctl("net.ipv4.tcp_max_syn_backlog", "1024");
    host.write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    host
}

fn check(root: &Path, more: &[&str]) -> (i32, String) {
    let (code, out, err) = throng_tune(root, &[&PLAN[..], more].concat());
    (code, out + &err)
}

/// The exit code after a change, and the lines that are not good or notes.
fn after(change: impl Fn(&FakeHost)) -> (i32, String) {
    let host = ready();
    change(&host);
    check(host.path(), &[])
}

#[test]
fn a_host_that_holds_the_plan_is_fine() {
    let (code, text) = after(|_| ());
    assert_eq!(code, 0, "{text}");
}

#[test]
fn one_descriptor_short_fails_and_the_exact_number_is_advice() {
    let (code, text) = after(|host| host.write("/proc/self/limits", &limits_file("1024", "12627")));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("FAILS      nofile: 12627"), "{text}");
    let (code, text) = after(|host| host.write("/proc/self/limits", &limits_file("1024", "12628")));
    assert_eq!(code, 1, "{text}");
}

#[test]
fn looks_units_and_larger_values_are_no_faults() {
    let (code, text) = after(|host| {
        host.sysctl("net.core.somaxconn", "65535");
        host.sysctl("net.ipv4.tcp_mem", "  9000000 9000000\t 9000000 ");
        host.write("/proc/self/limits", &limits_file("unlimited", "unlimited"));
    });
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_larger_default_is_lowered_only_when_asked() {
    let host = ready();
    assert_eq!(check(host.path(), &[]).0, 0);
    let (code, text) = check(host.path(), &["--lower-defaults"]);
    assert_eq!(code, 1);
    assert!(text.contains("advice     net.ipv4.tcp_rmem"), "{text}");
}

#[test]
fn a_needed_key_that_cannot_be_read_never_passes() {
    let (code, text) = after(|host| host.remove("/proc/sys/net/ipv4/tcp_mem"));
    assert_eq!(code, 69, "{text}");
    let (code, text) = after(|host| host.sysctl("net.ipv4.tcp_mem", "much"));
    assert_eq!(code, 2, "{text}");
    let (code, text) = after(|host| host.remove("/proc/sys/net/core/somaxconn"));
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_key_that_is_younger_than_the_kernel_is_no_fault() {
    let (code, text) = after(|host| {
        host.sysctl("kernel.osrelease", "6.1.0");
        host.remove("/proc/sys/kernel/io_uring_disabled");
    });
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_kernel_that_is_too_old_fails_and_the_first_one_does_not() {
    assert_eq!(after(|host| host.sysctl("kernel.osrelease", "6.1.0-9-amd64")).0, 0);
    let (code, text) = after(|host| host.sysctl("kernel.osrelease", "6.0.19"));
    assert_eq!(code, 2);
    assert!(text.contains("FAILS      kernel: 6.0 (asked: 6.1)"), "{text}");
}

#[test]
fn a_control_group_of_either_version_bounds_the_memory() {
    let (code, text) = after(|host| {
        host.write("/proc/self/cgroup", "9:cpu,cpuacct:/a\n4:memory:/pods/edge\n0::/\n");
        host.write("/sys/fs/cgroup/memory/pods/memory.limit_in_bytes", "268435456\n");
    });
    assert_eq!(code, 2);
    assert!(text.contains("FAILS      memory: 256.00 MiB"), "{text}");
    let (code, text) = after(|host| host.write("/sys/fs/cgroup/memory.high", "268435456\n"));
    assert_eq!(code, 2, "{text}");
}

#[test]
fn memory_that_cannot_be_read_is_not_zero() {
    let (code, text) = after(|host| host.remove("/proc/meminfo"));
    assert_eq!(code, 69, "{text}");
    assert!(text.contains("/proc/meminfo is not there"), "{text}");
}

#[test]
fn a_plan_beyond_the_memory_fails_with_the_number_that_fits() {
    let (code, text) = after(|host| host.write("/proc/meminfo", "MemTotal: 524288 kB\n"));
    assert_eq!(code, 2);
    assert!(text.contains("FAILS      memory: 512.00 MiB, for"), "{text}");
}

#[test]
fn limits_are_those_of_the_process_that_was_named() {
    let host = ready();
    host.write("/proc/77/limits", &limits_file("100", "524288"));
    host.write("/proc/77/status", "Seccomp:\t2\nCapEff:\t0000000000804000\n");
    host.write("/proc/77/cgroup", "0::/\n");
    let (code, text) = check(host.path(), &["--pid", "77"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("FAILS      nofile: 100 "), "{text}");
    assert!(text.contains("memlock: unlimited"), "CAP_IPC_LOCK lifts it: {text}");
    assert!(text.contains("note       seccomp"), "{text}");
    assert_eq!(check(host.path(), &["--pid", "78"]).0, 69);
}

#[test]
fn the_unit_decides_where_no_process_is_named() {
    let (code, text) = after(|host| {
        let unit = "[Service]\nLimitNOFILE=1K:12K\nLimitNICE=-10\n";
        host.write("/etc/systemd/system/throng-edge.service.d/limits.conf", unit);
    });
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("FAILS      nofile: 12288 (as throng-edge.service will have it)"),
        "{text}"
    );
    assert!(text.contains("good       nice: 30"), "{text}");
}

#[test]
fn files_that_fight_over_a_key_are_both_named() {
    let (code, text) = after(|host| {
        host.write("/etc/sysctl.d/10-web.conf", "# ours\nnet.core.somaxconn = 8192\n");
        host.write("/usr/lib/sysctl.d/50-base.conf", "-net/core/somaxconn=4096\n");
        host.write("/usr/lib/sysctl.d/10-web.conf", "net.core.somaxconn = 1\n");
    });
    assert_eq!(code, 1, "{text}");
    let both = "/etc/sysctl.d/10-web.conf:2 sets 8192; \
                /usr/lib/sysctl.d/50-base.conf:1 sets 4096, and wins";
    assert!(text.contains(both), "{text}");
}

#[test]
fn the_same_value_in_two_files_is_no_fight() {
    let (code, text) = after(|host| {
        host.write("/etc/sysctl.d/10-a.conf", "net.ipv4.tcp_mem = 150000 200000 300000\n");
        host.write("/etc/sysctl.d/20-b.conf", "net.ipv4.tcp_mem=150000\t200000   300000\n");
    });
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_the_next_boot_takes_away_is_told() {
    let (code, text) = after(|host| host.write("/etc/sysctl.conf", "net.core.somaxconn=128\n"));
    assert_eq!(code, 1);
    assert!(text.contains("/etc/sysctl.conf:1 sets 128"), "{text}");
}

#[test]
fn settings_that_do_damage_are_named_with_their_place() {
    let line = "net.ipv4.tcp_tw_recycle = 1\nnet.ipv4.tcp_fastopen = 3\n";
    let (code, text) = after(|host| host.write("/etc/sysctl.d/60-blog.conf", line));
    assert_eq!(code, 1);
    assert!(text.contains("tcp_tw_recycle: /etc/sysctl.d/60-blog.conf:1 sets 1"), "{text}");
    assert!(!text.contains("tcp_fastopen"), "left alone, but harmless: {text}");
}

#[test]
fn programs_that_undo_settings_are_named() {
    let (code, text) = after(|host| {
        host.write("/proc/5/comm", "irqbalance\n");
        host.write("/proc/6/comm", "tuned\n");
    });
    assert_eq!(code, 1);
    assert!(text.contains("irqbalance: running") && text.contains("tuned: running"), "{text}");
}

#[test]
fn packets_that_all_come_to_one_processor_are_told() {
    let card = |host: &FakeHost, mask: &str| {
        host.write("/sys/class/net/eth0/device/vendor", "x");
        host.write("/sys/class/net/eth0/queues/rx-0/rps_cpus", mask);
    };
    let (code, text) = after(|host| card(host, "00\n"));
    assert_eq!(code, 1, "{text}");
    assert_eq!(after(|host| card(host, "ff\n")).0, 0);
}

#[test]
fn json_has_the_exit_code_and_every_finding() {
    let host = ready();
    let (code, text) = check(host.path(), &["--json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "throng-tune-check/1");
    assert_eq!(document["exit"], code);
    let subjects: Vec<_> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| &finding["subject"])
        .collect();
    assert!(subjects.iter().any(|subject| *subject == "nofile"));
}

#[test]
fn a_wrong_command_line_is_told_from_a_failing_plan() {
    assert_eq!(check(Path::new("/"), &["--connexions", "1"]).0, 64);
    assert_eq!(throng_tune(Path::new("/"), &["--help"]).0, 0);
}
