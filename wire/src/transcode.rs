//! From the router's bytes to a client's, without building what need not be built.
//!
//! Router and edge exchange an encoded [`v1::ServerFrame`] without its id, which only the edge
//! knows. Protobuf messages concatenate, so for a client of `throng.v1.proto` the id is written
//! before the bytes as they are; for a client of `throng.v1.json` they are decoded, borrowing, and
//! written as JSON.

use crate::protobuf::write;
use crate::{DecodeError, Json as _, Protobuf as _, v1};

/// Appends the frame that Protobuf clients get. `body` is an encoded frame without id.
pub fn answer_protobuf(id: Option<u64>, body: &[u8], out: &mut Vec<u8>) {
    if let Some(id) = id {
        write::uint64(v1::ServerFrame::ID, id, out);
    }
    out.extend_from_slice(body);
}

/// Appends the frame that JSON clients get. `body` is an encoded frame without id.
///
/// # Errors
/// `body` is not a [`v1::ServerFrame`]: the router is at fault. Nothing was appended.
pub fn answer_json(id: Option<u64>, body: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let frame = v1::ServerFrame::decode(body)?;
    v1::ServerFrame { id, ..frame }.write_json(out);
    Ok(())
}
