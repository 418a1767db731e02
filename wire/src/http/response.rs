//! Responses, appended to the caller's buffer.

use super::{Method, Refusal};
use crate::ws::accept::accept_value;

/// A response with a body; the connection closes after it.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// HTTP status code: one of those that [`Refusal`] knows, 200 or 403.
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
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    encode_header(out, "Upgrade", "websocket");
    encode_header(out, "Connection", "Upgrade");
    encode_header(out, "Sec-WebSocket-Accept", &accept_value(key));
    if let Some(subprotocol) = subprotocol {
        encode_header(out, "Sec-WebSocket-Protocol", subprotocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a response; for HEAD without its body.
pub fn encode_response(out: &mut Vec<u8>, method: Method, response: &Response<'_>) {
    let Response { status, content_type, headers, body } = *response;
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)).as_bytes());
    encode_header(out, "Content-Type", content_type);
    encode_header(out, "Content-Length", &body.len().to_string());
    encode_header(out, "Cache-Control", "no-store");
    encode_header(out, "X-Content-Type-Options", "nosniff");
    encode_header(out, "Connection", "close");
    headers.iter().for_each(|(name, value)| encode_header(out, name, value));
    out.extend_from_slice(b"\r\n");
    if method == Method::Get {
        out.extend_from_slice(body);
    }
}

/// Appends the answer to a refused request: a line of text, and the headers its status wants
/// (RFC 9110 sections 15.5.6, 15.5.22; RFC 6455 section 4.4).
pub fn encode_refusal(out: &mut Vec<u8>, refusal: Refusal) {
    let headers: &[_] = match refusal {
        Refusal::MethodNotAllowed => &[("Allow", "GET, HEAD")],
        // RFC 9110 section 7.8 wants the connection option with every Upgrade.
        Refusal::UpgradeRequired => {
            &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        }
        _ => &[],
    };
    let body = format!("{refusal}\n");
    let (status, content_type) = (refusal.status(), "text/plain; charset=utf-8");
    let response = Response { status, content_type, headers, body: body.as_bytes() };
    encode_response(out, Method::Get, &response);
}

pub(super) fn encode_header(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// RFC 9110 section 15.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
