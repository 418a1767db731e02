//! What an operation of a client asks, and of whom. All that can be refused without knowing
//! anything of conversations is refused here.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use throng_store::{ConvId, Seq};
use throng_wire::{Protobuf, id, limits as wire, v1};

use crate::home::cursor::Cursor;
use crate::limits::{Limits, PAGE_BYTES_MAX, SYNC_BYTES_MAX};
use crate::owner::event::{self, role_of, user_id};
use crate::owner::{Named, Op, PageRequest, Refusal, Span, What, Write};

/// Whom an operation goes to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A conversation's owner.
    Owner(ConvId, Op),
    /// The owners of several conversations.
    Sync(Vec<(ConvId, Op)>),
    /// The user's home.
    Home(HomeOp),
    /// Nobody: the server's time.
    Ping,
}

/// What is asked of a user's home.
#[derive(Debug)]
pub(crate) enum HomeOp {
    /// A page of conversations.
    Conversations { after: Option<ConvId>, limit: usize },
    /// A page of changes.
    Changes { cursor: Option<Cursor>, limit: usize },
}

/// A user by name.
pub(crate) fn named(name: &str) -> Result<Named, Refusal> {
    if !id::is_name(name) {
        return Err(Refusal::BadFrame("a user is 1 to 64 bytes of A-Z a-z 0-9 . _ @ + -"));
    }
    Ok(Named { id: user_id(name), name: name.into() })
}

/// Decodes an operation of `user` on `device`.
pub(crate) fn decode(
    frame: &[u8],
    user: &str,
    device: &str,
    limits: &Limits,
) -> Result<Target, Refusal> {
    let frame = v1::ClientFrame::decode(frame)
        .map_err(|_| Refusal::BadFrame("the operation cannot be read"))?;
    match frame.op.ok_or(Refusal::BadFrame("the frame has no operation"))? {
        v1::Op::Send(send) => self::send(&send, user, device, limits),
        v1::Op::Delivered(mark) => Ok(Target::Owner(conv(&mark.conv)?, Op::Delivered(mark.seq))),
        v1::Op::Read(mark) => Ok(Target::Owner(conv(&mark.conv)?, Op::Read(mark.seq))),
        v1::Op::History(request) => history(&request),
        v1::Op::Sync(request) => sync(&request),
        v1::Op::Conversations(request) => {
            let after = optional_conv(&request.after)?;
            Ok(Target::Home(HomeOp::Conversations { after, limit: items(request.limit) }))
        }
        v1::Op::Changes(request) => {
            let cursor = Cursor::decode(&request.cursor);
            Ok(Target::Home(HomeOp::Changes { cursor, limit: items(request.limit) }))
        }
        v1::Op::CreateGroup(request) => create_group(&request, user),
        v1::Op::AddMembers(request) => change_members("add", &request, What::Add),
        v1::Op::RemoveMembers(request) => change_members("remove", &request, What::Remove),
        v1::Op::SetRole(request) => set_role(&request),
        v1::Op::Rename(request) => {
            let digest = digest("rename", [&*request.name]);
            let what = What::Rename(group_name(&request.name)?.into());
            write(conv(&request.conv)?, &request.client_msg_id, digest, what)
        }
        v1::Op::Leave(request) => {
            let digest = digest("leave", [""]);
            write(conv(&request.conv)?, &request.client_msg_id, digest, What::Leave)
        }
        v1::Op::Members(request) => members(&request),
        v1::Op::Ping(_) => Ok(Target::Ping),
        v1::Op::Hello(_) => Err(Refusal::BadFrame("hello was said already")),
    }
}

fn conv(text: &str) -> Result<ConvId, Refusal> {
    id::parse(text).map(ConvId).ok_or(Refusal::BadFrame("conv is not a UUID"))
}

fn optional_conv(text: &str) -> Result<Option<ConvId>, Refusal> {
    if text.is_empty() { Ok(None) } else { conv(text).map(Some) }
}

fn page_size(asked: u32, default: u32, most: u32) -> usize {
    (if asked == 0 { default } else { asked.min(most) }) as usize
}

fn items(asked: u32) -> usize {
    page_size(asked, wire::PAGE_ITEMS_DEFAULT, wire::PAGE_ITEMS_MAX)
}

fn events(asked: u32) -> usize {
    page_size(asked, wire::PAGE_EVENTS_DEFAULT, wire::PAGE_EVENTS_MAX)
}

