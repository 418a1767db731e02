//! How the process ends: one closed list of exit codes, stable for scripts and supervisors.

use std::fmt;

/// The process's exit code (those of `sysexits.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked for.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// An address is in use, or the kernel refuses what is needed.
    Unavailable = 69,
    /// The data cannot be read or written.
    Data = 74,
    /// The configuration is wrong.
    Configuration = 78,
}

/// Why the process cannot start or go on, and how it ends.
#[derive(Debug)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// What happened and what to do next, one line.
    pub message: String,
}

impl Fatal {
    /// Something is in use or refused.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unavailable, message: message.into() }
    }

    /// The data cannot be read or written.
    pub fn data(message: impl Into<String>) -> Self {
        Self { exit: Exit::Data, message: message.into() }
    }

    /// The configuration is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { exit: Exit::Configuration, message: message.into() }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}
