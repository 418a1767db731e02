//! Requests: parsing, and the check of the WebSocket opening handshake.

use super::Refusal;
use super::fields::{self, Malformed, Switch, list, set_once};
use crate::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_BYTES_MAX, HTTP_SUBPROTOCOL_LINES_MAX,
};
use crate::ws::accept::is_client_key;

/// Only what this server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: answered like GET, without the body.
    Head,
}

/// What [`parse_request`] made of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack for the length of a handshake")]
pub enum Parsed<'a> {
    /// The head is not complete: call again with more bytes.
    Partial,
    /// The head is complete.
    Complete {
        /// Length of the head, its blank line included.
        consumed: usize,
        /// The request, borrowed from the bytes.
        request: Request<'a>,
    },
}

/// The head of a request, as far as a gateway asks for it. Every text is visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// GET or HEAD.
    pub method: Method,
    /// Path of the target, from its `/` to before the `?`; not percent-decoded.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// `Host`, or the authority of an absolute target. HTTP/1.0 may lack it.
    pub host: Option<&'a str>,
    /// `Origin`: which site's page a browser is acting for.
    pub origin: Option<&'a str>,
    /// The token of `Authorization: Bearer`.
    pub bearer: Option<&'a str>,
    handshake: Handshake<'a>,
}

/// The headers of the opening handshake, not checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Handshake<'a> {
    is_http_11: bool,
    switch: Switch,
    version: Option<&'a str>,
    key: Option<&'a str>,
    subprotocol_lines: [&'a str; HTTP_SUBPROTOCOL_LINES_MAX],
    subprotocol_line_count: usize,
}

/// A valid request for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// `Sec-WebSocket-Key`, to be given to [`super::encode_switching_protocols`].
    pub key: &'a str,
}

/// Parses the head of a request from all `bytes` received so far.
///
/// `already_seen` is the length of `bytes` at the previous `Partial` answer, 0 at first: a head
/// that trickles in is parsed once per line, not once per byte. A fault in what trickles in is
/// found, at the latest, with the end of its line.
pub fn parse_request(bytes: &[u8], already_seen: usize) -> Result<Parsed<'_>, Refusal> {
    let head = fields::within_limit(bytes);
    let line_bytes = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
    if line_bytes > HTTP_REQUEST_LINE_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    if fields::has_new_line(bytes, already_seen) {
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(consumed) = parsed.parse(head).map_err(refusal)? {
            fields::refuse_bare_line_feeds(&head[..consumed])?;
            return Ok(Parsed::Complete { consumed, request: Request::read(&parsed)? });
        }
    }
    if head.len() == HTTP_HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(Parsed::Partial)
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge,
        httparse::Error::Version => Refusal::VersionNotSupported,
        other => Refusal::BadRequest(fields::malformed(other)),
    }
}

