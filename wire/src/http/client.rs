//! The client's side of the opening handshake (RFC 6455 sections 4.1 and 4.2.2).

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
    /// The server answered with another status: overloaded (503), wrong path (404) ...
    #[error("server answered {0} instead of 101")]
    Status(u16),
    /// The response is not HTTP/1.1 or is above the limits.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    /// A header of the handshake is missing or wrong.
    #[error("handshake refused: {0}")]
    Handshake(&'static str),
}

/// Appends the opening handshake.
pub fn encode_upgrade_request(out: &mut Vec<u8>, request: &UpgradeRequest<'_>) {
    todo!("{out:?} {request:?}")
}

/// Parses and verifies the response from all `bytes` received so far; `None`: wait for more.
pub fn parse_upgrade_response<'a>(
    bytes: &'a [u8],
    request: &UpgradeRequest<'_>,
) -> Result<Option<Upgraded<'a>>, UpgradeError> {
    todo!("{bytes:?} {request:?}")
}
