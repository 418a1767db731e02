//! (header to come)

pub mod http;
pub mod ws;
