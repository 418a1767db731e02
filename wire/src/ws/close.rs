//! Close frames: their codes (RFC 6455 section 7.4, IANA close code registry) and their body.

use super::ProtocolError;

/// A close code as it may travel in a close frame, 1000-4999 less the reserved ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// An end goes away: a server stops, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the WebSocket protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that this end does not take (text on a binary subprotocol).
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Data that does not fit its kind: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of the application.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message larger than this end takes.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// A fault of the server.
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// The code, or `None` if it must not appear in a close frame: below 1000, 1004-1006, 1015,
    /// 1016-2999 (unassigned), 5000 and above.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The body of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// `None`: the frame had no body (reported to applications as 1005).
    pub code: Option<CloseCode>,
    /// At most 123 bytes; for logs, not for people.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Parses the unmasked payload of a close frame.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let (code, reason) = match payload {
            [] => return Ok(Self { code: None, reason: "" }),
            [_] => return Err(ProtocolError::CloseBodyTooShort),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode::new(code).ok_or(ProtocolError::CloseCodeNotAllowed)?;
        let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Self { code: Some(code), reason })
    }
}
