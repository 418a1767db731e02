//! Responses, appended to the caller's buffer.

use super::{Method, Refusal};

/// A response with a body; the connection closes after it.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// HTTP status code.
    pub status: u16,
    /// MIME type of the body.
    pub content_type: &'a str,
    /// Further headers, names and values free of CR and LF.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// Appends the answer to a valid upgrade: 101 with the accepted subprotocol, one of those offered.
pub fn encode_switching_protocols(out: &mut Vec<u8>, key: &str, subprotocol: Option<&str>) {
    todo!("{out:?} {key} {subprotocol:?}")
}

/// Appends a response; for HEAD without its body.
pub fn encode_response(out: &mut Vec<u8>, method: Method, response: &Response<'_>) {
    todo!("{out:?} {method:?} {response:?}")
}

/// Appends the answer to a refused request: a line of text, and the headers its status wants.
pub fn encode_refusal(out: &mut Vec<u8>, refusal: Refusal) {
    todo!("{out:?} {refusal:?}")
}
