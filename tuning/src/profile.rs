//! Profiles: what is asked of a host, for what reason, and how its absence would show.

use serde::Deserialize;
use thiserror::Error;

use crate::formula::{Formula, FormulaError};

/// The profile of a gateway.
const EDGE: &str = include_str!("../profiles/edge.toml");

/// A checked profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// In the order of the file.
    pub keys: Vec<Key>,
}

/// One thing that is asked of the host.
#[derive(Clone, Debug)]
pub struct Key {
    /// As the host calls it.
    pub name: String,
    /// Where its live value is read.
    pub read: Source,
    /// Which column of a value with several; 0 is the first.
    pub column: usize,
    /// On which side of the formula's value the live one must be.
    pub bound: Bound,
    /// The value asked for.
    pub formula: Formula,
    /// Why.
    pub why: String,
    /// What to do when it is not so.
    pub action: String,
    /// What shows the need.
    pub counter: String,
    /// How bad it is.
    pub severity: Severity,
}

/// Where a live value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// /proc/sys
    Sysctl,
    /// The hard resource limit of this process.
    Rlimit,
    /// /proc/meminfo, in bytes.
    Meminfo,
}

/// Which side is right. The bound itself always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The live value may be larger.
    AtLeast,
    /// The live value may be smaller.
    AtMost,
}

/// How bad a value on the wrong side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The plan may hold, at a price.
    Warning,
    /// The plan does not hold.
    Fault,
}

/// Why a profile cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Not TOML, an unknown key, a missing one; says line and column.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A formula is wrong.
    #[error("formula of {key}: {error}")]
    Formula {
        /// Whose.
        key: String,
        /// How.
        error: FormulaError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: String,
    read: Source,
    #[serde(default)]
    column: usize,
    bound: Bound,
    formula: String,
    why: String,
    action: String,
    counter: String,
    severity: Severity,
}

impl Profile {
    /// The profile of a gateway that comes with this program.
    ///
    /// # Errors
    /// Never, as a test proves; the signature spares a panic.
    pub fn edge() -> Result<Self, ProfileError> {
        Self::parse(EDGE)
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let file: ProfileFile = toml::from_str(text)?;
        let keys = file.key.into_iter().map(Key::from_entry).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }
}

impl Key {
    fn from_entry(entry: KeyEntry) -> Result<Self, ProfileError> {
        let formula = Formula::parse(&entry.formula)
            .map_err(|error| ProfileError::Formula { key: entry.name.clone(), error })?;
        Ok(Self {
            name: entry.name,
            read: entry.read,
            column: entry.column,
            bound: entry.bound,
            formula,
            why: entry.why,
            action: entry.action,
            counter: entry.counter,
            severity: entry.severity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_that_comes_with_the_program_is_right() {
        assert!(Profile::edge().unwrap().keys.len() >= 5);
    }

    #[test]
    fn an_unknown_field_is_an_error_with_its_line() {
        let error = Profile::parse(&EDGE.replacen("why =", "reason =", 1)).unwrap_err().to_string();
        assert!(error.contains("reason") && error.contains("line"), "{error}");
    }

    #[test]
    fn a_wrong_formula_names_its_key() {
        let text = EDGE.replacen("\"4096\"", "\"4096 +\"", 1);
        let error = Profile::parse(&text).unwrap_err().to_string();
        assert!(error.contains("net.core.somaxconn"), "{error}");
    }
}
