//! Conversation owners and user homes: the tier between edges and the store.
//!
//! [`Router::start`] takes the partitions of a store and begins to work; edges come over links
//! ([`Router::connect`], [`Router::serve_link`]), which carry the frames of docs/link.md.
//!
//! ```text
//! link task ──requests──▶ owner actor ──append──▶ store
//!     ▲  ▲                 │  │  ▲────outcome─────┘
//!     │  └────answers──────┘  └──deliveries──▶ home actor ──hints──▶ link task
//!     └───────────registrations, lists──────────▲
//! ```
//!
//! The machines are sans-IO: [`owner`] gives each conversation its order, [`home`] knows which
//! connections a user has. The actors around them move messages and nothing else.

mod actor;
mod clock;
pub mod home;
pub mod limits;
mod link;
mod metrics;
pub mod owner;
pub mod partition;
mod router;

pub use limits::Limits;
pub use metrics::Metric;
pub use router::{Config, Router, StartError};
