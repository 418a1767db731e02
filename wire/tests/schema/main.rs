//! The generated codecs and what is built on them, against an independent implementation (the
//! dynamic messages of prost-reflect), the documents and the limits.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]
#![allow(elided_lifetimes_in_paths, reason = "the tests name every message by a macro")]

mod client_frames;
mod codes;
mod document;
mod events;
mod generator;
mod identifiers;
mod json_agrees;
mod json_refuses;
mod oracle;
mod protobuf_agrees;
mod protobuf_refuses;
mod transcoding;
