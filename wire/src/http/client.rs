//! The client's side of the opening handshake (RFC 6455 sections 4.1 and 4.2.2).

use super::fields::{self, Malformed, Switch, set_once};
use super::response::encode_header;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
use crate::ws::accept::accept_value;

/// What a client asks for. No text may hold CR or LF.
#[derive(Clone, Copy, Debug)]
pub struct UpgradeRequest<'a> {
    /// `Host`: name and port.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// In order of preference.
    pub subprotocols: &'a [&'a str],
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// From [`crate::ws::accept::client_key`].
    pub key: &'a str,
}

/// A verified 101 response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgraded<'a> {
    /// Length of the head; WebSocket frames may follow.
    pub consumed: usize,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<&'a str>,
}

/// Why the server did not open the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The server answered with another status: overloaded (503), wrong path (404) and the like.
    #[error("server answered {0} instead of 101")]
    Status(u16),
    /// The server's response is not HTTP/1.1 or is above the limits.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    /// The server's 101 response lacks what RFC 6455 section 4.1 demands.
    #[error("handshake failed: {0}")]
    Handshake(&'static str),
}

impl From<Malformed> for UpgradeError {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

/// The headers of the response, not checked yet.
#[derive(Default)]
struct Answer<'a> {
    switch: Switch,
    accept: Option<&'a str>,
    subprotocol: Option<&'a str>,
    extensions: Option<&'a str>,
}

/// Appends the opening handshake.
pub fn encode_upgrade_request(out: &mut Vec<u8>, request: &UpgradeRequest<'_>) {
    out.extend_from_slice(format!("GET {} HTTP/1.1\r\n", request.target).as_bytes());
    encode_header(out, "Host", request.host);
    encode_header(out, "Upgrade", "websocket");
    encode_header(out, "Connection", "Upgrade");
    encode_header(out, "Sec-WebSocket-Version", "13");
    encode_header(out, "Sec-WebSocket-Key", request.key);
    if !request.subprotocols.is_empty() {
        encode_header(out, "Sec-WebSocket-Protocol", &request.subprotocols.join(", "));
    }
    request.headers.iter().for_each(|(name, value)| encode_header(out, name, value));
    out.extend_from_slice(b"\r\n");
}

/// Parses the response from all `bytes` received so far and verifies it against the `request`;
/// `None`: wait for more.
pub fn parse_upgrade_response<'a>(
    bytes: &'a [u8],
    request: &UpgradeRequest<'_>,
) -> Result<Option<Upgraded<'a>>, UpgradeError> {
    let head = fields::within_limit(bytes);
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let consumed = match parsed.parse(head).map_err(fields::malformed)? {
        httparse::Status::Complete(consumed) => consumed,
        httparse::Status::Partial if head.len() < HTTP_HEAD_BYTES_MAX => return Ok(None),
        httparse::Status::Partial => return Err(UpgradeError::Malformed("head too large")),
    };
    if parsed.code != Some(101) {
        return Err(UpgradeError::Status(parsed.code.unwrap_or_default()));
    }
    fields::refuse_bare_line_feeds(&head[..consumed])?;
    let mut answer = Answer::default();
    for header in parsed.headers.iter() {
        answer.read_header(header.name, header.value)?;
    }
    answer.verify(request).map_err(UpgradeError::Handshake)?;
    Ok(Some(Upgraded { consumed, subprotocol: answer.subprotocol }))
}

impl<'a> Answer<'a> {
    fn read_header(&mut self, name: &str, value: &'a [u8]) -> Result<(), Malformed> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if self.switch.read_header(name, value)? {
            return Ok(());
        }
        if is("sec-websocket-accept") {
            set_once(&mut self.accept, fields::text(value)?, "Sec-WebSocket-Accept twice")?;
        } else if is("sec-websocket-protocol") {
            set_once(&mut self.subprotocol, fields::text(value)?, "Sec-WebSocket-Protocol twice")?;
        } else if is("sec-websocket-extensions") {
            self.extensions = Some(fields::text(value)?);
        }
        Ok(())
    }

    fn verify(&self, request: &UpgradeRequest<'_>) -> Result<(), &'static str> {
        let offered = |chosen: &str| request.subprotocols.contains(&chosen);
        if !self.switch.is_to_websocket {
            Err("Upgrade: websocket missing")
        } else if !self.switch.is_for_this_hop {
            Err("Connection: Upgrade missing")
        } else if self.accept != Some(accept_value(request.key).as_str()) {
            Err("Sec-WebSocket-Accept missing or wrong")
        } else if self.extensions.is_some() {
            Err("an extension that was not offered")
        } else if !self.subprotocol.is_none_or(offered) {
            Err("a subprotocol that was not offered")
        } else {
            Ok(())
        }
    }
}
