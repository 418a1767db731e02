//! The HTTP/1.1 that a WebSocket needs (RFC 9112, RFC 6455 section 4), without I/O.
//!
//! Server: give [`parse_request`] all bytes received so far. `Partial` means wait for more (the
//! deadline against slow senders is the caller's), `Complete` lends a [`Request`] out of those
//! bytes, and a [`Refusal`] is answered with [`encode_refusal`] and a close. A request for a
//! WebSocket path then goes through [`Request::upgrade`] and is answered by
//! [`encode_switching_protocols`]; anything else by [`encode_response`]. Every response but 101
//! says `Connection: close`: one connection serves one request.
//!
//! Bytes after `consumed` belong to the WebSocket: frames may come right behind a request.
//!
//! Client: [`encode_upgrade_request`], then [`parse_upgrade_response`].

mod client;
mod fields;
mod refusal;
mod request;
mod response;

pub use client::{
    UpgradeError, UpgradeRequest, Upgraded, encode_upgrade_request, parse_upgrade_response,
};
pub use refusal::Refusal;
pub use request::{Method, Parsed, Request, Upgrade, parse_request};
pub use response::{Response, encode_refusal, encode_response, encode_switching_protocols};
