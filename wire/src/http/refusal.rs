//! Why a request is not served, and the status that says so.

use super::fields::Malformed;

/// Why a request is refused. The client's fault in every case but 503; `status` says how to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400, with what was wrong.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// 404, for the caller's own use.
    #[error("not found")]
    NotFound,
    /// 405; the answer carries `Allow`.
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
    #[error("service unavailable, try again later")]
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

impl From<Malformed> for Refusal {
    fn from(reason: Malformed) -> Self {
        Self::BadRequest(reason)
    }
}
