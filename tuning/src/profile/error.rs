//! What can be wrong with a profile, with file and line.

use thiserror::Error;

/// A mistake in a profile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {message}")]
pub struct ProfileError {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl ProfileError {
    /// A mistake that the TOML reader found in `text`.
    pub(crate) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        Text { file, text }.syntax(error)
    }
}

/// A profile's text, to tell lines from places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Text<'_> {
    /// A mistake at a byte of the text.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> ProfileError {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        ProfileError { file: self.file.to_owned(), line, message: message.into() }
    }

    /// File and line of a byte of the text.
    pub(super) fn place(&self, at: usize) -> String {
        let ProfileError { file, line, .. } = self.error(at, "");
        format!("{file}:{line}")
    }

    /// A mistake that the TOML reader found.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> ProfileError {
        let at = error.span().map_or(0, |span| span.start);
        self.error(at, error.message())
    }
}
