//! Frame headers (RFC 6455 section 5.2), both ways.

use super::ProtocolError;

/// A client's masking key, in wire order.
pub type MaskKey = [u8; 4];

pub(super) const FIN: u8 = 0x80;
pub(super) const RESERVED: u8 = 0x70;
pub(super) const MASKED: u8 = 0x80;
/// The longest payload of a control frame, and of a one-byte length.
pub(super) const CONTROL_BYTES_MAX: usize = 125;
pub(super) const LENGTH_16: u8 = 126;
/// Two bytes, an eight-byte length, a mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

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

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(ProtocolError::UnknownOpcode),
        })
    }

    pub(super) const fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

/// A frame header as it goes on the wire, 2 to 14 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl Header {
    #[inline]
    pub(super) fn new(opcode: Opcode, fin: bool, payload: usize, mask: Option<MaskKey>) -> Self {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[0] = if fin { FIN } else { 0 } | opcode as u8;
        let mut length = match payload {
            0..=CONTROL_BYTES_MAX => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = LENGTH_16;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = LENGTH_16 + 1;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        if let Some(key) = mask {
            bytes[1] |= MASKED;
            bytes[length..length + 4].copy_from_slice(&key);
            length += 4;
        }
        Self { bytes, length: length as u8 }
    }

    /// The bytes of the header.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// A copy of constant size is a few moves; one of `length` bytes is a call.
    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        out.truncate(start + usize::from(self.length));
    }
}

/// What the decoder allows the next frame to be.
pub(super) struct Expected {
    /// [`MASKED`] for a server, 0 for a client.
    pub(super) mask_bit: u8,
    /// A fragmented message is under way.
    pub(super) mid_message: bool,
    /// Bytes that the message may still take.
    pub(super) room_bytes: u64,
}

/// A received header that broke no rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// Zero for an unmasked frame.
    pub(super) key: MaskKey,
    pub(super) payload_bytes: usize,
    pub(super) header_bytes: usize,
}

/// Parses the header at the start of `bytes`; `None` if it is not complete. A fault is found with
/// the byte that makes it one, so that it does not matter how the stream was cut.
pub(super) fn parse(bytes: &[u8], expected: &Expected) -> Result<Option<Received>, ProtocolError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let fin = first & FIN != 0;
    let opcode = check_kind(*first, *second, expected)?;
    let Some(payload_bytes) = payload_length(second & !MASKED, rest)? else { return Ok(None) };
    if !opcode.is_control() && payload_bytes > expected.room_bytes {
        return Err(ProtocolError::MessageTooBig);
    }
    let length_bytes = length_bytes(second & !MASKED);
    let (key, key_bytes) = match rest.get(length_bytes..).and_then(<[u8]>::first_chunk) {
        _ if expected.mask_bit == 0 => ([0; 4], 0),
        Some(key) => (*key, 4),
        None => return Ok(None),
    };
    let header_bytes = 2 + length_bytes + key_bytes;
    Ok(Some(Received { opcode, fin, key, payload_bytes: payload_bytes as usize, header_bytes }))
}

fn check_kind(first: u8, second: u8, expected: &Expected) -> Result<Opcode, ProtocolError> {
    if first & RESERVED != 0 {
        return Err(ProtocolError::ReservedBit);
    }
    let opcode = Opcode::from_bits(first & 0x0f)?;
    match (opcode, expected.mid_message) {
        (Opcode::Continuation, false) => return Err(ProtocolError::UnexpectedContinuation),
        (Opcode::Text | Opcode::Binary, true) => return Err(ProtocolError::ExpectedContinuation),
        _ => {}
    }
    if opcode.is_control() && first & FIN == 0 {
        return Err(ProtocolError::FragmentedControl);
    }
    match (second & MASKED, expected.mask_bit) {
        (0, MASKED) => return Err(ProtocolError::Unmasked),
        (MASKED, 0) => return Err(ProtocolError::Masked),
        _ => {}
    }
    if opcode.is_control() && usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
        return Err(ProtocolError::ControlTooLong);
    }
    Ok(opcode)
}

const fn length_bytes(short: u8) -> usize {
    match short {
        0..LENGTH_16 => 0,
        LENGTH_16 => 2,
        _ => 8,
    }
}

fn payload_length(short: u8, rest: &[u8]) -> Result<Option<u64>, ProtocolError> {
    let (length, minimum) = match short {
        0..LENGTH_16 => return Ok(Some(u64::from(short))),
        LENGTH_16 => match rest.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 126),
            None => return Ok(None),
        },
        _ => match rest.first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 0x1_0000),
            None => return Ok(None),
        },
    };
    if length < minimum || length >> 63 != 0 {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(Some(length))
}
