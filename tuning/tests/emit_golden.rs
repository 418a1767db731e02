//! A plan in each of the formats, for a host of 64 GiB with all transports and tracked connections.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{FakeHost, GIB, assert_golden, throng_tune};

fn emit(format: &str) -> String {
    let host = FakeHost::new(64 * GIB, 16);
    host.sysctl("net.netfilter.nf_conntrack_max", "262144");
    host.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "432000");
    host.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "432000");
    let plan = ["--connections", "1000000", "--shards", "64", "--transport", "ws,quic"];
    let (code, out, err) =
        throng_tune(host.path(), &[&["emit", "--format", format], &plan[..]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    out
}

#[test]
fn every_format() {
    for format in
        ["sysctl", "systemd", "kubernetes", "docker", "ansible", "kernel-cmdline", "seccomp"]
    {
        assert_golden(&format!("emit-{format}.txt"), &emit(format));
    }
}

#[test]
fn what_a_pod_cannot_set_is_named_and_not_set() {
    let text = emit("kubernetes");
    let (pod, host) = text.split_once("# What a pod cannot set").unwrap();
    for key in ["net.ipv4.tcp_mem", "net.core.rmem_max", "net.netfilter.nf_conntrack_max"] {
        assert!(!pod.contains(key), "{key}: {pod}");
        assert!(host.contains(key), "{key}: {host}");
    }
    assert!(pod.contains("- name: net.ipv4.tcp_migrate_req"));
}

#[test]
fn what_is_larger_by_itself_or_unknown_is_named_and_not_set() {
    let text = emit("sysctl");
    let (set, left) = text.split_once("# Left as they are on this host:").unwrap();
    for key in ["fs.file-max", "nf_conntrack_tcp_timeout_established", "udp_timeout_stream"] {
        assert!(!set.contains(key), "{key}: {set}");
        assert!(left.contains(key), "{key}: {left}");
    }
}

#[test]
fn the_seccomp_page_is_json() {
    let entry: serde_json::Value = serde_json::from_str(&emit("seccomp")).unwrap();
    assert_eq!(entry["names"].as_array().unwrap().len(), 3);
}
