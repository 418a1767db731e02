//! Frames of a client, from either encoding: what an edge calls for each message it receives.
//!
//! Beyond the schema a frame must have an op. One that an old server does not know can be told from
//! nonsense: an unknown key with an object (JSON), an unknown length-delimited field (Protobuf),
//! and no op that is known. Beside a known op, unknown fields are ignored.
//!
//! An error carries the frame's id whenever it could be read, wherever in the frame it stands, so
//! that the answer finds its request.

use crate::protobuf::{self, WireType};
use crate::{DecodeError, ErrorCode, Json as _, Protobuf as _, json, limits, v1};

/// Why a frame cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It is not a frame.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// It has no op.
    #[error("the frame has no operation: expected {{\"id\": …, \"<op>\": {{…}}}}")]
    NoOp,
    /// Its op is not known.
    #[error("this server does not have this operation")]
    UnknownOp,
}

/// A frame that cannot be carried out. The client is at fault; the connection can go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FrameError {
    /// The frame's id, if it has one and it could be read.
    pub id: Option<u64>,
    /// What is wrong.
    pub fault: FrameFault,
}

impl FrameError {
    /// The code to answer with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.fault {
            FrameFault::Unreadable(_) | FrameFault::NoOp => ErrorCode::BadFrame,
            FrameFault::UnknownOp => ErrorCode::UnknownOp,
        }
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> v1::ServerFrame<'static> {
        let error = self.code().error_saying(self.to_string());
        v1::ServerFrame { id: self.id, body: Some(v1::Body::Error(error)) }
    }
}

/// Decodes a frame of subprotocol `throng.v1.json`.
///
/// # Errors
/// It cannot be carried out; the connection can go on.
pub fn decode_json(text: &str) -> Result<v1::ClientFrame<'_>, FrameError> {
    match v1::ClientFrame::from_json_str(text) {
        Ok(frame) if frame.op.is_some() => Ok(frame),
        Ok(frame) => Err(without_op(frame.id, scan_json(text).1)),
        Err(error) => Err(FrameError { id: scan_json(text).0, fault: error.into() }),
    }
}

/// Decodes a frame of subprotocol `throng.v1.proto`.
///
/// # Errors
/// It cannot be carried out; the connection can go on.
pub fn decode_protobuf(bytes: &[u8]) -> Result<v1::ClientFrame<'_>, FrameError> {
    match v1::ClientFrame::decode(bytes) {
        Ok(frame) if frame.op.is_some() => Ok(frame),
        Ok(frame) => Err(without_op(frame.id, scan_protobuf(bytes).1)),
        Err(error) => Err(FrameError { id: scan_protobuf(bytes).0, fault: error.into() }),
    }
}

fn without_op(id: Option<u64>, has_unknown: bool) -> FrameError {
    let fault = if has_unknown { FrameFault::UnknownOp } else { FrameFault::NoOp };
    FrameError { id, fault }
}

/// What can be saved from a frame: its id, and whether an unknown field looks like an op.
type Found = (Option<u64>, bool);

fn scan_json(text: &str) -> Found {
    let mut found = (None, false);
    // Ends at the first syntax error; what was found before it counts.
    let _ = scan_json_fields(&mut json::Reader::over(text, 0), &mut found);
    found
}

fn scan_json_fields(reader: &mut json::Reader<'_>, found: &mut Found) -> Result<(), DecodeError> {
    reader.begin_object()?;
    let mut first = true;
    while let Some(key) = reader.key(&mut first)? {
        match <v1::ClientFrame<'_> as json::Json<'_>>::field_number(&key) {
            v1::ClientFrame::ID if found.0.is_none() && reader.at_digit() => {
                found.0 = reader.uint64().ok();
            }
            0 => {
                found.1 |= reader.at_object();
                reader.skip()?;
            }
            _ => reader.skip()?,
        }
    }
    Ok(())
}

fn scan_protobuf(bytes: &[u8]) -> Found {
    let mut found = (None, false);
    let mut reader = protobuf::Reader::new(bytes, limits::CLIENT_ELEMENTS_MAX);
    while let Ok(Some(tag)) = reader.tag() {
        if (tag.number, tag.wire_type) == (v1::ClientFrame::ID, WireType::Varint) {
            found.0 = reader.uint64(tag).ok();
            continue;
        }
        let is_known = !v1::ClientFrame::field_name(tag.number).is_empty();
        found.1 |= !is_known && tag.wire_type == WireType::Bytes;
        if reader.skip(tag).is_err() {
            break;
        }
    }
    found
}
