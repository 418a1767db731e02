//! Received bytes into frames.

use super::HEADER_BYTES;
use crate::limits::LINK_FRAME_BYTES_MAX;

/// A frame as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which message the payload is.
    pub kind: u8,
    /// The encoded message.
    pub payload: &'a [u8],
}

/// A frame that says to be empty or longer than [`LINK_FRAME_BYTES_MAX`]. The link must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link frame of {0} bytes")]
pub struct LengthError(pub u32);

/// Cuts received bytes into frames, whatever the pieces they come in.
///
/// Call [`FrameReader::next`] with each piece until it answers `None`. A frame that lies within a
/// piece is lent from it; only one that is cut by the end of a piece is copied, into a buffer that
/// exists from then to the first `None` that finds no cut frame.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// A frame whose end is missing, or (`lent`) the one lent last.
    partial: Vec<u8>,
    lent: bool,
}

impl FrameReader {
    /// Nothing received yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next frame. `input` is advanced past what was consumed; at `None` it is empty.
    ///
    /// # Errors
    /// The peer is at fault, and the link must be closed.
    pub fn next<'r, 'i: 'r>(
        &'r mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'r>>, LengthError> {
        if std::mem::take(&mut self.lent) {
            self.partial.clear();
        }
        if self.partial.is_empty() {
            if let Some(frame_len) = frame_len(input)?
                && let Some((frame, rest)) = input.split_at_checked(frame_len)
            {
                *input = rest;
                return Ok(Some(split(frame)));
            }
            if input.is_empty() {
                self.partial = Vec::new();
                return Ok(None);
            }
        }
        self.complete(input)
    }

    /// Goes on with the cut frame.
    fn complete(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, LengthError> {
        self.fill(HEADER_BYTES, input);
        let Some(frame_len) = frame_len(&self.partial)? else { return Ok(None) };
        self.fill(frame_len, input);
        if self.partial.len() < frame_len {
            return Ok(None);
        }
        self.lent = true;
        Ok(Some(split(&self.partial)))
    }

    /// Moves input to the buffer until that has `target` bytes.
    fn fill(&mut self, target: usize, input: &mut &[u8]) {
        let missing = target.saturating_sub(self.partial.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.partial.reserve_exact(missing);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

/// Length of the whole frame that starts here, once its header is there.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, LengthError> {
    let Some(&[a, b, c, d, _kind]) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    let frame_len = length as usize + 4;
    if length == 0 || frame_len > LINK_FRAME_BYTES_MAX {
        return Err(LengthError(length));
    }
    Ok(Some(frame_len))
}

/// A whole frame into its parts.
fn split(frame: &[u8]) -> Frame<'_> {
    let (header, payload) = frame.split_at(HEADER_BYTES);
    Frame { kind: header[HEADER_BYTES - 1], payload }
}
