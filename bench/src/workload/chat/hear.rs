//! What a client hears: answers and pushed frames, each judged when it comes.

use std::time::Duration;

use throng_wire::{id, v1};

use super::catch_up::ask_if_behind;
use super::client::{Pending, Phase, Talk};
use super::frames::{Advice, advice};
use super::log::{Entry, Said};
use super::outbox::Purpose;
use super::speak::since;
use super::timers::Kind;
use super::{ASK_AGAIN, Chat};
use crate::generator::{Cause, ClientId, Counter, Metric, Turn};

impl Chat {
    /// A frame came.
    pub(super) fn hear(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        frame: v1::ServerFrame<'_>,
    ) -> Result<(), String> {
        let request = frame.id.and_then(|id| u32::try_from(id).ok());
        let place = self.place(client);
        let Some(body) = frame.body else { return Ok(()) };
        if self.clients[place].phase == Phase::Coming {
            return self.hear_greeting(turn, client, body);
        }
        let mut talk = self.clients[place].talk.take().unwrap_or_default();
        let heard = match (request, body) {
            (Some(request), body) => self.hear_answer(turn, client, (&mut talk, request), body),
            (None, v1::Body::Event(event)) => self.hear_event(turn, client, &mut talk, &event),
            (None, v1::Body::Changes(changes)) => {
                self.hear_changes(client, &mut talk, &changes);
                Ok(())
            }
            (None, v1::Body::Reconnect(reconnect)) => {
                let window = Duration::from_millis(reconnect.after_ms);
                let at = turn.now() + window.mul_f64(self.random.fraction());
                self.timers.set(at, client, Kind::Leave);
                Ok(())
            }
            (None, v1::Body::Error(error)) if advice(&error) == Advice::Final => {
                Err(format!("a frame was refused: {}: {}", error.code, error.message))
            }
            (None, _) => Ok(()),
        };
        self.clients[place].talk = Some(talk);
        self.pump(turn, client);
        heard
    }

