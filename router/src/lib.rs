//! Conversation owners and user homes.

pub mod limits;
pub mod owner;
pub mod partition;
