//! Plain HTTP/1.1 requests, one per connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A response: status, header lines, body.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Everything before the empty line.
    pub head: String,
    /// Everything after it, until the server closed.
    pub body: String,
}

/// `GET path` from `address` (`host:port`); panics if nothing comes back.
#[must_use]
pub fn get(address: &str, path: &str) -> Response {
    try_get(address, path).unwrap_or_else(|error| panic!("GET {address}{path}: {error}"))
}

/// `GET path` from `address` (`host:port`).
///
/// # Errors
/// When the connection fails, or what comes back is not HTTP.
pub fn try_get(address: &str, path: &str) -> std::io::Result<Response> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP response"))
}

/// Splits a response into its parts.
#[must_use]
pub fn parse(text: &str) -> Option<Response> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Response { status, head: head.to_owned(), body: body.to_owned() })
}
