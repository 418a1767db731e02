//! Chunks of answers, put together again.

use std::borrow::Cow;
use std::collections::HashMap;

use super::messages::Answer;
use crate::limits::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX};

/// An answer in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// Which request it answers.
    pub request: u64,
    /// An encoded `throng.v1.ServerFrame` without its id. Borrowed if it came in one piece.
    pub body: Cow<'a, [u8]>,
    /// The body is an error.
    pub failed: bool,
}

/// An answer beyond a limit. The router is at fault, and the link must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// One answer above [`ANSWER_BYTES_MAX`].
    #[error("an answer of more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// All unfinished ones above [`ANSWERS_BYTES_MAX`].
    #[error("unfinished answers of more than {ANSWERS_BYTES_MAX} bytes")]
    TooMany,
}

/// The unfinished answers of one link.
///
/// The caller knows which requests it waits for: chunks of others it drops, and when it stops
/// waiting for one it calls [`Answers::forget`].
#[derive(Debug, Default)]
pub struct Answers {
    unfinished: HashMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Answers {
    /// None unfinished.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A chunk came. The whole answer, if this was its last one.
    ///
    /// # Errors
    /// It is beyond a limit.
    pub fn push<'a>(&mut self, chunk: Answer<'a>) -> Result<Option<Whole<'a>>, AnswerError> {
        let Answer { request, body, last, failed } = chunk;
        let earlier_len = self.unfinished.get(&request).map_or(0, Vec::len);
        if earlier_len + body.len() > ANSWER_BYTES_MAX {
            return Err(AnswerError::TooLarge);
        }
        if last && earlier_len == 0 {
            self.unfinished.remove(&request);
            return Ok(Some(Whole { request, body, failed }));
        }
        if self.bytes + body.len() > ANSWERS_BYTES_MAX {
            return Err(AnswerError::TooMany);
        }
        if !last && body.is_empty() {
            return Ok(None);
        }
        self.bytes += body.len();
        self.unfinished.entry(request).or_default().extend_from_slice(&body);
        if !last {
            return Ok(None);
        }
        let body = Cow::Owned(self.forget(request));
        Ok(Some(Whole { request, body, failed }))
    }

    /// Lets go of what came of an answer.
    pub fn forget(&mut self, request: u64) -> Vec<u8> {
        let body = self.unfinished.remove(&request).unwrap_or_default();
        self.bytes -= body.len();
        body
    }

    /// Bytes of all unfinished answers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
