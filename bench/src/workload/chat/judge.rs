//! What is made of an event: its content is checked, what can be taken is counted, and what is
//! missing is asked for.

use throng_wire::id::{self, Id};
use throng_wire::v1;

use super::Chat;
use super::client::Talk;
use super::log::{Entry, Faults, Said};
use super::speak::{CONTROL_KIND, since};
use super::text::{Stamp, is_id_of};
use crate::generator::{ClientId, Counter, Metric, Turn};

impl Chat {
    /// Reads an event and checks its content.
    pub(super) fn judge(&mut self, conv: &Id, event: &v1::Event<'_>) -> Result<Entry, String> {
        let mut said = Said::Other;
        if let Some(v1::What::Message(message)) = &event.what {
            let Some(v1::Content::Text(text)) = &message.content else {
                return Err(format!("{} {}: a message without text", event.conv, event.seq));
            };
            if message.kind == CONTROL_KIND {
                self.hear_control(text);
            } else {
                let stamp = Stamp::read(text).filter(|stamp| self.is_genuine(conv, stamp, event));
                let stamp = stamp.ok_or_else(|| wrong_content(event, text))?;
                said = Said::Message(stamp);
            }
        } else if let Some(v1::What::Created(created)) = &event.what {
            self.created += u64::from(created.kind == "group");
        }
        Ok(Entry { seq: event.seq, time_ms: event.time_ms, said })
    }

    fn is_genuine(&self, conv: &Id, stamp: &Stamp, event: &v1::Event<'_>) -> bool {
        let client = ClientId(stamp.client);
        stamp.tag == self.cast.tag()
            && self.cast.named(&event.sender) == Some(self.cast.user(client))
            && event.device == self.cast.device(client).as_str()
            && id::parse(&event.client_msg_id)
                .is_some_and(|id| is_id_of(&id, stamp.tag, stamp.client, conv, stamp.counter))
    }

    /// Counts what could be taken, and asks for what is missing.
    pub(super) fn took(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (talk, place): (&mut Talk, u32),
        faults: Faults,
    ) {
        if !faults.is_empty() {
            turn.count(Counter::Doubled, faults.doubled);
            turn.count(Counter::Reordered, faults.reordered);
            let conv = id::text(&talk.at(place).id);
            self.findings.note(format!("{conv}: {faults:?}, seen by client {}", client.0));
        }
        let (now, start) = (turn.now(), turn.start());
        let mut has_news = false;
        let mut taken = std::mem::take(&mut self.taken);
        for entry in taken.drain(..) {
            let Said::Message(stamp) = entry.said else { continue };
            self.news_at = now;
            if stamp.client == client.0 {
                continue;
            }
            has_news = true;
            turn.count(Counter::Delivered, 1);
            turn.record(Metric::Deliver, since(stamp.intended_ns, start, now));
            turn.record(Metric::DeliverSent, since(stamp.handed_ns, start, now));
            if self.reached_last(&talk.at(place).id, &stamp) {
                turn.record(Metric::LastMember, since(stamp.intended_ns, start, now));
            }
        }
        self.taken = taken;
        let conversation = talk.at(place);
        // Answers that are under way fill holes, too.
        if conversation.log.missing() > 0 && !conversation.awaits_answers() {
            talk.ask(place);
        }
        if has_news && self.plan.receipts {
            self.mark_later(now, client, talk, place);
        }
    }
}

fn wrong_content(event: &v1::Event<'_>, text: &str) -> String {
    let shown: String = text.chars().take(120).collect();
    let (conv, seq, sender) = (&event.conv, event.seq, &event.sender);
    let (device, id) = (&event.device, &event.client_msg_id);
    format!("{conv} {seq}: wrong content from {sender}/{device}, id {id}: {shown:?}")
}
