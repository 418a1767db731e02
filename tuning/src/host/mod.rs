//! A host, as its files show it. Reads only.
//!
//! Every path is absolute and looked up below a root: `/` for the machine that this process runs
//! on, or a directory that looks like one (an image, a test). A file that is not there, one that
//! may not be read and one that says something unexpected are three different answers, and none
//! of them is a value.

mod facts;
mod process;
mod sysctl_files;
mod unit;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::limits::{ENTRIES_MAX, FILE_BYTES_MAX};

pub use facts::{Facts, KernelVersion};
pub(crate) use facts::{cards, queues};
pub use process::{Limits, Process};
pub use sysctl_files::{Assignment, Fight, SysctlFiles};
pub use unit::{directive, unit_limit};

/// A host below its root directory.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

/// Why something cannot be known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// This host has no such file.
    #[error("{0} is not there")]
    Absent(String),
    /// It is there, but cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Refused {
        /// Which.
        path: String,
        /// The kernel's words.
        cause: String,
    },
    /// It does not say what it should.
    #[error("{path} has no {expected}")]
    Unexpected {
        /// Which.
        path: String,
        /// What was looked for.
        expected: String,
    },
}

impl ReadError {
    fn unexpected(path: &str, expected: &str) -> Self {
        Self::Unexpected { path: path.to_owned(), expected: expected.to_owned() }
    }
}

impl Host {
    /// The machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        Self::at(Path::new("/"))
    }

    /// A directory that looks like a host's root.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Whether it is the machine that this process runs on.
    #[must_use]
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path of the host is for this process.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// See [`ReadError`]. A file longer than [`FILE_BYTES_MAX`] is refused.
    pub fn read(&self, absolute: &str) -> Result<String, ReadError> {
        let told = |error: &io::Error| match error.kind() {
            // A key of a device that has no such thing answers with other errors; it exists.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                ReadError::Absent(absolute.to_owned())
            }
            _ => ReadError::Refused { path: absolute.to_owned(), cause: error.to_string() },
        };
        let file = File::open(self.path(absolute)).map_err(|error| told(&error))?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ReadError::unexpected(absolute, "sensible length"));
        }
        String::from_utf8(bytes).map_err(|_| ReadError::unexpected(absolute, "text"))
    }

    /// The one number that a file holds.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn number(&self, absolute: &str) -> Result<u64, ReadError> {
        let text = self.read(absolute)?;
        text.trim().parse().map_err(|_| ReadError::unexpected(absolute, "number"))
    }

    /// Whether there is such a file or directory.
    #[must_use]
    pub fn has(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// Which network namespace this process sees the host from; empty if that is not shown.
    #[must_use]
    pub fn network_namespace(&self) -> String {
        let link = fs::read_link(self.path("/proc/self/ns/net")).unwrap_or_default();
        link.to_string_lossy().into_owned()
    }

    /// The names in a directory, sorted; none if it cannot be read.
    #[must_use]
    pub fn names(&self, absolute: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(absolute)) else { return Vec::new() };
        let names = entries.take(ENTRIES_MAX).filter_map(Result::ok);
        let mut names: Vec<_> =
            names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The text of a sysctl, without the line's end.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn sysctl(&self, name: &str) -> Result<String, ReadError> {
        Ok(self.read(&sysctl_path(name))?.trim().to_owned())
    }

    /// A line `name: value` of a file such as /proc/meminfo.
    fn field(&self, absolute: &str, name: &str) -> Result<String, ReadError> {
        let text = self.read(absolute)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = line.map(|value| value.trim().to_owned());
        value.ok_or_else(|| ReadError::unexpected(absolute, &format!("line {name}")))
    }

    /// A line of /proc/meminfo, in bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn meminfo_bytes(&self, name: &str) -> Result<u64, ReadError> {
        let path = "/proc/meminfo";
        let text = self.field(path, name)?;
        let kib = text.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| ReadError::unexpected(path, &format!("number of {name}")))
    }
}

/// Where the kernel shows a sysctl. Dots and slashes of the name change places, as in sysctl.d(5).
#[must_use]
pub fn sysctl_path(name: &str) -> String {
    let swapped = name.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    });
    format!("/proc/sys/{}", swapped.collect::<String>())
}
