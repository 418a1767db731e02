//! What a figure was measured on: hardware, kernel, commit, command.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Printed above, and stored with, every result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Host {
    /// Processor model.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Commit of the checkout, with `+` if it had changes; empty outside one.
    pub commit: String,
    /// The command line.
    pub command: String,
}

impl Host {
    /// Reads them from this machine.
    #[must_use]
    pub fn read() -> Self {
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            commit: commit(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
        }
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let gib = self.memory_bytes >> 30;
        format!(
            "{}, {} cores, {gib} GiB, Linux {}, commit {}",
            self.cpu, self.cores, self.kernel, self.commit
        )
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return String::new() };
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]);
    if dirty.is_some_and(|changes| !changes.is_empty()) { commit + "+" } else { commit }
}
