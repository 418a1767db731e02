//! What a client asks the log for: pages that fill holes, and lists that say what is behind.

use throng_wire::{id, v1};

use super::client::Talk;
use super::timers::Kind;
use super::{ASK_AGAIN, Chat};
use crate::generator::{ClientId, Counter, Turn};

impl Chat {
    pub(super) fn hear_pages(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        talk: &mut Talk,
        (asked, answer): (&[(u32, u64)], &v1::SyncPage<'_>),
    ) -> Result<(), String> {
        talk.is_asking = false;
        if answer.convs.len() != asked.len() {
            return Err(format!("{} pages for {} conversations", answer.convs.len(), asked.len()));
        }
        let mut again = false;
        for page in &answer.convs {
            let conv = id::parse(&page.conv).ok_or("a page without a conversation")?;
            let asked = asked.iter().find(|(place, _)| talk.at(*place).id == conv);
            let Some((place, after)) = asked.copied() else {
                return Err(format!("a page of {} that was not asked for", page.conv));
            };
            if page.head < after {
                return Err(format!("{} ends at {}, below {after}", page.conv, page.head));
            }
            let first = (after + 1).max(page.min_seq);
            for (next, event) in (first..).zip(&page.events) {
                if event.seq != next {
                    return Err(format!("{}: a page has {} at {next}", page.conv, event.seq));
                }
                let entry = self.judge(&conv, event)?;
                let faults = talk.at(place).log.paged(entry, &mut self.taken);
                self.took(turn, client, (talk, place), faults);
            }
            // Only now: a hole within the page is none.
            talk.at(place).is_unsynced = false;
            let log = &mut talk.at(place).log;
            let filled = log.page_ended(page.head, page.min_seq);
            let (is_behind, is_new) = (log.missing() > 0, log.cursor() > after);
            turn.count(Counter::HolesFilled, u64::from(filled));
            talk.at(place).exists |= page.head > 0;
            if page.has_more || is_behind {
                again |= !page.has_more && !is_new;
                talk.ask(place);
            }
        }
        if again {
            // The log does not have yet what it is said to have.
            talk.is_asking = true;
            self.timers.set(turn.now() + ASK_AGAIN, client, Kind::Ask);
        }
        Ok(())
    }

    pub(super) fn hear_changes(
        &mut self,
        client: ClientId,
        talk: &mut Talk,
        changes: &v1::Changes<'_>,
    ) {
        if !changes.cursor.is_empty() {
            self.client_mut(client).cursor = Some(changes.cursor.as_ref().into());
        }
        if changes.sync == "resync" {
            talk.list_after = Some(String::new());
            return;
        }
        for change in &changes.items {
            ask_if_behind(talk, &change.conv, change.head);
        }
        talk.more_changes |= changes.more;
    }
}

/// A list says that a conversation has events up to `head`.
pub(super) fn ask_if_behind(talk: &mut Talk, conv: &str, head: u64) {
    let Some(conv) = id::parse(conv) else { return };
    let place = talk.find_or_begin(&conv);
    let conversation = talk.at(place);
    conversation.log.heard_of(head);
    if conversation.log.missing() > 0 {
        talk.ask(place);
    }
}
