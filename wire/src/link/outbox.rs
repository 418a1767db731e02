//! What a router has to send over one link, in the order of its urgency.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::messages::Answer;
use super::{FrameTooLarge, HEADER_BYTES, ToEdge};
use crate::limits::{ANSWER_BYTES_MAX, CHUNK_BYTES, OUTBOX_BYTES_MAX};

/// The queue has no room for this; nothing was queued. A hint may be left out. After an answer that
/// cannot be queued the link must be closed: its edge does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxFull {
    /// Too many bytes wait already.
    #[error("more than {OUTBOX_BYTES_MAX} bytes wait for the edge to read")]
    Bytes,
    /// The message itself is too large for a frame, or the answer for [`ANSWER_BYTES_MAX`].
    #[error("a message too large for the link")]
    Message,
}

impl From<FrameTooLarge> for OutboxFull {
    fn from(_: FrameTooLarge) -> Self {
        Self::Message
    }
}

/// A large answer of which a part was sent.
#[derive(Debug)]
struct Sending {
    request: u64,
    body: Vec<u8>,
    sent: usize,
    failed: bool,
}

/// Two lanes: whole frames (acks, hints, credit), first in first out; behind them the chunks of
/// large answers, one of each in turn. Every [`Outbox::fill`] takes at least one chunk, so that
/// large answers advance under any load; a small frame waits for one chunk at most.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Encoded frames, of which the first `urgent_sent` bytes are gone.
    urgent: Vec<u8>,
    urgent_sent: usize,
    large: VecDeque<Sending>,
    /// Of the bodies in `large`, whole until their last chunk is gone: what the edge may hold.
    large_bytes: usize,
}

impl Outbox {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.urgent.len() - self.urgent_sent + self.large_bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// No room.
    pub fn push(&mut self, frame: &ToEdge<'_>) -> Result<(), OutboxFull> {
        self.make_room(frame.frame_len())?;
        frame.encode(&mut self.urgent)?;
        Ok(())
    }

    /// Queues an answer of any size: one frame, or chunks.
    ///
    /// # Errors
    /// No room.
    pub fn push_answer(
        &mut self,
        request: u64,
        body: Vec<u8>,
        failed: bool,
    ) -> Result<(), OutboxFull> {
        if body.len() <= CHUNK_BYTES {
            let answer = Answer { request, body: Cow::Owned(body), last: true, failed };
            return self.push(&ToEdge::Answer(answer));
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(OutboxFull::Message);
        }
        self.make_room(body.len())?;
        self.large_bytes += body.len();
        self.large.push_back(Sending { request, body, sent: 0, failed });
        Ok(())
    }

    fn make_room(&self, bytes: usize) -> Result<(), OutboxFull> {
        if self.bytes() + bytes > OUTBOX_BYTES_MAX { Err(OutboxFull::Bytes) } else { Ok(()) }
    }

    /// Moves frames to `out`, most urgent first, until it has grown by `budget` bytes or nothing is
    /// left. Frames are never cut, so it may grow by two frames more.
    pub fn fill(&mut self, budget: usize, out: &mut Vec<u8>) {
        let end = out.len() + budget;
        self.fill_urgent(budget, out);
        while let Some(sending) = self.large.pop_front() {
            self.send_chunk(sending, out);
            if out.len() >= end {
                break;
            }
        }
    }

    fn fill_urgent(&mut self, budget: usize, out: &mut Vec<u8>) {
        let waiting = &self.urgent[self.urgent_sent..];
        let taken = whole_frames(waiting, budget);
        out.extend_from_slice(&waiting[..taken]);
        self.urgent_sent += taken;
        if self.urgent_sent == self.urgent.len() {
            self.urgent.clear();
            self.urgent.shrink_to(CHUNK_BYTES);
            self.urgent_sent = 0;
        } else if self.urgent_sent > self.urgent.len() / 2 {
            self.urgent.drain(..self.urgent_sent);
            self.urgent_sent = 0;
        }
    }

    fn send_chunk(&mut self, mut sending: Sending, out: &mut Vec<u8>) {
        let rest = &sending.body[sending.sent..];
        let body = &rest[..rest.len().min(CHUNK_BYTES)];
        let last = body.len() == rest.len();
        let Sending { request, failed, .. } = sending;
        let chunk = ToEdge::Answer(Answer { request, body: Cow::Borrowed(body), last, failed });
        let encoded = chunk.encode(out);
        debug_assert!(encoded.is_ok(), "a chunk fits into a frame");
        if last {
            self.large_bytes -= sending.body.len();
        } else {
            sending.sent += CHUNK_BYTES;
            self.large.push_back(sending);
        }
    }
}

/// Bytes of the frames at the start of `frames` that fit into `budget`; of one at least.
fn whole_frames(frames: &[u8], budget: usize) -> usize {
    if frames.len() <= budget {
        return frames.len();
    }
    let mut taken = 0;
    while let Some(&[a, b, c, d, _]) = frames[taken..].first_chunk::<HEADER_BYTES>() {
        let frame_len = u32::from_be_bytes([a, b, c, d]) as usize + 4;
        if taken > 0 && taken + frame_len > budget {
            break;
        }
        taken += frame_len;
    }
    taken
}
