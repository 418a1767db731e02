//! WebSocket (RFC 6455) without I/O: one decoder and a set of encoders for both ends.
//!
//! The caller owns the sockets and the buffers. What it received it lends as `&mut [u8]`; the
//! codec unmasks in place and lends each message back from the same bytes. Only a message that
//! is cut by the end of a slice, or sent in fragments, is copied, into a buffer that exists from
//! its first byte to the event that hands it over. An idle connection owns no buffer.
//!
//! Receiving, per connection:
//!
//! ```
//! use throng_wire::ws::{Decoder, Event, Input, Opcode, Role, encode};
//!
//! # fn session(received: &mut [u8], out: &mut Vec<u8>) {
//! let mut decoder = Decoder::new(Role::Server, 64 * 1024);
//! let mut input = Input::new(received);
//! loop {
//!     match decoder.next(&mut input) {
//!         Ok(Some(Event::Text(text))) => encode::frame(out, Opcode::Text, text.as_bytes(), None),
//!         Ok(Some(Event::Binary(bytes))) => encode::frame(out, Opcode::Binary, bytes, None),
//!         Ok(Some(Event::Ping(payload))) => encode::pong(out, payload, None),
//!         Ok(Some(Event::Pong(_))) => {}
//!         Ok(Some(Event::Close(close))) => break encode::close_reply(out, close, None),
//!         Ok(None) => break, // the slice is used up: wait for more
//!         Err(error) => break encode::close(out, error.close_code(), error.reason(), None),
//!     }
//! }
//! # }
//! ```
//!
//! Order of calls: `next` until it answers `None`, then give the slice back. Leaving in the
//! middle is allowed only when the connection is given up. After a close frame or an error the
//! decoder swallows all further input, as RFC 6455 sections 5.5.1 and 7.1.7 want; the caller sends
//! the close frame, shuts its sending side down and waits for the peer's end of stream.
//!
//! Sending: the functions of [`encode`] append whole frames to the caller's buffer, so that a
//! frame for many recipients is encoded once; [`encode::header`] gives the header alone for a
//! payload that travels by reference. No extension is ever negotiated: a set RSV bit is an error.

pub mod accept;
mod close;
mod decode;
pub mod encode;
mod error;
mod frame;
mod held;
mod mask;
mod text;

pub use close::{Close, CloseCode};
pub use decode::{Decoder, Event, Input, Role};
pub use error::ProtocolError;
pub use frame::{Header, MaskKey, Opcode};
