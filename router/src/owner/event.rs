//! Events as the log keeps them, and the frames that an owner answers with.

use std::borrow::Cow;

use bytes::Bytes;
use throng_store::{ConvId, Role, Row, Seq, UserId};
use throng_wire::{DecodeError, Protobuf, event, id, v1};

/// The word for a role.
#[must_use]
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

/// The role of a word.
#[must_use]
pub fn role_of(name: &str) -> Option<Role> {
    match name {
        "member" => Some(Role::Member),
        "admin" => Some(Role::Admin),
        "owner" => Some(Role::Owner),
        _ => None,
    }
}

/// A user's id.
#[must_use]
pub fn user_id(name: &str) -> UserId {
    UserId(id::user(name))
}

/// A row's body: the event without conv, seq and time. An absent id (nil) is left out.
#[must_use]
pub fn body(sender: &str, device: &str, client_msg_id: &id::Id, what: v1::What<'_>) -> Bytes {
    let mut text = [0; id::TEXT_BYTES];
    let is_nil = *client_msg_id == [0; 16];
    let client_msg_id = if is_nil { "" } else { id::write_text(client_msg_id, &mut text) };
    let event = v1::Event {
        sender: Cow::Borrowed(sender),
        device: Cow::Borrowed(device),
        client_msg_id: client_msg_id.into(),
        what: Some(what),
        ..v1::Event::default()
    };
    event.encode_to_vec().into()
}

/// What a row says.
///
/// # Errors
/// The body is not an event: the store holds what this version cannot read.
pub fn what(row: &Row) -> Result<Option<v1::What<'_>>, DecodeError> {
    Ok(v1::Event::decode(&row.body)?.what)
}

/// A row as [`throng_wire::event`] takes it.
#[must_use]
pub fn wire_row<'a>(conv: &'a ConvId, row: &'a Row) -> event::Row<'a> {
    event::Row { conv: &conv.0, seq: row.seq, time_ms: row.created_at_ms, body: &row.body }
}

/// The frame that pushes a row.
#[must_use]
pub fn event_frame(conv: &ConvId, row: &Row) -> Bytes {
    let row = wire_row(conv, row);
    let mut out = Vec::with_capacity(row.event_len() + 8);
    row.write_frame(&mut out);
    out.into()
}

/// The answer to a write.
#[must_use]
pub fn ack_frame(conv: &ConvId, seq: Seq, time_ms: u64, duplicate: bool) -> Bytes {
    let mut text = [0; id::TEXT_BYTES];
    let conv = id::write_text(&conv.0, &mut text).into();
    frame(v1::Body::Ack(v1::Ack { conv, seq, time_ms, duplicate }))
}

/// The answer to a mark.
#[must_use]
pub fn ok_frame() -> Bytes {
    frame(v1::Body::Ok(v1::Ok::default()))
}

/// A frame without an id.
#[must_use]
pub fn frame(body: v1::Body<'_>) -> Bytes {
    v1::ServerFrame { id: None, body: Some(body) }.encode_to_vec().into()
}
