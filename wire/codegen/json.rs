//! The JSON mapping of a message: tables over `crate::json`.

use super::model::Message;

/// `impl Json for …`.
pub(super) fn emit(_message: &Message, _out: &mut String) {}
