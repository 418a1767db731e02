//! The link between edge and router: docs/link.md.

pub use messages::*;

pub mod messages {
    //! Generated from proto/throng/link.proto.
    include!(concat!(env!("OUT_DIR"), "/throng.link.rs"));
}
