//! What an operation asks the router: which conversation it goes to, and whether it writes.
//!
//! Writes carry a `client_msg_id` that makes them safe to repeat; one that the client left out is
//! made here, so a retry of it is a new message.

use std::borrow::Cow;

use throng_wire::id::{self, Id};
use throng_wire::{ErrorCode, v1};

/// Where an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The conversation; none for what concerns the user alone.
    pub(super) conv: Option<Id>,
    pub(super) write: Option<Write>,
}

/// An operation that appends to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) conv: Id,
    pub(super) id: Id,
    /// The client chose the id and can send the message again.
    pub(super) can_return: bool,
}

/// An operation that cannot be routed. The client is at fault.
pub(super) type Fault = (ErrorCode, &'static str);

const BAD: ErrorCode = ErrorCode::BadFrame;

/// Finds where `op` of `user` goes, and fills a missing `client_msg_id` in by `make_id`.
pub(super) fn route(
    user: &str,
    op: &mut v1::Op<'_>,
    make_id: impl FnOnce() -> Id,
) -> Result<Route, Fault> {
    match op {
        v1::Op::Send(send) => {
            let conv = send_conv(user, send)?;
            write(conv, &mut send.client_msg_id, make_id)
        }
        v1::Op::CreateGroup(create) => {
            let (id, can_return) = settle_id(&mut create.client_msg_id, make_id)?;
            let conv = id::group_conv(user, &id);
            Ok(Route { conv: Some(conv), write: Some(Write { conv, id, can_return }) })
        }
        v1::Op::AddMembers(change) | v1::Op::RemoveMembers(change) => {
            write(parse_conv(&change.conv)?, &mut change.client_msg_id, make_id)
        }
        v1::Op::SetRole(set) => write(parse_conv(&set.conv)?, &mut set.client_msg_id, make_id),
        v1::Op::Rename(rename) => {
            write(parse_conv(&rename.conv)?, &mut rename.client_msg_id, make_id)
        }
        v1::Op::Leave(leave) => write(parse_conv(&leave.conv)?, &mut leave.client_msg_id, make_id),
        v1::Op::Delivered(mark) | v1::Op::Read(mark) => read(&mark.conv),
        v1::Op::History(history) => read(&history.conv),
        v1::Op::Members(members) => read(&members.conv),
        v1::Op::Sync(_) | v1::Op::Conversations(_) | v1::Op::Changes(_) => {
            Ok(Route { conv: None, write: None })
        }
        v1::Op::Hello(_) => Err((BAD, "hello was said already")),
        v1::Op::Ping(_) => Err((BAD, "ping goes no further than the edge")),
    }
}

fn send_conv(user: &str, send: &v1::Send<'_>) -> Result<Id, Fault> {
    match (send.conv.is_empty(), send.to.is_empty()) {
        (false, true) => parse_conv(&send.conv),
        (true, false) if !id::is_name(&send.to) => Err((BAD, "send.to is not a user's name")),
        (true, false) => Ok(id::direct_conv(user, &send.to)),
        (true, true) => Err((BAD, "send wants conv or to")),
        (false, false) => Err((BAD, "send wants conv or to, not both")),
    }
}

fn parse_conv(text: &str) -> Result<Id, Fault> {
    id::parse(text).ok_or((BAD, "conv is not a UUID"))
}

fn read(conv: &str) -> Result<Route, Fault> {
    Ok(Route { conv: Some(parse_conv(conv)?), write: None })
}

fn write(
    conv: Id,
    client_msg_id: &mut Cow<'_, str>,
    make_id: impl FnOnce() -> Id,
) -> Result<Route, Fault> {
    let (id, can_return) = settle_id(client_msg_id, make_id)?;
    Ok(Route { conv: Some(conv), write: Some(Write { conv, id, can_return }) })
}

fn settle_id(
    client_msg_id: &mut Cow<'_, str>,
    make_id: impl FnOnce() -> Id,
) -> Result<(Id, bool), Fault> {
    if client_msg_id.is_empty() {
        let id = make_id();
        *client_msg_id = Cow::Owned(id::text(&id));
        return Ok((id, false));
    }
    match id::parse(client_msg_id) {
        Some(id) if id::v7_time_ms(&id).is_some() => Ok((id, true)),
        _ => Err((BAD, "client_msg_id is not a UUIDv7")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Id = [1; 16];

    fn send(conv: &'static str, to: &'static str) -> v1::Op<'static> {
        v1::Op::Send(v1::Send { conv: conv.into(), to: to.into(), ..v1::Send::default() })
    }

    #[test]
    fn a_send_to_a_user_goes_to_the_direct_conversation_of_both() {
        let route = route("alice", &mut send("", "bob"), || MADE).unwrap();
        assert_eq!(route.conv, Some(id::direct_conv("bob", "alice")));
    }

    #[test]
    fn a_send_wants_exactly_one_address() {
        let conv = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(route("alice", &mut send("", ""), || MADE).is_err());
        assert!(route("alice", &mut send(conv, "bob"), || MADE).is_err());
        assert!(route("alice", &mut send(conv, ""), || MADE).is_ok());
        assert!(route("alice", &mut send("not-a-uuid", ""), || MADE).is_err());
        assert!(route("alice", &mut send("", "no spaces"), || MADE).is_err());
    }

    #[test]
    fn a_missing_id_is_made_and_written_into_the_frame() {
        let mut op = send("", "bob");
        let made = id::make_v7(1_000, [7; 10]);
        let write = route("alice", &mut op, || made).unwrap().write.unwrap();
        assert_eq!((write.id, write.can_return), (made, false));
        let v1::Op::Send(send) = op else { panic!("still a send") };
        assert_eq!(send.client_msg_id, id::text(&made));
    }

    #[test]
    fn an_id_that_is_not_a_uuid_v7_is_refused() {
        let v4 = "9b2e6f0a-3c1d-4e5f-8a7b-6c5d4e3f2a1b";
        for wrong in ["1", v4] {
            let mut op = v1::Op::Send(v1::Send {
                to: "bob".into(),
                client_msg_id: wrong.into(),
                ..v1::Send::default()
            });
            assert!(route("alice", &mut op, || MADE).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_group_gets_its_place_from_the_creator_and_the_message_id() {
        let mut op = v1::Op::CreateGroup(v1::CreateGroup::default());
        let made = id::make_v7(1_000, [7; 10]);
        let found = route("alice", &mut op, || made).unwrap();
        assert_eq!(found.conv, Some(id::group_conv("alice", &made)));
    }
}
