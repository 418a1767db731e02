//! (request header)

/// Only what this server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: answered like GET, without the body.
    Head,
}

/// What [`parse_request`] made of the bytes so far.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// The head is not complete: call again with more bytes.
    Partial,
    /// The head took `consumed` bytes.
    Complete {
        /// Length of the head, its blank line included.
        consumed: usize,
        /// The request, borrowed from the bytes.
        request: Request<'a>,
    },
}

/// The head of a request, as far as a gateway asks for it. Every text is visible ASCII.
#[derive(Debug)]
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
}

/// A valid request for a WebSocket.
#[derive(Debug)]
pub struct Upgrade<'a> {
    /// `Sec-WebSocket-Key`, to be given to [`super::encode_switching_protocols`].
    pub key: &'a str,
}

/// Why a request is refused. The client's fault in every case; `status` says how to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400, with what was wrong.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// 404, for the caller's own use.
    #[error("not found")]
    NotFound,
    /// 405; the answer carries `Allow: GET, HEAD`.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// 413: a request here has no body.
    #[error("no request body is accepted here")]
    ContentTooLarge,
    /// 414: request line above the limit.
    #[error("request line too long")]
    UriTooLong,
    /// 426; the answer names `websocket` and version 13.
    #[error("WebSocket version 13 required")]
    UpgradeRequired,
    /// 431: head or number of headers above the limit.
    #[error("request head too large")]
    HeadTooLarge,
    /// 503, for the caller's own use (overload, drain).
    #[error("service unavailable")]
    Unavailable,
    /// 505: not HTTP/1.1 (HTTP/1.0 is enough where no upgrade is wanted).
    #[error("HTTP version not supported")]
    VersionNotSupported,
}

impl Refusal {
    /// The HTTP status code.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::ContentTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UpgradeRequired => 426,
            Self::HeadTooLarge => 431,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
        }
    }
}

/// Parses the head of a request from all `bytes` received so far.
///
/// `already_seen` is the length of `bytes` at the previous `Partial` answer, 0 at first: it keeps a
/// head that trickles in from being parsed again for every byte.
pub fn parse_request(bytes: &[u8], already_seen: usize) -> Result<Parsed<'_>, Refusal> {
    todo!("{bytes:?} {already_seen}")
}

impl<'a> Request<'a> {
    /// Checks that this is a WebSocket opening handshake (RFC 6455 section 4.2.1).
    pub fn upgrade(&self) -> Result<Upgrade<'a>, Refusal> {
        todo!()
    }

    /// The offered subprotocols in the client's order, over all header lines.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }
}
