//! Hosts that are directories.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use throng_tune::host::{Facts, KernelVersion};
use throng_tune::plan::{Inputs, Transport};
use throng_tune::value::Value;

pub(crate) const GIB: u64 = 1 << 30;

/// A host with the values that a kernel 6.18 has by itself.
pub(crate) struct FakeHost {
    pub(crate) root: TempDir,
}

impl FakeHost {
    pub(crate) fn new(memory_bytes: u64, cores: u64) -> Self {
        let host = Self { root: tempfile::tempdir().unwrap() };
        let kib = memory_bytes / 1024;
        host.write("/proc/meminfo", &format!("MemTotal: {kib} kB\nSwapTotal: 0 kB\n"));
        host.write("/sys/devices/system/cpu/online", &format!("0-{}\n", cores - 1));
        host.write("/proc/self/limits", &limits_file("1024", "524288"));
        host.write("/proc/self/status", "Seccomp:\t0\nCapEff:\t0000000000000000\n");
        host.write("/proc/self/cgroup", "0::/\n");
        host.write("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
        host.write("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        let pages = memory_bytes / 4096;
        let tcp_mem = format!("{}\t{}\t{}", pages * 47 / 1000, pages / 16, pages * 94 / 1000);
        let buckets = (memory_bytes / 131_072).min(524_288);
        let halves = (buckets / 2).to_string();
        let syn = (buckets / 128).max(128).to_string();
        for (name, value) in [
            ("kernel.osrelease", "6.18.0"),
            ("kernel.io_uring_disabled", "0"),
            ("fs.nr_open", "1048576"),
            ("fs.file-max", "9223372036854775807"),
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.tcp_max_syn_backlog", &syn),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_mem", &tcp_mem),
            ("net.ipv4.tcp_rmem", "4096\t131072\t33554432"),
            ("net.ipv4.tcp_max_tw_buckets", &halves),
            ("net.ipv4.tcp_max_orphans", &halves),
            ("net.ipv4.tcp_slow_start_after_idle", "1"),
            ("net.ipv4.tcp_migrate_req", "0"),
            ("net.core.netdev_max_backlog", "1000"),
            ("net.core.rmem_max", "4194304"),
            ("net.core.wmem_max", "4194304"),
            ("net.ipv4.tcp_ehash_entries", &buckets.to_string()),
            ("net.ipv4.ip_local_port_range", "32768\t60999"),
        ] {
            host.sysctl(name, value);
        }
        host
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        self.write(&throng_tune::host::sysctl_path(name), &format!("{value}\n"));
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.root.path().join(path.trim_start_matches('/'))).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }
}

pub(crate) fn limits_file(soft: &str, hard: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units\n\
         Max open files            {soft}               {hard}               files\n\
         Max locked memory         8388608              8388608              bytes\n\
         Max nice priority         30                   30\n"
    )
}

pub(crate) fn inputs(connections: u64, memory_bytes: u64, cores: u64) -> Inputs {
    Inputs {
        connections,
        messages_per_s: 0,
        shards: 16,
        transports: vec![Transport::Ws],
        addresses: 1,
        local_ports: 28_232,
        facts: Facts {
            kernel: KernelVersion(6, 18),
            memory_bytes,
            cgroup_bytes: None,
            swap_bytes: 0,
            cores,
            nic_queues: 1,
            numa_nodes: 1,
            page_bytes: 4096,
            conntrack: false,
        },
    }
}

/// Runs the program on a host that is a directory: exit code, and what it wrote.
pub(crate) fn throng_tune(root: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_throng-tune"))
        .args(arguments)
        .arg("--root")
        .arg(root)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Compares with a file of tests/golden; with UPDATE_GOLDEN set writes it anew.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name}: UPDATE_GOLDEN=1 writes it anew");
}

/// Every file and directory below a root (`None` for a directory), by its path.
pub(crate) type Tree = BTreeMap<String, Option<String>>;

impl FakeHost {
    pub(crate) fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        walk(self.path(), self.path(), &mut tree);
        tree
    }
}

fn walk(root: &Path, directory: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            tree.insert(name, None);
            walk(root, &path, tree);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            // A real kernel marks the chosen word anew; a file keeps what was written.
            let is_choice = name.ends_with("transparent_hugepage/enabled");
            let text = if is_choice { Value::parse_choice(&text).to_string() } else { text };
            tree.insert(name, Some(text));
        }
    }
}

/// Two trees are the same; says where they are not.
pub(crate) fn assert_same(left: &Tree, right: &Tree) {
    let paths = left.keys().chain(right.keys());
    for path in paths {
        assert_eq!(left.get(path), right.get(path), "{path}");
    }
}
