//! On the running kernel: in a network namespace of its own, apply then rollback leaves all of
//! /proc/sys as it was. The namespace goes with its process, so nothing outlives the test, and the
//! root that is given to the program shows it the namespace's own keys only, each other one being a
//! copy. Where namespaces are refused, the test says so and ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::{FakeHost, GIB};

/// Set in the process that is in the namespace.
const INSIDE: &str = "THRONG_TUNE_TEST_NAMESPACE";

/// What the kernel counts by itself, or makes anew at each reading.
const VOLATILE: [&str; 10] = [
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inode-nr",
    "/proc/sys/fs/inode-state",
    "/proc/sys/fs/aio-nr",
    "/proc/sys/fs/quota/syncs",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/kernel/random",
    "/proc/sys/net/netfilter/nf_conntrack_count",
];

/// Every readable key with its text.
fn all_keys(directory: &Path, keys: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap().filter_map(Result::ok) {
        let path = entry.path();
        let name = path.to_str().unwrap().to_owned();
        if VOLATILE.iter().any(|volatile| name.starts_with(volatile)) {
            continue;
        }
        if path.is_dir() {
            all_keys(&path, keys);
        } else if let Ok(text) = fs::read_to_string(&path) {
            keys.insert(name, text);
        }
    }
}

fn snapshot() -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    all_keys(Path::new("/proc/sys"), &mut keys);
    keys
}

/// The network keys are those of this namespace, everything else is a directory of the test.
fn host_with_real_network_keys() -> FakeHost {
    let host = FakeHost::new(16 * GIB, 8);
    host.write("/var/lib/dpkg/status", "");
    fs::remove_dir_all(host.path().join("proc/sys/net")).unwrap();
    symlink("/proc/sys/net", host.path().join("proc/sys/net")).unwrap();
    host
}

fn throng_tune(host: &FakeHost, arguments: &[&str]) {
    let (code, out, err) = support::throng_tune(host.path(), arguments);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn apply_then_rollback_leaves_all_of_proc_sys_as_it_was() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this process may not make a network namespace");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let name = "apply_then_rollback_leaves_all_of_proc_sys_as_it_was";
    let output = Command::new("unshare")
        .arg("-n")
        .arg(test)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn inside() {
    let host = host_with_real_network_keys();
    let before = snapshot();
    assert!(before.len() > 500, "{} keys", before.len());
    let plan = ["apply", "--scope", "netns", "--connections", "300000", "--lower-defaults"];
    throng_tune(&host, &plan);
    let applied = snapshot();
    let changed: Vec<_> =
        before.iter().filter(|(key, text)| applied.get(*key) != Some(text)).collect();
    assert!(changed.len() >= 4, "{changed:?}");
    assert!(changed.iter().all(|(key, _)| key.starts_with("/proc/sys/net/")), "{changed:?}");
    throng_tune(&host, &["rollback"]);
    assert_eq!(snapshot(), before);
}
