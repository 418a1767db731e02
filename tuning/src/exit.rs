//! Exit codes. Each has one meaning, whatever the command.

/// How a command ended. The codes from 64 on are those of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Nothing to say, or done as told.
    Fine = 0,
    /// The plan holds, but something should be better.
    Advice = 1,
    /// The plan would fail on this host.
    WouldFail = 2,
    /// The command line is wrong.
    Usage = 64,
    /// Something that has to be known cannot be read.
    Unreadable = 69,
    /// The host could not be changed; what was begun is taken back, or will be by the next call.
    NotChanged = 74,
    /// A profile, or the record of what was applied, is wrong.
    Configuration = 78,
}

/// Why a command stops, and with which code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// The code.
    pub exit: Exit,
    /// What happened, where, and what to do next.
    pub message: String,
}

impl Fatal {
    /// A failure with its code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<std::io::Error> for Fatal {
    /// Output that nobody takes.
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::NotChanged, error.to_string())
    }
}
