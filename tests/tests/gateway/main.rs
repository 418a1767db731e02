//! Black-box tests of the built gateway: a module per property. What they stand on is the library
//! of this crate; the invariants I1-I8 are those of ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod authorisation;
mod bad_frames;
mod bad_http;
mod bad_messages;
mod chat;
mod configuration;
mod conversations;
mod crash;
mod cuts;
mod data_directory;
mod deadlines;
mod deduplication;
mod drain;
mod driver;
mod exit_codes;
mod groups;
mod health;
mod history_pages;
mod limits;
mod many_shards;
mod metrics;
mod order;
mod priority;
mod ready_line;
mod receipts;
mod replacement;
mod resume;
mod slow_consumer;
mod token_rotation;
mod tokens;
mod watermarks;
mod write_failure;