fn write(
    conv: ConvId,
    client_msg_id: &str,
    digest: [u8; 8],
    what: What,
) -> Result<Target, Refusal> {
    let write = Write { client_msg_id: message_id(client_msg_id)?, digest, what };
    Ok(Target::Owner(conv, Op::Write(write)))
}

fn message_id(text: &str) -> Result<id::Id, Refusal> {
    id::parse(text)
        .filter(|id| id::v7_time_ms(id).is_some())
        .ok_or(Refusal::BadFrame("client_msg_id is not a UUIDv7"))
}

/// Over decoded fields, so that a retry in the other encoding is the same.
fn digest<'f>(what: &'f str, fields: impl IntoIterator<Item = &'f str>) -> [u8; 8] {
    digest_bytes(what, fields.into_iter().map(str::as_bytes))
}

fn digest_bytes<'f>(what: &'f str, fields: impl IntoIterator<Item = &'f [u8]>) -> [u8; 8] {
    let mut hash = Sha256::new();
    for field in std::iter::once(what.as_bytes()).chain(fields) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    let mut digest = [0; 8];
    digest.copy_from_slice(&hash.finalize()[..8]);
    digest
}

fn send(send: &v1::Send<'_>, user: &str, device: &str, limits: &Limits) -> Result<Target, Refusal> {
    let (conv, to) = match (&*send.conv, &*send.to) {
        (text, "") => (conv(text)?, None),
        ("", name) => {
            let to = named(name)?;
            (ConvId(id::direct_conv(user, name)), Some(to))
        }
        _ => return Err(Refusal::BadFrame("give conv or to, not both")),
    };
    let kind = if send.kind.is_empty() { "text" } else { &send.kind };
    if kind.len() > wire::KIND_BYTES_MAX {
        return Err(Refusal::TooLarge("kind is longer than 32 bytes"));
    }
    let (tag, content) = match &send.content {
        Some(v1::Content::Text(text)) => ("text", text.as_bytes()),
        Some(v1::Content::Data(data)) => ("data", &**data),
        None => return Err(Refusal::BadFrame("a message has text or data")),
    };
    if content.len() > limits.text_bytes_max {
        return Err(Refusal::TooLarge("the message is longer than limits.text_bytes_max"));
    }
    let client_msg_id = message_id(&send.client_msg_id)?;
    let reply_to = send.reply_to.to_be_bytes();
    let digest = digest_bytes("send", [tag.as_bytes(), content, kind.as_bytes(), &reply_to]);
    let body = message_body(send, kind, user, device, &client_msg_id);
    let what = What::Message { body, reply_to: send.reply_to, to };
    Ok(Target::Owner(conv, Op::Write(Write { client_msg_id, digest, what })))
}

fn message_body(
    send: &v1::Send<'_>,
    kind: &str,
    user: &str,
    device: &str,
    client_msg_id: &id::Id,
) -> Bytes {
    let content = send.content.as_ref().map(|content| match content {
        v1::Content::Text(text) => v1::Content::Text(Cow::Borrowed(&**text)),
        v1::Content::Data(data) => v1::Content::Data(Cow::Borrowed(&**data)),
    });
    let message = v1::Message { kind: kind.into(), content, reply_to: send.reply_to };
    event::body(user, device, client_msg_id, v1::What::Message(message))
}

fn history(request: &v1::HistoryRequest<'_>) -> Result<Target, Refusal> {
    let span = match (request.before, request.after) {
        (0, 0) => Span::Before(Seq::MAX),
        (before, 0) => Span::Before(before),
        (0, after) => Span::After(after),
        _ => return Err(Refusal::BadFrame("give before or after, not both")),
    };
    let limit = events(request.limit);
    let page = PageRequest { span, limit, bytes_max: PAGE_BYTES_MAX, bare: false };
    Ok(Target::Owner(conv(&request.conv)?, Op::History(page)))
}

fn sync(request: &v1::SyncRequest<'_>) -> Result<Target, Refusal> {
    if request.convs.len() > wire::SYNC_CONVS_MAX {
        return Err(Refusal::TooLarge("more than 100 conversations in one sync"));
    }
    let bytes_max = (SYNC_BYTES_MAX / request.convs.len().max(1)).min(PAGE_BYTES_MAX);
    let limit = events(request.limit);
    let part = |position: &v1::Position<'_>| {
        let span = Span::After(position.after);
        let page = PageRequest { span, limit, bytes_max, bare: true };
        Ok((conv(&position.conv)?, Op::History(page)))
    };
    request.convs.iter().map(part).collect::<Result<_, _>>().map(Target::Sync)
}

