//! The files that set sysctls at boot: who sets what, who wins, and who fights.
//!
//! Order and masking are those of sysctl.d(5): files by name, whatever their directory; of one name
//! the directory that comes first; the later file wins. /etc/sysctl.conf, which only procps reads,
//! comes last, unless it is what /etc/sysctl.d/99-sysctl.conf points to.

use std::collections::BTreeMap;
use std::fs;

use super::Host;
use crate::value::Value;

/// In the order in which they mask each other.
const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

const PROCPS_FILE: &str = "/etc/sysctl.conf";

/// One line that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The key, with dots between its parts.
    pub key: String,
    /// What it is set to.
    pub value: String,
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A key that two files set to different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fight {
    /// Loses.
    pub loser: Assignment,
    /// Wins, as it comes later.
    pub winner: Assignment,
}

/// All assignments of a host, in the order in which they are made.
#[derive(Clone, Debug, Default)]
pub struct SysctlFiles {
    /// The later wins.
    pub assignments: Vec<Assignment>,
}

impl SysctlFiles {
    /// Reads them. What cannot be read sets nothing.
    #[must_use]
    pub fn read(host: &Host) -> Self {
        let files = files(host);
        let read =
            |file: &String| host.read(file).map(|text| parse(file, &text)).unwrap_or_default();
        Self { assignments: files.iter().flat_map(read).collect() }
    }

    /// The line that decides a key's value at boot.
    #[must_use]
    pub fn winner(&self, key: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|assignment| assignment.key == key)
    }

    /// The nearest earlier line in another file that sets the key to something else.
    #[must_use]
    pub fn fight(&self, key: &str) -> Option<Fight> {
        let winner = self.winner(key)?;
        let differs = |other: &&Assignment| {
            other.key == key
                && other.file != winner.file
                && Value::parse(&other.value) != Value::parse(&winner.value)
        };
        let loser = self.assignments.iter().rev().find(differs)?;
        Some(Fight { loser: loser.clone(), winner: winner.clone() })
    }
}

fn files(host: &Host) -> Vec<String> {
    let mut by_name = BTreeMap::new();
    for directory in DIRECTORIES {
        for name in host.names(directory).into_iter().filter(|name| name.ends_with(".conf")) {
            by_name.entry(name.clone()).or_insert_with(|| format!("{directory}/{name}"));
        }
    }
    let mut files: Vec<_> = by_name.into_values().collect();
    let place = |file: &str| fs::canonicalize(host.path(file)).ok();
    let procps = place(PROCPS_FILE);
    if procps.is_some() && !files.iter().any(|file| place(file) == procps) {
        files.push(PROCPS_FILE.to_owned());
    }
    files
}

fn parse(file: &str, text: &str) -> Vec<Assignment> {
    let assignment = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        // A leading `-` asks to pass over errors.
        let key = dotted(key.trim().trim_start_matches('-'));
        let value = value.trim().to_owned();
        Some(Assignment { key, value, file: file.to_owned(), line: index + 1 })
    };
    text.lines().enumerate().filter_map(assignment).collect()
}

/// A key may be written with slashes between its parts; then dots are dots.
fn dotted(key: &str) -> String {
    match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
        Some(b'/') => {
            let swap = |c| match c {
                '/' => '.',
                '.' => '/',
                c => c,
            };
            key.chars().map(swap).collect()
        }
        _ => key.to_owned(),
    }
}
