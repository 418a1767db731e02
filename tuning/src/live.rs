//! Live values of a host, read only.

use std::fs;
use std::path::{Path, PathBuf};

use crate::profile::{Key, Source};

/// A host's /proc, or a directory that looks like one.
#[derive(Clone, Debug)]
pub struct Host {
    proc: PathBuf,
}

impl Host {
    /// The machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        Self::at(Path::new("/proc"))
    }

    /// A directory with the files of /proc.
    #[must_use]
    pub fn at(proc: &Path) -> Self {
        Self { proc: proc.to_owned() }
    }

    /// The live value of a key; `None` where this host does not have it or says "unlimited" in a
    /// place where only numbers can be compared.
    #[must_use]
    pub fn value(&self, key: &Key) -> Option<f64> {
        match key.read {
            Source::Sysctl => self.sysctl(&key.name, key.column),
            Source::Rlimit => self.hard_limit(&key.name),
            Source::Meminfo => self.meminfo_bytes(&key.name),
        }
    }

    /// All memory of the host in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<f64> {
        self.meminfo_bytes("MemTotal")
    }

    fn sysctl(&self, name: &str, column: usize) -> Option<f64> {
        let path = self.proc.join("sys").join(name.replace('.', "/"));
        fs::read_to_string(path).ok()?.split_whitespace().nth(column)?.parse().ok()
    }

    fn hard_limit(&self, name: &str) -> Option<f64> {
        let title = match name {
            "nofile" => "Max open files",
            "memlock" => "Max locked memory",
            _ => return None,
        };
        let text = fs::read_to_string(self.proc.join("self/limits")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(title))?;
        match line.split_whitespace().nth(1)? {
            "unlimited" => Some(f64::MAX),
            number => number.parse().ok(),
        }
    }

    fn meminfo_bytes(&self, name: &str) -> Option<f64> {
        let text = fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
    }
}