    /// The answer to `hello`.
    fn hear_greeting(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        body: v1::Body<'_>,
    ) -> Result<(), String> {
        let place = self.place(client);
        let welcome = match body {
            v1::Body::Welcome(welcome) => welcome,
            v1::Body::Error(error) => {
                if advice(&error) == Advice::Final {
                    self.clients[place].phase = Phase::Gone;
                    self.findings.note(format!("hello was refused: {}", error.code));
                }
                turn.fail(client, Cause::HelloRefused, 0);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let user = self.cast.name(self.cast.user(client));
        if welcome.user != user.as_str() {
            return Err(format!("{user} was welcomed as {}", welcome.user));
        }
        self.clock = Some((turn.now(), welcome.time_ms));
        let known = &mut self.clients[place];
        (known.phase, known.attempts) = (Phase::Here, 0);
        let is_first = !std::mem::replace(&mut known.is_known, true);
        self.known += u32::from(is_first);
        turn.established(client);
        let mut talk = self.clients[place].talk.take();
        let changes = v1::Changes {
            items: welcome.changes,
            cursor: welcome.cursor,
            more: welcome.more,
            sync: if is_first { "resumed".into() } else { welcome.sync },
        };
        let has_news = !changes.items.is_empty() || changes.more || !is_first;
        if has_news || talk.is_some() {
            self.hear_changes(client, talk.get_or_insert_default(), &changes);
        } else {
            self.clients[place].cursor = Some(changes.cursor.into());
        }
        if let Some(talk) = &mut talk {
            talk.speak_all();
        }
        self.clients[place].talk = talk;
        self.pump(turn, client);
        Ok(())
    }

    fn hear_answer(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (talk, request): (&mut Talk, u32),
        body: v1::Body<'_>,
    ) -> Result<(), String> {
        let Some(pending) = talk.answered(request) else {
            return Err(format!("an answer to a request that was never made, or twice: {request}"));
        };
        match (pending, body) {
            (pending, v1::Body::Error(error)) => {
                self.hear_error(turn, client, (talk, request, pending), &error)
            }
            (Pending::Send(place), v1::Body::Ack(ack)) => {
                self.hear_ack(turn, client, (talk, place, request), &ack)
            }
            (Pending::Create(number), v1::Body::Ack(ack)) => {
                let conv = id::parse(&ack.conv).ok_or("an ack without a conversation")?;
                self.group_is_made(turn.now(), number, &conv);
                let place = talk.find_or_begin(&conv);
                let entry = Entry { seq: ack.seq, time_ms: ack.time_ms, said: Said::Other };
                talk.at(place).exists = true;
                talk.at(place).log.acknowledged(entry, &mut self.taken);
                self.taken.clear();
                Ok(())
            }
            (Pending::Sync(asked), v1::Body::Sync(page)) => {
                self.hear_pages(turn, client, talk, (&asked, &page))
            }
            (Pending::Mark, v1::Body::Ok(_)) => Ok(()),
            (Pending::Conversations, v1::Body::Conversations(list)) => {
                talk.is_asking = false;
                for item in &list.items {
                    ask_if_behind(talk, &item.conv, item.head);
                }
                talk.list_after = (!list.next.is_empty()).then(|| list.next.into_owned());
                Ok(())
            }
            (Pending::Changes, v1::Body::Changes(changes)) => {
                talk.is_asking = false;
                self.hear_changes(client, talk, &changes);
                Ok(())
            }
            (pending, _) => Err(format!("an answer of another kind than the question {pending:?}")),
        }
    }

    fn hear_ack(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (talk, place, request): (&mut Talk, u32, u32),
        ack: &v1::Ack<'_>,
    ) -> Result<(), String> {
        let conversation = talk.at(place);
        let conv = conversation.id;
        if id::parse(&ack.conv) != Some(conv) {
            return Err(format!("the ack of a message to {} is for {}", id::text(&conv), ack.conv));
        }
        let Some((message, is_ordered)) = conversation.outbox().acked(request, ack.seq) else {
            return Ok(());
        };
        conversation.exists = true;
        let (now, start) = (turn.now(), turn.start());
        let mut said = Said::Other;
        if message.purpose == Purpose::Load {
            said = Said::Message(self.stamp(client, &message));
            self.unsettled -= 1;
            turn.count(Counter::Acked, 1);
            let recipients = talk.at(place).members * self.cast.devices() - 1;
            turn.count(Counter::DeliveriesExpected, recipients.into());
            turn.count(Counter::Reordered, u64::from(!is_ordered));
            turn.record(Metric::Ack, since(message.intended_ns, start, now));
            turn.record(Metric::AckSent, since(message.handed_ns, start, now));
        }
        let entry = Entry { seq: ack.seq, time_ms: ack.time_ms, said };
        let faults = talk.at(place).log.acknowledged(entry, &mut self.taken);
        self.took(turn, client, (talk, place), faults);
        talk.speak(place);
        Ok(())
    }

    fn hear_error(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (talk, request, pending): (&mut Talk, u32, Pending),
        error: &v1::Error<'_>,
    ) -> Result<(), String> {
        let (now, advice) = (turn.now(), advice(error));
        let named = (error.retry_after_ms > 0).then(|| Duration::from_millis(error.retry_after_ms));
        turn.count(Counter::Refused, u64::from(advice != Advice::Final));
        match pending {
            Pending::Send(place) if advice == Advice::Final => {
                let given_up = talk.at(place).outbox().given_up(request);
                self.unsettled -= u64::from(given_up.is_some_and(|m| m.purpose == Purpose::Load));
                return Err(format!("a message was refused: {}: {}", error.code, error.message));
            }
            _ if advice == Advice::Final => {
                return Err(format!("a request was refused: {}: {}", error.code, error.message));
            }
            Pending::Send(place) => {
                let outbox = talk.at(place).outbox();
                match advice {
                    Advice::Behind => outbox.held_up(request, now),
                    _ => outbox.refused(request, now, named),
                }
                talk.speak(place);
            }
            Pending::Create(group) => {
                talk.to_create.push_back(group);
                talk.holds_creations = true;
                self.timers.set(now + named.unwrap_or(ASK_AGAIN), client, Kind::Speak);
            }
            Pending::Sync(asked) => {
                talk.unsynced.extend(asked.iter().map(|(place, _)| place));
                self.timers.set(now + named.unwrap_or(ASK_AGAIN), client, Kind::Ask);
            }
            Pending::Conversations => {
                talk.list_after = Some(String::new());
                self.timers.set(now + named.unwrap_or(ASK_AGAIN), client, Kind::Ask);
            }
            Pending::Changes => {
                talk.more_changes = true;
                self.timers.set(now + named.unwrap_or(ASK_AGAIN), client, Kind::Ask);
            }
            // The next one is higher.
            Pending::Mark => {}
        }
        Ok(())
    }

    fn hear_event(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        event: &v1::Event<'_>,
    ) -> Result<(), String> {
        let conv = id::parse(&event.conv).ok_or("an event without a conversation")?;
        let entry = self.judge(&conv, event)?;
        let place = talk.find_or_begin(&conv);
        talk.at(place).exists = true;
        let faults = talk.at(place).log.pushed(entry, &mut self.taken);
        self.took(turn, client, (talk, place), faults);
        Ok(())
    }
}
