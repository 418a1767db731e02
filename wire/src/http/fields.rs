//! What requests and responses have in common: reading header lines without being fooled.
//!
//! Whatever two readers of the same bytes could understand differently (a proxy before us, and us)
//! is refused: bare line feeds, folded lines, a header twice that must be there once.

use crate::limits::HTTP_HEAD_BYTES_MAX;

/// Why a head is malformed, in words for the peer's author.
pub(super) type Malformed = &'static str;

/// Whether `bytes` hold a line that they did not hold at `already_seen`.
pub(super) fn has_new_line(bytes: &[u8], already_seen: usize) -> bool {
    already_seen == 0 || bytes.get(already_seen..).is_none_or(|new| new.contains(&b'\n'))
}

/// What of `bytes` may belong to the head.
pub(super) fn within_limit(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(HTTP_HEAD_BYTES_MAX)]
}

/// RFC 9112 section 2.2 allows a lone LF as a line end; not all do, so none may come.
pub(super) fn refuse_bare_line_feeds(head: &[u8]) -> Result<(), Malformed> {
    let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r');
    if head.iter().enumerate().any(bare) {
        Err("line feed without carriage return")
    } else {
        Ok(())
    }
}

/// The value of a header that matters here: visible ASCII and spaces, nothing around it.
pub(super) fn text(value: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| "header value not ASCII")?;
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(text.trim())
    } else {
        Err("header value not ASCII")
    }
}

/// Stores a header that may come once.
pub(super) fn set_once<'a>(
    field: &mut Option<&'a str>,
    value: &'a str,
    duplicate: Malformed,
) -> Result<(), Malformed> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(duplicate),
    }
}

/// The elements of a comma-separated list (RFC 9110 section 5.6.1), empty ones left out.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Whether a list has an element, in any case.
fn list_has(value: &str, token: &str) -> bool {
    list(value).any(|element| element.eq_ignore_ascii_case(token))
}

/// The two headers with which both sides agree to leave HTTP for WebSocket (RFC 6455 sections 4.1
/// and 4.2.1). Each may come more than once and beside other elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switch {
    /// `Upgrade: websocket`.
    pub(super) is_to_websocket: bool,
    /// `Connection: Upgrade`, without which a proxy would not have passed the other one on.
    pub(super) is_for_this_hop: bool,
}

impl Switch {
    /// Reads a header if it is one of the two; false: it is another one.
    pub(super) fn read_header(&mut self, name: &str, value: &[u8]) -> Result<bool, Malformed> {
        if name.eq_ignore_ascii_case("upgrade") {
            self.is_to_websocket |= list_has(text(value)?, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            self.is_for_this_hop |= list_has(text(value)?, "upgrade");
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// Words for a fault that `httparse` found.
pub(super) fn malformed(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::HeaderName => "malformed header name",
        httparse::Error::HeaderValue => "malformed header value",
        httparse::Error::NewLine => "malformed line end",
        httparse::Error::Status => "malformed status",
        httparse::Error::Token => "malformed request line",
        httparse::Error::TooManyHeaders => "too many headers",
        httparse::Error::Version => "unknown HTTP version",
    }
}
