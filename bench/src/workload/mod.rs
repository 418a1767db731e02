//! What the clients of a run do: one module per kind, sans-IO, over the generator's interface.

pub mod chat;
pub mod echo;
pub mod fanout;
pub mod flood;
pub mod greeting;
pub mod reconnect;
pub mod storm;
