//! The WebSocket codec, from outside: one property per module.

mod close;
mod encode;
mod faults;
mod in_place;
mod interoperation;
mod message_limit;
mod recorder;
mod rfc_examples;
mod split;
mod utf8;