impl<'a> Request<'a> {
    fn read(parsed: &httparse::Request<'_, 'a>) -> Result<Self, Refusal> {
        let method = match parsed.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            _ => return Err(Refusal::MethodNotAllowed),
        };
        let (authority, path, query) = split_target(parsed.path.unwrap_or_default())?;
        let handshake = Handshake { is_http_11: parsed.version == Some(1), ..Default::default() };
        let (host, origin, bearer) = (None, None, None);
        let mut request = Self { method, path, query, host, origin, bearer, handshake };
        let mut authorization = None;
        for header in parsed.headers.iter() {
            request.read_header(header.name, header.value, &mut authorization)?;
        }
        if request.handshake.is_http_11 && request.host.is_none() {
            return Err(Refusal::BadRequest("Host missing"));
        }
        request.host = authority.or(request.host);
        request.bearer = authorization.and_then(bearer_token);
        Ok(request)
    }

    fn read_header(
        &mut self,
        name: &str,
        value: &'a [u8],
        authorization: &mut Option<&'a str>,
    ) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            set_once(&mut self.host, check_host(fields::text(value)?)?, "Host twice")?;
        } else if is("origin") {
            set_once(&mut self.origin, fields::text(value)?, "Origin twice")?;
        } else if is("authorization") {
            set_once(authorization, fields::text(value)?, "Authorization twice")?;
        } else if is("transfer-encoding") {
            return Err(Refusal::BadRequest("Transfer-Encoding on a request without a body"));
        } else if is("content-length") {
            refuse_body(fields::text(value)?)?;
        } else {
            self.handshake.read_header(name, value)?;
        }
        Ok(())
    }

    /// Whether the client asks for a WebSocket, rightly or not.
    pub fn wants_websocket(&self) -> bool {
        self.handshake.switch.is_to_websocket
    }

    /// Checks that this is a WebSocket opening handshake (RFC 6455 section 4.2.1).
    pub fn upgrade(&self) -> Result<Upgrade<'a>, Refusal> {
        let handshake = &self.handshake;
        if !handshake.switch.is_to_websocket {
            return Err(Refusal::UpgradeRequired);
        }
        if !handshake.is_http_11 {
            return Err(Refusal::VersionNotSupported);
        }
        if self.method != Method::Get {
            return Err(Refusal::MethodNotAllowed);
        }
        if !handshake.switch.is_for_this_hop {
            return Err(Refusal::BadRequest("Connection: Upgrade missing"));
        }
        if handshake.version != Some("13") {
            return Err(Refusal::UpgradeRequired);
        }
        match handshake.key {
            Some(key) if is_client_key(key) => Ok(Upgrade { key }),
            Some(_) => Err(Refusal::BadRequest("Sec-WebSocket-Key is not 16 bytes in base64")),
            None => Err(Refusal::BadRequest("Sec-WebSocket-Key missing")),
        }
    }

    /// The offered subprotocols in the client's order, over all header lines.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        let handshake = &self.handshake;
        let lines = &handshake.subprotocol_lines[..handshake.subprotocol_line_count];
        lines.iter().flat_map(|line| list(line))
    }
}

impl<'a> Handshake<'a> {
    fn read_header(&mut self, name: &str, value: &'a [u8]) -> Result<(), Malformed> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if self.switch.read_header(name, value)? {
            return Ok(());
        }
        if is("sec-websocket-version") {
            set_once(&mut self.version, fields::text(value)?, "Sec-WebSocket-Version twice")?;
        } else if is("sec-websocket-key") {
            set_once(&mut self.key, fields::text(value)?, "Sec-WebSocket-Key twice")?;
        } else if is("sec-websocket-protocol") {
            let line = self.subprotocol_lines.get_mut(self.subprotocol_line_count);
            *line.ok_or("too many lines of Sec-WebSocket-Protocol")? = fields::text(value)?;
            self.subprotocol_line_count += 1;
        }
        Ok(())
    }
}

/// Splits a target in origin form or absolute form (RFC 9112 section 3.2): authority, path, query.
fn split_target(target: &str) -> Result<(Option<&str>, &str, Option<&str>), Malformed> {
    const MALFORMED: Malformed = "malformed request target";
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(MALFORMED);
    }
    let (authority, target) = match target.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) => {
            let (authority, path) = rest.split_at(rest.find('/').ok_or(MALFORMED)?);
            (Some(check_host(authority)?), path)
        }
        _ => (None, target),
    };
    if !target.starts_with('/') {
        return Err(MALFORMED);
    }
    match target.split_once('?') {
        Some((path, query)) => Ok((authority, path, Some(query))),
        None => Ok((authority, target, None)),
    }
}

/// A host name or address with an optional port (RFC 9110 section 7.2), roughly.
fn check_host(host: &str) -> Result<&str, Malformed> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte);
    if host.bytes().all(allowed) { Ok(host) } else { Err("malformed Host") }
}

/// A body would be taken for WebSocket frames, or for the next request by a proxy.
fn refuse_body(content_length: &str) -> Result<(), Refusal> {
    match content_length.bytes().all(|byte| byte.is_ascii_digit()) && !content_length.is_empty() {
        false => Err(Refusal::BadRequest("malformed Content-Length")),
        true if content_length.bytes().all(|byte| byte == b'0') => Ok(()),
        true => Err(Refusal::ContentTooLarge),
    }
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
