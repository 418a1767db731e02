//! What a peer can do wrong on a WebSocket.

use super::CloseCode;

/// The peer broke the protocol or a limit. Always the peer's fault and always fatal for the
/// connection: send [`close_code`](Self::close_code) and [`reason`](Self::reason), then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An RSV bit is set although no extension was negotiated (RFC 6455 section 5.2).
    #[error("reserved bit set")]
    ReservedBit,
    /// Opcode 3-7 or 11-15 (RFC 6455 section 5.2).
    #[error("unknown opcode")]
    UnknownOpcode,
    /// A control frame with FIN clear (RFC 6455 section 5.5).
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455 section 5.5).
    #[error("control frame too long")]
    ControlTooLong,
    /// A payload length in more bytes than it needs, or above 2^63 (RFC 6455 section 5.2).
    #[error("payload length not minimal")]
    LengthNotMinimal,
    /// A client's frame without a mask (RFC 6455 section 5.1).
    #[error("client frame not masked")]
    Unmasked,
    /// A server's frame with a mask (RFC 6455 section 5.1).
    #[error("server frame masked")]
    Masked,
    /// A continuation frame where no message is under way (RFC 6455 section 5.4).
    #[error("continuation without a message")]
    UnexpectedContinuation,
    /// A new message inside a fragmented one (RFC 6455 section 5.4).
    #[error("message inside a fragmented message")]
    ExpectedContinuation,
    /// A close frame with a body of one byte (RFC 6455 section 5.5.1).
    #[error("close body of one byte")]
    CloseBodyTooShort,
    /// A close code that must not be sent (RFC 6455 section 7.4).
    #[error("close code not allowed")]
    CloseCodeNotAllowed,
    /// Text or a close reason that is not UTF-8 (RFC 6455 section 8.1).
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A message, whole or over its fragments, above the limit of the decoder.
    #[error("message too big")]
    MessageTooBig,
}

impl ProtocolError {
    /// The code to close with: 1002, 1007 or 1009.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// A short reason for the close frame; the same text as `Display`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "reserved bit set",
            Self::UnknownOpcode => "unknown opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::ControlTooLong => "control frame too long",
            Self::LengthNotMinimal => "payload length not minimal",
            Self::Unmasked => "client frame not masked",
            Self::Masked => "server frame masked",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::ExpectedContinuation => "message inside a fragmented message",
            Self::CloseBodyTooShort => "close body of one byte",
            Self::CloseCodeNotAllowed => "close code not allowed",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::MessageTooBig => "message too big",
        }
    }
}
