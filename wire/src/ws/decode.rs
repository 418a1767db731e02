//! (decoder header)

use super::{Close, ProtocolError};

/// Which end of the connection the decoder works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames only.
    Server,
    /// Takes unmasked frames only.
    Client,
}

/// A slice of received bytes and how much of it has been decoded.
#[derive(Debug)]
pub struct Input<'i> {
    bytes: &'i mut [u8],
    at: usize,
}

impl<'i> Input<'i> {
    /// Starts at the beginning of `bytes`, which are unmasked in place as they are decoded.
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that are not decoded yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }
}

/// One message or control frame. The payload lives until the next call of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// At most 125 bytes; to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// At most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes: answer it (unless this end had sent a close frame before), then close.
    /// The last event of a connection.
    Close(Close<'a>),
}

/// The receiving side of one connection: 16 bytes while nothing is half received.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: u32,
    role: Role,
}

impl Decoder {
    /// A decoder at the start of the stream, the HTTP head taken off. A message of
    /// `message_bytes_max` bytes passes; a longer one is refused from its declared length, before
    /// any of it is kept, and so is the fragment that takes a message above it.
    pub fn new(role: Role, message_bytes_max: u32) -> Self {
        Self { message_bytes_max, role }
    }

    /// The next event, or `None` when the input is used up.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        todo!("{input:?} {} {:?}", self.message_bytes_max, self.role)
    }

    /// Whether part of a frame or of a fragmented message is held (and memory with it).
    pub fn is_mid_message(&self) -> bool {
        false
    }
}
