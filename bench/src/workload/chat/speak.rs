//! What a client sends: `hello`, and whatever its [`Talk`] holds, within the number of requests
//! that may wait for answers. Messages go first, watermarks last.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use throng_wire::{id, v1};

use super::client::{Client, Mark, Pending, Phase, Talk};
use super::frames::frame;
use super::outbox::Purpose;
use super::text::{Stamp, message_id};
use super::timers::Kind;
use super::{Chat, MadeGroup, RECEIPTS_EVERY, RECEIPTS_PER_FLUSH, REQUESTS_MAX, limits};
use crate::generator::{ClientId, Counter, Turn};

/// `send.kind` of what shards tell each other.
pub(super) const CONTROL_KIND: &str = "throng-bench";

impl Chat {
    /// The WebSocket is open.
    pub(super) fn say_hello(&mut self, turn: &mut dyn Turn, client: ClientId) {
        let place = self.place(client);
        let (user, device) = (self.cast.name(self.cast.user(client)), self.cast.device(client));
        let cursor = self.clients[place].cursor.as_deref().unwrap_or_default();
        let hello = v1::Hello {
            user: user.into(),
            device: device.into(),
            cursor: cursor.into(),
            agent: "throng-bench".into(),
            ..v1::Hello::default()
        };
        self.plan.encoding.encode(&frame(Some(1), v1::Op::Hello(hello)), &mut self.frame);
        self.clients[place].request = 1;
        turn.send(client, self.plan.encoding.opcode(), &self.frame);
    }

    /// Sends what a client has to say, as far as it may.
    pub(super) fn pump(&mut self, turn: &mut dyn Turn, client: ClientId) {
        let place = self.place(client);
        if self.clients[place].phase != Phase::Here {
            return;
        }
        let Some(mut talk) = self.clients[place].talk.take() else { return };
        while talk.pending.len() < REQUESTS_MAX {
            let request = self.clients[place].request + 1;
            let is_sent = self.create(turn, client, &mut talk, request)
                || self.send_one(turn, client, &mut talk, request)
                || self.ask(turn, client, &mut talk, request)
                || self.mark(turn, client, &mut talk, request);
            if !is_sent {
                break;
            }
            self.clients[place].next_request();
        }
        self.clients[place].talk = Some(talk);
    }

