//! The command line: arguments become plans, results become text and files. One file for each
//! subcommand; what runs have in common is in [`run`].

pub(crate) mod chat;
pub(crate) mod compare;
pub(crate) mod coordinate;
pub(crate) mod durable;
pub(crate) mod echo;
pub(crate) mod fanout;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod interrupt;
pub(crate) mod live;
pub(crate) mod peers;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod storm;
pub(crate) mod tour;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for was measured, and every threshold holds.
    Pass = 0,
    /// The command line contradicts itself or is not understood.
    Usage = 64,
    /// The host cannot do what was asked for; the message says what to change.
    Environment = 69,
    /// The figures may not be believed; the result says why.
    Invalid = 98,
    /// A threshold does not hold.
    Threshold = 99,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why nothing was measured. The text says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The caller's to mend.
    #[error("{0}")]
    Usage(String),
    /// The host's.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    /// How the program ends with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Environment(_) => Exit::Environment,
        }
    }

    /// A wrong argument.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Environment(error.to_string())
    }
}

/// Writes a result that has a form of its own.
pub(crate) fn write_json(path: Option<PathBuf>, result: &impl Serialize) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(result)?)
}
