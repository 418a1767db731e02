//! Events from rows of the log, without decoding them.
//!
//! The log keeps an event's encoding without conv, seq and time_ms: those are the row's key and
//! column. As Protobuf messages concatenate, writing the three fields before a row's body makes the
//! whole [`v1::Event`]; writing a tag and the length before that puts it into a frame or a page.

use crate::id::{Id, TEXT_BYTES, write_text};
use crate::protobuf::{length, write};
use crate::{Protobuf as _, v1};

/// A row of the log.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The conversation.
    pub conv: &'a Id,
    /// Its position there.
    pub seq: u64,
    /// When it was accepted, Unix milliseconds.
    pub time_ms: u64,
    /// Encoded [`v1::Event`] without these three.
    pub body: &'a [u8],
}

impl Row<'_> {
    /// Length of the whole event, bytes.
    #[must_use]
    pub fn event_len(&self) -> usize {
        length::delimited(v1::Event::CONV, TEXT_BYTES)
            + length::uint64(v1::Event::SEQ, self.seq)
            + length::uint64(v1::Event::TIME_MS, self.time_ms)
            + self.body.len()
    }

    /// Appends the encoded [`v1::Event`].
    pub fn write_event(&self, out: &mut Vec<u8>) {
        let mut text = [0; TEXT_BYTES];
        write::string(v1::Event::CONV, write_text(self.conv, &mut text), out);
        write::uint64(v1::Event::SEQ, self.seq, out);
        write::uint64(v1::Event::TIME_MS, self.time_ms, out);
        out.extend_from_slice(self.body);
    }

    /// Appends an encoded [`v1::ServerFrame`] that pushes the event.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        self.write_field(v1::ServerFrame::EVENT, out);
    }

    /// Appends the event as one of a [`v1::Page`]'s: to be collected and given to [`write_history`]
    /// or [`write_sync_page`].
    pub fn write_page_event(&self, out: &mut Vec<u8>) {
        self.write_field(v1::Page::EVENTS, out);
    }

    /// Appends the event as a [`v1::Conversation`]'s last.
    pub fn write_last_event(&self, out: &mut Vec<u8>) {
        self.write_field(v1::Conversation::LAST_EVENT, out);
    }

    fn write_field(&self, number: u32, out: &mut Vec<u8>) {
        write::delimiter(number, self.event_len(), out);
        self.write_event(out);
    }
}

/// Appends an encoded [`v1::ServerFrame`] that answers `history`: the page's own fields, and its
/// events as [`Row::write_page_event`] wrote them one after the other.
pub fn write_history(page: &v1::Page<'_>, events: &[u8], out: &mut Vec<u8>) {
    write_page(v1::ServerFrame::HISTORY, page, events, out);
}

/// Appends one page of a [`v1::SyncPage`]; all of them together are given to [`write_sync`].
pub fn write_sync_page(page: &v1::Page<'_>, events: &[u8], out: &mut Vec<u8>) {
    write_page(v1::SyncPage::CONVS, page, events, out);
}

/// Appends an encoded [`v1::ServerFrame`] that answers `sync`.
pub fn write_sync(pages: &[u8], out: &mut Vec<u8>) {
    write::bytes(v1::ServerFrame::SYNC, pages, out);
}

fn write_page(number: u32, page: &v1::Page<'_>, events: &[u8], out: &mut Vec<u8>) {
    write::delimiter(number, page.encoded_len() + events.len(), out);
    page.encode(out);
    out.extend_from_slice(events);
}

/// Appends one item of a [`v1::ConversationsPage`] with its last event; all of them together, and
/// the encoded `next`, are the content of the answer to `conversations`.
pub fn write_conversation(item: &v1::Conversation<'_>, last: Option<&Row<'_>>, out: &mut Vec<u8>) {
    let number = v1::Conversation::LAST_EVENT;
    let last_len = last.map_or(0, |row| length::delimited(number, row.event_len()));
    write::delimiter(v1::ConversationsPage::ITEMS, item.encoded_len() + last_len, out);
    item.encode(out);
    if let Some(row) = last {
        row.write_last_event(out);
    }
}

/// Appends an encoded [`v1::ServerFrame`] that answers `conversations`: items as
/// [`write_conversation`] wrote them, and where the next page begins (empty: nowhere).
pub fn write_conversations(items: &[u8], next: &str, out: &mut Vec<u8>) {
    let page = v1::ConversationsPage { items: Vec::new(), next: next.into() };
    let length = items.len() + page.encoded_len();
    write::delimiter(v1::ServerFrame::CONVERSATIONS, length, out);
    out.extend_from_slice(items);
    page.encode(out);
}
