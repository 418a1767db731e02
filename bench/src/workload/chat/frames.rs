//! Frames of Throng's client protocol in either encoding.

use std::str::FromStr;

use throng_wire::ws::Opcode;
use throng_wire::{DecodeError, ErrorCode, Fault, Json, Protobuf, v1};

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Text messages, a JSON object each.
    Json,
    /// Binary messages, Protobuf.
    Proto,
}

impl Encoding {
    /// The subprotocol that stands for it.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "throng.v1.json",
            Self::Proto => "throng.v1.proto",
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Proto => "proto",
        }
    }

    /// The opcode of its messages.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Json => Opcode::Text,
            Self::Proto => Opcode::Binary,
        }
    }

    /// Writes a frame into an emptied buffer.
    pub fn encode(self, frame: &v1::ClientFrame<'_>, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::Json => frame.write_json(out),
            Self::Proto => frame.encode(out),
        }
    }

    /// Reads a frame of the server.
    ///
    /// # Errors
    /// It is none: the server's fault.
    pub fn decode(self, payload: &[u8]) -> Result<v1::ServerFrame<'_>, DecodeError> {
        match self {
            Self::Json => v1::ServerFrame::from_json(payload),
            Self::Proto => v1::ServerFrame::decode(payload),
        }
    }
}

impl FromStr for Encoding {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "proto" => Ok(Self::Proto),
            _ => Err("say json or proto"),
        }
    }
}

/// A frame with an id, or without one.
#[must_use]
pub fn frame(id: Option<u32>, op: v1::Op<'_>) -> v1::ClientFrame<'_> {
    v1::ClientFrame { id: id.map(u64::from), op: Some(op) }
}

/// What docs/protocol.md says to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The same again, later.
    Again,
    /// The same again, behind the earlier one that failed.
    Behind,
    /// Never again.
    Final,
}

/// By code; a code that is not known is judged by whose fault it is.
#[must_use]
pub fn advice(error: &v1::Error<'_>) -> Advice {
    match ErrorCode::parse(&error.code) {
        Some(ErrorCode::AfterFailed) => Advice::Behind,
        Some(code) if code.is_retryable() => Advice::Again,
        Some(_) => Advice::Final,
        None if error.fault == Fault::Client.text() => Advice::Final,
        None => Advice::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_the_server_reads_in_either_encoding() {
        let op = v1::Op::Ping(v1::Ping::default());
        let mut out = b"old".to_vec();
        Encoding::Json.encode(&frame(Some(3), op), &mut out);
        let json = std::str::from_utf8(&out).unwrap();
        assert_eq!(throng_wire::client::decode_json(json).unwrap().id, Some(3));
        let op = v1::Op::Ping(v1::Ping::default());
        Encoding::Proto.encode(&frame(Some(3), op), &mut out);
        assert_eq!(throng_wire::client::decode_protobuf(&out).unwrap().id, Some(3));
    }

    #[test]
    fn errors_are_answered_as_the_protocol_says() {
        let error = |code: &'static str, fault: &'static str| {
            advice(&v1::Error { code: code.into(), fault: fault.into(), ..v1::Error::default() })
        };
        for code in ["unknown", "overloaded", "unavailable", "rate_limited", "internal"] {
            assert_eq!(error(code, ""), Advice::Again, "{code}");
        }
        assert_eq!(error("after_failed", "client"), Advice::Behind);
        for code in ["clock", "expired_id", "sync_first", "forbidden", "id_reused", "too_large"] {
            assert_eq!(error(code, "client"), Advice::Final, "{code}");
        }
        assert_eq!(error("of_next_year", "client"), Advice::Final);
        assert_eq!(error("of_next_year", "server"), Advice::Again);
    }
}
