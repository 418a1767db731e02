//! The embedded engine (fjall).
