//! Wire formats, sans-IO: bytes in, values out, and back. No socket, clock or thread is known here.
//!
//! - [`v1`]: the client protocol (docs/protocol.md). Structs that borrow from the input, generated
//!   from proto/throng/v1.proto by the schema compiler in codegen/.
//! - [`link`]: the link between edge and router (docs/link.md), from proto/throng/link.proto.
//! - [`Protobuf`]: the trait by which every message is decoded and encoded.
//! - [`Json`]: the trait of the JSON mapping, which every message of [`v1`] also has.
//! - [`client`]: what an edge calls for each frame of a client. [`transcode`]: what it calls for
//!   each answer of a router. [`event`]: how a router makes events and pages from rows of the log.
//! - [`id`], [`code`], [`limits`]: identifiers, error and close codes, limits.
//! - [`ws`], [`http`]: RFC 6455 and the HTTP/1.1 upgrade before it.
//!
//! Some messages of [`v1`] have the names of traits and types everybody knows (`Send`, `Ok`,
//! `Error`): write `v1::Send`, and do not import them by a glob.

pub mod client;
pub mod code;
pub mod event;
pub mod http;
pub mod id;
pub mod json;
pub mod limits;
pub mod link;
pub mod protobuf;
pub mod transcode;
pub mod ws;

mod error;

pub use code::{ErrorCode, Fault, SessionClose};
pub use error::{DecodeError, DecodeFault};
pub use json::Json;
pub use protobuf::Protobuf;

#[allow(clippy::large_enum_variant, reason = "made, matched and dropped in place; never kept")]
pub mod v1 {
    //! The client protocol, version 1: generated from proto/throng/v1.proto.
    include!(concat!(env!("OUT_DIR"), "/throng.v1.rs"));
}
