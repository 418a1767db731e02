//! Frames appended to the caller's buffer.
//!
//! `mask` is `None` for a server. A client gives a fresh unpredictable key for every frame
//! (RFC 6455 section 5.3); the codec has no source of randomness of its own. Control frames hold
//! at most 125 bytes; a longer payload is cut.

use super::frame::CONTROL_BYTES_MAX;
use super::{Close, CloseCode, Header, MaskKey, Opcode, mask};

/// The header of an unfragmented frame, for a payload that is sent by reference (iovec).
/// With a mask the caller masks the payload itself.
#[inline]
pub fn header(opcode: Opcode, payload_bytes: usize, mask: Option<MaskKey>) -> Header {
    Header::new(opcode, true, payload_bytes, mask)
}

/// Appends an unfragmented frame.
#[inline]
pub fn frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<MaskKey>) {
    fragment(out, opcode, true, payload, mask);
}

/// Appends one fragment of a message: the first with its opcode, the following ones with
/// [`Opcode::Continuation`], the last with `fin` set.
#[inline]
pub fn fragment(
    out: &mut Vec<u8>,
    opcode: Opcode,
    fin: bool,
    payload: &[u8],
    mask: Option<MaskKey>,
) {
    let longest = if opcode.is_control() { CONTROL_BYTES_MAX } else { usize::MAX };
    let payload = &payload[..payload.len().min(longest)];
    out.reserve(super::frame::HEADER_BYTES_MAX + payload.len());
    Header::new(opcode, fin, payload.len(), mask).append_to(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(&mut out[start..], key);
    }
}

/// Appends an unmasked data frame whose payload `write` appends itself: an event is serialised
/// straight into the output, without knowing its length first. `write` only appends.
pub fn frame_with(out: &mut Vec<u8>, opcode: Opcode, write: impl FnOnce(&mut Vec<u8>)) {
    // The right size for 126 to 65,535 bytes; any other payload is moved once.
    const GUESS: [u8; 4] = [0; 4];
    let start = out.len();
    out.extend_from_slice(&GUESS);
    write(out);
    let payload_start = start + GUESS.len();
    let header = header(opcode, out.len() - payload_start, None);
    out.splice(start..payload_start, header.as_bytes().iter().copied());
}

/// Appends a ping.
pub fn ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<MaskKey>) {
    frame(out, Opcode::Ping, payload, mask);
}

/// Appends a pong.
pub fn pong(out: &mut Vec<u8>, payload: &[u8], mask: Option<MaskKey>) {
    frame(out, Opcode::Pong, payload, mask);
}

/// Appends a close frame; the reason is cut to 123 bytes at a character boundary.
pub fn close(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: Option<MaskKey>) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    let mut body = [0; CONTROL_BYTES_MAX];
    body[..2].copy_from_slice(&code.get().to_be_bytes());
    body[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    frame(out, Opcode::Close, &body[..2 + reason.len()], mask);
}

/// Appends the answer to a received close frame: the same code without the reason, or an empty
/// body if it had none (RFC 6455 section 5.5.1).
pub fn close_reply(out: &mut Vec<u8>, received: Close<'_>, mask: Option<MaskKey>) {
    match received.code {
        Some(code) => close(out, code, "", mask),
        None => frame(out, Opcode::Close, &[], mask),
    }
}
