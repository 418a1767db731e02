//! The HTTP upgrade, from outside: one property per module.

mod handshake;
mod request;
