//! Reading results back from files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Outcome, SCHEMA};

/// Why a file is no result. Nothing but the file is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is no JSON, or lacks what every result has.
    #[error("{path}: no result of throng-bench ({error}); write one with --json")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is missing.
        error: serde_json::Error,
    },
    /// A result whose fields mean something else.
    #[error("{path}: schema {found}, this throng-bench reads {SCHEMA}: use the one that wrote it")]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
}

/// Reads a result. Fields that this version does not know are passed over.
///
/// # Errors
/// See [`ReadError`].
pub fn read(path: &Path) -> Result<Outcome, ReadError> {
    let bytes = std::fs::read(path)
        .map_err(|error| ReadError::Unreadable { path: path.to_owned(), error })?;
    parse(path, &bytes)
}

/// The same from bytes that were in the file `path`.
///
/// # Errors
/// See [`ReadError`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Outcome, ReadError> {
    let malformed = |error| ReadError::Malformed { path: path.to_owned(), error };
    let value: Value = serde_json::from_slice(bytes).map_err(malformed)?;
    if let Some(found) = value.get("schema").and_then(Value::as_str)
        && found != SCHEMA
    {
        return Err(ReadError::OtherSchema { path: path.to_owned(), found: found.to_owned() });
    }
    serde_json::from_value(value).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::testing::echo_outcome;

    fn parsed(change: impl FnOnce(&mut Value)) -> Result<Outcome, ReadError> {
        let mut value = serde_json::to_value(echo_outcome()).unwrap();
        change(&mut value);
        parse(Path::new("a.json"), &serde_json::to_vec(&value).unwrap())
    }

    #[test]
    fn what_was_written_is_read() {
        let outcome = parsed(|_| ()).unwrap();
        assert_eq!(outcome.latency_us, echo_outcome().latency_us);
        assert_eq!(outcome.series, echo_outcome().series);
    }

    #[test]
    fn fields_of_the_future_are_passed_over() {
        let outcome = parsed(|value| {
            value["moon_phase"] = "full".into();
            value["server"]["moons"] = 2.into();
            value["latency_us"]["echo"]["p99_999"] = 1.into();
            value["series"][0]["moons"] = 1.into();
        });
        assert_eq!(outcome.unwrap().kind, "echo");
    }

    #[test]
    fn another_schema_is_named() {
        let error = parsed(|value| value["schema"] = "throng-bench/2".into()).unwrap_err();
        assert!(error.to_string().contains("throng-bench/2"), "{error}");
    }

    #[test]
    fn what_is_no_result_is_refused_with_its_file() {
        for bytes in [&b"{"[..], b"[]", b"{}", br#"{"schema":"throng-bench/1"}"#] {
            let error = parse(Path::new("a.json"), bytes).unwrap_err().to_string();
            assert!(error.starts_with("a.json: no result"), "{error}");
        }
    }
}
