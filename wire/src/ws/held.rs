//! What a decoder keeps of a message between two inputs.
//!
//! Memory follows what arrived, not what was announced: a peer that declares a large message and
//! sends one byte of it costs [`ASSEMBLY_BYTES_MIN`].

use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Received};
use super::text::TextAssembly;
use super::{MaskKey, Opcode, ProtocolError};
use crate::limits::{ASSEMBLY_BYTES_MIN, ASSEMBLY_GROWTH};

/// What outlives the input.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) header: Short<HEADER_BYTES_MAX>,
    pub(super) frame: Option<Frame>,
    pub(super) message: Message,
    pub(super) control: Short<CONTROL_BYTES_MAX>,
    /// What the last event lent; freed by the next call.
    pub(super) lent: Option<Kept>,
}

/// A frame whose header is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// The key for the next byte.
    pub(super) key: MaskKey,
    pub(super) remaining: usize,
}

/// The fragments so far.
#[derive(Debug, Default)]
pub(super) enum Message {
    #[default]
    None,
    Text(TextAssembly),
    Binary(Vec<u8>),
}

/// Bytes with a small bound.
#[derive(Debug)]
pub(super) struct Short<const BYTES_MAX: usize> {
    bytes: [u8; BYTES_MAX],
    pub(super) length: usize,
}

/// Which part of [`Held`] is an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    Message,
    Control(Opcode),
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.header.length == 0
            && self.frame.is_none()
            && self.control.length == 0
            && matches!(self.message, Message::None)
    }
}

impl Message {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Bytes that it can hold without growing.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// A data frame begins that cannot be lent from the input.
    pub(super) fn begin(&mut self, opcode: Opcode) {
        match opcode {
            Opcode::Text => *self = Self::Text(TextAssembly::default()),
            Opcode::Binary => *self = Self::Binary(Vec::new()),
            _ => {}
        }
    }

    /// Appends an unmasked part of a message that will not exceed `bytes_max`.
    pub(super) fn push(&mut self, part: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        match self {
            Self::None => Ok(()),
            Self::Text(text) => {
                let capacity = capacity(text.len() + part.len(), text.capacity(), bytes_max);
                text.reserve(capacity);
                text.push(part)
            }
            Self::Binary(bytes) => {
                let capacity = capacity(bytes.len() + part.len(), bytes.capacity(), bytes_max);
                bytes.reserve_exact(capacity - bytes.len());
                bytes.extend_from_slice(part);
                Ok(())
            }
        }
    }
}

/// The capacity of a buffer that is to hold `needed` bytes now and at most `bytes_max` later.
fn capacity(needed: usize, capacity: usize, bytes_max: usize) -> usize {
    if needed <= capacity {
        return capacity;
    }
    (needed * ASSEMBLY_GROWTH).max(ASSEMBLY_BYTES_MIN).min(bytes_max)
}

impl<const BYTES_MAX: usize> Default for Short<BYTES_MAX> {
    fn default() -> Self {
        Self { bytes: [0; BYTES_MAX], length: 0 }
    }
}

impl<const BYTES_MAX: usize> Short<BYTES_MAX> {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends what there is room for.
    pub(super) fn fill_from(&mut self, bytes: &[u8]) {
        let free = &mut self.bytes[self.length..];
        let taken = bytes.len().min(free.len());
        free[..taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
    }
}

impl From<Received> for Frame {
    fn from(header: Received) -> Self {
        Self {
            opcode: header.opcode,
            fin: header.fin,
            key: header.key,
            remaining: header.payload_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED_BYTES: usize = 1 << 20;

    /// The capacity after each part, of a message of [`DECLARED_BYTES`].
    fn capacities(opcode: Opcode, part_bytes: usize, parts: usize) -> Vec<usize> {
        let mut message = Message::default();
        message.begin(opcode);
        (0..parts)
            .map(|_| {
                message.push(&vec![b'x'; part_bytes], DECLARED_BYTES).unwrap();
                message.capacity()
            })
            .collect()
    }

    #[test]
    fn memory_follows_what_arrived() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            assert_eq!(capacities(opcode, 1, 2), [ASSEMBLY_BYTES_MIN; 2]);
            for (at, capacity) in capacities(opcode, 1500, 20).into_iter().enumerate() {
                let arrived = 1500 * (at + 1);
                assert!((arrived..=arrived * ASSEMBLY_GROWTH).contains(&capacity), "{capacity}");
            }
            let last = capacities(opcode, DECLARED_BYTES / 2, 2);
            assert_eq!(last, [DECLARED_BYTES; 2]);
        }
    }
}
