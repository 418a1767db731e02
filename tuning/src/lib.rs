//! What a gateway needs from its host, as data, and a read-only check of it.
//!
//! A [`profile::Profile`] lists keys with a bound given by a [`formula::Formula`] over the plan
//! (connections, shards, memory). [`check::check`] compares the live values with it. No number is
//! in the code: what is asked for, why, and what to do stand in profiles/*.toml.

pub mod check;
pub mod formula;
pub mod live;
pub mod profile;