fn group_name(name: &str) -> Result<&str, Refusal> {
    match name.len() {
        0 => Err(Refusal::BadFrame("a group has a name")),
        1..=wire::GROUP_NAME_BYTES_MAX => Ok(name),
        _ => Err(Refusal::TooLarge("the group's name is longer than 128 bytes")),
    }
}

fn users(names: &[Cow<'_, str>]) -> Result<Vec<Named>, Refusal> {
    if names.len() > wire::MEMBERS_PER_REQUEST_MAX {
        return Err(Refusal::TooLarge("more than 500 users in one request"));
    }
    names.iter().map(|name| named(name)).collect()
}

fn create_group(request: &v1::CreateGroup<'_>, user: &str) -> Result<Target, Refusal> {
    let history_all = match &*request.history {
        "" | "joined" => false,
        "all" => true,
        _ => return Err(Refusal::BadFrame("history is \"joined\" or \"all\"")),
    };
    let client_msg_id = message_id(&request.client_msg_id)?;
    let settings = [&*request.name, if history_all { "all" } else { "joined" }];
    let fields = settings.into_iter().chain(request.members.iter().map(|name| &**name));
    let digest = digest("create", fields);
    let what = What::Create {
        name: group_name(&request.name)?.into(),
        members: users(&request.members)?,
        history_all,
    };
    let conv = ConvId(id::group_conv(user, &client_msg_id));
    Ok(Target::Owner(conv, Op::Write(Write { client_msg_id, digest, what })))
}

fn change_members(
    tag: &str,
    request: &v1::ChangeMembers<'_>,
    what: impl FnOnce(Vec<Named>) -> What,
) -> Result<Target, Refusal> {
    if request.members.is_empty() {
        return Err(Refusal::BadFrame("members names nobody"));
    }
    let digest = digest(tag, request.members.iter().map(|name| &**name));
    let what = what(users(&request.members)?);
    write(conv(&request.conv)?, &request.client_msg_id, digest, what)
}

fn set_role(request: &v1::SetRole<'_>) -> Result<Target, Refusal> {
    let role = role_of(&request.role)
        .ok_or(Refusal::BadFrame("role is \"owner\", \"admin\" or \"member\""))?;
    let digest = digest("set_role", [&*request.user, &*request.role]);
    let what = What::SetRole(named(&request.user)?, role);
    write(conv(&request.conv)?, &request.client_msg_id, digest, what)
}

fn members(request: &v1::MembersRequest<'_>) -> Result<Target, Refusal> {
    let after = match &*request.after {
        "" => None,
        name => Some(named(name)?.id),
    };
    let op = Op::Members { after, limit: items(request.limit) };
    Ok(Target::Owner(conv(&request.conv)?, op))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const CONV: &str = "11111111-1111-4111-8111-111111111111";

    fn decoded(op: v1::Op<'_>) -> Result<Target, Refusal> {
        let frame = v1::ClientFrame { id: None, op: Some(op) }.encode_to_vec();
        decode(&frame, "alice", "phone", &Limits::default())
    }

    fn code(op: v1::Op<'_>) -> Option<&'static str> {
        decoded(op).err().map(|refusal| refusal.code().text())
    }

    fn message(text: &str) -> v1::Send<'_> {
        v1::Send {
            conv: CONV.into(),
            client_msg_id: ID.into(),
            content: Some(v1::Content::Text(text.into())),
            ..v1::Send::default()
        }
    }

    fn digest_of(send: v1::Send<'_>) -> [u8; 8] {
        match decoded(v1::Op::Send(send)) {
            Ok(Target::Owner(_, Op::Write(write))) => write.digest,
            other => panic!("not a write: {other:?}"),
        }
    }

    fn names(count: usize) -> Vec<Cow<'static, str>> {
        (0..count).map(|user| Cow::Owned(format!("user{user}"))).collect()
    }

    #[test]
    fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
        let text = "x".repeat(wire::BODY_BYTES_MAX + 1);
        assert_eq!(code(v1::Op::Send(message(&text[1..]))), None);
        assert_eq!(code(v1::Op::Send(message(&text))), Some("too_large"));
        let kind = "k".repeat(wire::KIND_BYTES_MAX + 1);
        let of_kind = |kind: &str| v1::Send { kind: kind.to_owned().into(), ..message("hi") };
        assert_eq!(code(v1::Op::Send(of_kind(&kind[1..]))), None);
        assert_eq!(code(v1::Op::Send(of_kind(&kind))), Some("too_large"));
    }

    #[test]
    fn a_group_of_the_limits_passes_and_one_more_does_not() {
        let group = |name: usize, members: usize| {
            v1::Op::CreateGroup(v1::CreateGroup {
                name: "n".repeat(name).into(),
                members: names(members),
                client_msg_id: ID.into(),
                history: "".into(),
            })
        };
        let (name, members) = (wire::GROUP_NAME_BYTES_MAX, wire::MEMBERS_PER_REQUEST_MAX);
        assert_eq!(code(group(name, members)), None);
        assert_eq!(code(group(name + 1, members)), Some("too_large"));
        assert_eq!(code(group(name, members + 1)), Some("too_large"));
        assert_eq!(code(group(0, 1)), Some("bad_frame"));
    }

    #[test]
    fn a_sync_of_the_limit_passes_and_one_more_does_not() {
        let sync = |count| {
            let position = v1::Position { conv: CONV.into(), after: 0 };
            v1::Op::Sync(v1::SyncRequest { convs: vec![position; count], limit: 1 })
        };
        assert_eq!(code(sync(wire::SYNC_CONVS_MAX)), None);
        assert_eq!(code(sync(wire::SYNC_CONVS_MAX + 1)), Some("too_large"));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let send = |change: fn(&mut v1::Send<'_>)| {
            let mut send = message("hi");
            change(&mut send);
            code(v1::Op::Send(send))
        };
        assert_eq!(send(|_| {}), None);
        assert_eq!(send(|send| send.to = "bob".into()), Some("bad_frame"));
        assert_eq!(send(|send| send.conv = "x".into()), Some("bad_frame"));
        assert_eq!(send(|send| send.content = None), Some("bad_frame"));
        assert_eq!(send(|send| send.client_msg_id = CONV.into()), Some("bad_frame"));
        let both = v1::HistoryRequest { conv: CONV.into(), before: 5, after: 1, limit: 1 };
        assert_eq!(code(v1::Op::History(both)), Some("bad_frame"));
        let role = v1::SetRole { conv: CONV.into(), role: "king".into(), ..v1::SetRole::default() };
        assert_eq!(code(v1::Op::SetRole(role)), Some("bad_frame"));
        let hello = v1::Hello::default();
        assert_eq!(code(v1::Op::Hello(hello)), Some("bad_frame"));
        assert_eq!(
            decode(&[0xff; 3], "alice", "phone", &Limits::default()).err(),
            Some(Refusal::BadFrame("the operation cannot be read"))
        );
    }

    #[test]
    fn the_digest_tells_contents_apart_and_not_how_the_conversation_is_named() {
        let first = digest_of(message("hi"));
        let to = v1::Send { conv: "".into(), to: "bob".into(), ..message("hi") };
        let kind = v1::Send { kind: "text".into(), ..message("hi") };
        assert_eq!([digest_of(to), digest_of(kind)], [first; 2]);
        let data = v1::Content::Data(Cow::Borrowed(b"hi"));
        for other in [
            message("ho"),
            v1::Send { reply_to: 1, ..message("hi") },
            v1::Send { kind: "sticker".into(), ..message("hi") },
            v1::Send { content: Some(data), ..message("hi") },
        ] {
            assert_ne!(digest_of(other), first);
        }
    }

    #[test]
    fn a_page_is_as_large_as_asked_within_the_limit() {
        let limit = |asked| match decoded(v1::Op::History(v1::HistoryRequest {
            conv: CONV.into(),
            limit: asked,
            ..v1::HistoryRequest::default()
        })) {
            Ok(Target::Owner(_, Op::History(page))) => page.limit as u32,
            other => panic!("not a page: {other:?}"),
        };
        let (default, most) = (wire::PAGE_EVENTS_DEFAULT, wire::PAGE_EVENTS_MAX);
        assert_eq!([0, 1, most, most + 1].map(limit), [default, 1, most, most]);
    }
}
