//! Frames appended to the caller's buffer.
//!
//! `mask` is `None` for a server. A client gives a fresh unpredictable key for every frame
//! (RFC 6455 section 5.3); the codec has no source of randomness of its own.

use super::{Close, CloseCode};

/// A client's masking key, in wire order.
pub type MaskKey = [u8; 4];

/// What a frame carries (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A frame header of 2 to 14 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 14],
    length: u8,
}

impl Header {
    /// The header as it goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The header of an unfragmented frame, for a payload that is sent by reference (iovec).
/// With a mask the caller masks the payload itself.
pub fn header(opcode: Opcode, payload_bytes: usize, mask: Option<MaskKey>) -> Header {
    todo!("{opcode:?} {payload_bytes} {mask:?}")
}

/// Appends an unfragmented frame. Control frames hold at most 125 bytes; what exceeds is cut.
pub fn frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<MaskKey>) {
    todo!("{out:?} {opcode:?} {payload:?} {mask:?}")
}

/// Appends one fragment of a message: the first with its opcode, the following ones with
/// [`Opcode::Continuation`], the last with `fin` set.
pub fn fragment(
    out: &mut Vec<u8>,
    opcode: Opcode,
    fin: bool,
    payload: &[u8],
    mask: Option<MaskKey>,
) {
    todo!("{out:?} {opcode:?} {fin} {payload:?} {mask:?}")
}

/// Appends an unmasked frame whose payload `write` appends itself: an event is serialised
/// straight into the output, without knowing its length first.
pub fn frame_with(out: &mut Vec<u8>, opcode: Opcode, write: impl FnOnce(&mut Vec<u8>)) {
    todo!("{opcode:?} {}", write(out) == ())
}

/// Appends a ping; the payload is cut to 125 bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<MaskKey>) {
    frame(out, Opcode::Ping, payload, mask);
}

/// Appends a pong; the payload is cut to 125 bytes.
pub fn pong(out: &mut Vec<u8>, payload: &[u8], mask: Option<MaskKey>) {
    frame(out, Opcode::Pong, payload, mask);
}

/// Appends a close frame; the reason is cut to 123 bytes at a character boundary.
pub fn close(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: Option<MaskKey>) {
    todo!("{out:?} {code:?} {reason} {mask:?}")
}

/// Appends the answer to a received close frame: the same code without the reason, or an empty
/// body if it had none (RFC 6455 section 5.5.1).
pub fn close_reply(out: &mut Vec<u8>, received: Close<'_>, mask: Option<MaskKey>) {
    todo!("{out:?} {received:?} {mask:?}")
}