    fn request(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        (request, op, pending): (u32, v1::Op<'_>, Pending),
    ) {
        self.plan.encoding.encode(&frame(Some(request), op), &mut self.frame);
        turn.send(client, self.plan.encoding.opcode(), &self.frame);
        talk.pending.push((request, pending));
    }

    fn create(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        request: u32,
    ) -> bool {
        let Some(time_ms) = self.server_time_ms(turn.now()) else { return false };
        let number = if talk.holds_creations { None } else { talk.to_create.pop_front() };
        let Some(number) = number else { return false };
        let group = self.cast.group(number);
        let tag = self.cast.tag();
        let client_msg_id = message_id(time_ms, tag, client.0, &[0; 16], number.into());
        let fresh = MadeGroup { client_msg_id, conv: None };
        let made = self.groups.entry(number).or_insert(fresh);
        let names = group.members().skip(1).map(|user| Cow::Owned(self.cast.name(user)));
        let op = v1::Op::CreateGroup(v1::CreateGroup {
            name: format!("g-{number}").into(),
            members: names.collect(),
            client_msg_id: id::text(&made.client_msg_id).into(),
            ..v1::CreateGroup::default()
        });
        self.request(turn, client, talk, (request, op, Pending::Create(number)));
        true
    }

    fn send_one(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        request: u32,
    ) -> bool {
        while let Some(place) = talk.speaking.pop_front() {
            if self.send_from(turn, client, (talk, place), request) {
                talk.speaking.push_back(place);
                return true;
            }
            let conversation = talk.at(place);
            conversation.is_speaking = false;
            let again_at = conversation.outbox().again_at();
            if let Some(at) = again_at {
                self.timers.set(at, client, Kind::Speak);
            }
        }
        false
    }

    /// The next message of one conversation, if it may be sent.
    fn send_from(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (talk, place): (&mut Talk, u32),
        request: u32,
    ) -> bool {
        let now = turn.now();
        let Some(time_ms) = self.server_time_ms(now) else { return false };
        let (tag, now_ns) = (self.cast.tag(), nanoseconds(now, turn.start()));
        let conversation = talk.at(place);
        let (conv, to) = (conversation.id, conversation.peer.filter(|_| !conversation.exists));
        let Some(message) = conversation.outbox().next(now, request) else { return false };
        let is_first = message.handed_ns == 0;
        if is_first {
            message.handed_ns = now_ns.max(1);
            let counter = match message.purpose {
                Purpose::Load => message.counter,
                Purpose::Ready | Purpose::Go(_) => u64::MAX - message.counter,
            };
            message.id = message_id(time_ms, tag, client.0, &conv, counter);
        }
        let message = *message;
        let mut text = std::mem::take(&mut self.text);
        match message.purpose {
            Purpose::Load => self.stamp(client, &message).write(self.plan.text_bytes, &mut text),
            Purpose::Ready => text = format!("ready {}", self.info.shard),
            Purpose::Go(at_ns) => text = format!("go {at_ns}"),
        }
        let kind = if message.purpose == Purpose::Load { "" } else { CONTROL_KIND };
        let mut send = v1::Send {
            client_msg_id: id::text(&message.id).into(),
            kind: kind.into(),
            content: Some(v1::Content::Text(text.as_str().into())),
            ..v1::Send::default()
        };
        match to {
            Some(peer) => send.to = self.cast.name(peer).into(),
            None => send.conv = id::text(&conv).into(),
        }
        self.request(turn, client, talk, (request, v1::Op::Send(send), Pending::Send(place)));
        self.text = text;
        if is_first {
            self.await_members(client, &conv, &message);
        } else {
            turn.count(Counter::Retried, 1);
        }
        true
    }

    pub(super) fn stamp(&self, client: ClientId, message: &super::outbox::Message) -> Stamp {
        Stamp {
            tag: self.cast.tag(),
            client: client.0,
            counter: message.counter,
            intended_ns: message.intended_ns,
            handed_ns: message.handed_ns,
        }
    }

    /// Pages of conversations that are behind, then lists.
    fn ask(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        request: u32,
    ) -> bool {
        if talk.is_asking {
            return false;
        }
        if !talk.unsynced.is_empty() {
            let from = talk.unsynced.len().saturating_sub(limits::SYNC_CONVS_MAX);
            let places = talk.unsynced.split_off(from);
            let after = |place| (place, talk.conversations[place as usize].log.cursor());
            let asked: Vec<(u32, u64)> = places.into_iter().map(after).collect();
            let position = |&(place, after): &(u32, u64)| v1::Position {
                conv: id::text(&talk.conversations[place as usize].id).into(),
                after,
            };
            let convs = asked.iter().map(position).collect();
            let op = v1::Op::Sync(v1::SyncRequest { convs, limit: limits::PAGE_EVENTS_MAX });
            self.request(turn, client, talk, (request, op, Pending::Sync(asked)));
        } else if let Some(after) = talk.list_after.take() {
            let op = v1::ConversationsRequest { after: after.into(), limit: 0 };
            let op = v1::Op::Conversations(op);
            self.request(turn, client, talk, (request, op, Pending::Conversations));
        } else if std::mem::take(&mut talk.more_changes) {
            let place = self.place(client);
            let cursor = self.clients[place].cursor.clone().unwrap_or_default();
            let cursor = Cow::Owned(String::from(cursor));
            let op = v1::Op::Changes(v1::ChangesRequest { cursor, limit: 0 });
            self.request(turn, client, talk, (request, op, Pending::Changes));
        } else {
            return false;
        }
        talk.is_asking = true;
        true
    }

    fn mark(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        request: u32,
    ) -> bool {
        let Some(mark) = talk.marks.pop_front() else { return false };
        let conv = id::text(&talk.at(mark.conversation).id).into();
        let said = v1::Mark { conv, seq: mark.seq };
        let op = if mark.is_read { v1::Op::Read(said) } else { v1::Op::Delivered(said) };
        self.request(turn, client, talk, (request, op, Pending::Mark));
        true
    }

    /// A conversation's watermarks have moved: they are said together with others, later.
    pub(super) fn mark_later(
        &mut self,
        now: Instant,
        client: ClientId,
        talk: &mut Talk,
        place: u32,
    ) {
        if !std::mem::replace(&mut talk.at(place).is_unmarked, true) {
            talk.unmarked.push_back(place);
        }
        if !std::mem::replace(&mut talk.marks_timed, true) {
            self.timers.set(now + RECEIPTS_EVERY, client, Kind::Marks);
        }
    }

    /// The time for watermarks has come: a few conversations, the others at the next time.
    pub(super) fn flush_marks(&mut self, turn: &mut dyn Turn, client: ClientId) {
        let place = self.place(client);
        let Some(talk) = &mut self.clients[place].talk else { return };
        for _ in 0..RECEIPTS_PER_FLUSH.min(talk.unmarked.len()) {
            let Some(conversation) = talk.unmarked.pop_front() else { break };
            let state = talk.at(conversation);
            let seq = state.log.cursor();
            (state.is_unmarked, state.marked) = (false, seq);
            let marks = [false, true].map(|is_read| Mark { conversation, is_read, seq });
            talk.marks.extend(marks);
        }
        talk.marks_timed = !talk.unmarked.is_empty();
        if talk.marks_timed {
            self.timers.set(turn.now() + RECEIPTS_EVERY, client, Kind::Marks);
        }
        self.pump(turn, client);
    }

    /// The server's clock, from the newest welcome; `None` before the first.
    pub(super) fn server_time_ms(&self, now: Instant) -> Option<u64> {
        let (at, time_ms) = self.clock?;
        let since = now.saturating_duration_since(at).as_millis();
        Some(time_ms + u64::try_from(since).unwrap_or(u64::MAX - time_ms))
    }

    pub(super) fn client_mut(&mut self, client: ClientId) -> &mut Client {
        let place = self.place(client);
        &mut self.clients[place]
    }
}

pub(super) fn nanoseconds(at: Instant, start: Instant) -> u64 {
    crate::generator::sample::nanoseconds(at.saturating_duration_since(start))
}

pub(super) fn since(ns: u64, start: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(start + Duration::from_nanos(ns))
}
