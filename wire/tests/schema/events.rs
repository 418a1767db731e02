//! Property: an event made from a row without decoding it is the event.

use throng_wire::event::{self, Row};
use throng_wire::{Protobuf, id, v1};

const CONV: id::Id = [0xa5; 16];

fn body(text: &str) -> Vec<u8> {
    let message =
        v1::Message { content: Some(v1::Content::Text(text.into())), ..Default::default() };
    let what = Some(v1::What::Message(message));
    v1::Event { sender: "alice".into(), what, ..Default::default() }.encode_to_vec()
}

fn row(seq: u64, body: &[u8]) -> Row<'_> {
    Row { conv: &CONV, seq, time_ms: 1_700_000_000_000 + seq, body }
}

fn whole(row: &Row<'_>) -> v1::Event<'static> {
    let event = v1::Event {
        conv: id::text(row.conv).into(),
        seq: row.seq,
        time_ms: row.time_ms,
        ..v1::Event::decode(row.body).unwrap()
    };
    event.into_owned()
}

#[test]
fn an_event_is_its_rows_key_and_body() {
    let body = body("hi");
    let row = row(300, &body);
    let mut out = Vec::new();
    row.write_event(&mut out);
    assert_eq!(out.len(), row.event_len());
    assert_eq!(out, whole(&row).encode_to_vec());
}

#[test]
fn a_pushed_event_is_a_frame() {
    let body = body(&"long ".repeat(100));
    let row = row(1, &body);
    let mut out = Vec::new();
    row.write_frame(&mut out);
    let frame = v1::ServerFrame { id: None, body: Some(v1::Body::Event(whole(&row))) };
    assert_eq!(out, frame.encode_to_vec());
}

#[test]
fn pages_are_made_of_rows() {
    let bodies = [body("one"), body(&"two ".repeat(50))];
    let rows: Vec<Row<'_>> = (1..).zip(&bodies).map(|(seq, body)| row(seq, body)).collect();
    let mut events = Vec::new();
    rows.iter().for_each(|row| row.write_page_event(&mut events));
    let page =
        v1::Page { conv: id::text(&CONV).into(), has_more: true, head: 9, ..Default::default() };
    let full = v1::Page { events: rows.iter().map(whole).collect(), ..page.clone() };

    let mut out = Vec::new();
    event::write_history(&page, &events, &mut out);
    let frame = v1::ServerFrame::decode(&out).unwrap();
    assert_eq!(frame.body, Some(v1::Body::History(full.clone())));

    let mut pages = Vec::new();
    event::write_sync_page(&page, &events, &mut pages);
    event::write_sync_page(&page, &[], &mut pages);
    let mut out = Vec::new();
    event::write_sync(&pages, &mut out);
    let frame = v1::ServerFrame::decode(&out).unwrap();
    assert_eq!(frame.body, Some(v1::Body::Sync(v1::SyncPage { convs: vec![full, page] })));
}

#[test]
fn conversations_are_listed_with_their_last_event() {
    let body = body("last");
    let row = row(5, &body);
    let item = v1::Conversation { conv: id::text(&CONV).into(), head: 5, ..Default::default() };
    let mut items = Vec::new();
    event::write_conversation(&item, Some(&row), &mut items);
    event::write_conversation(&item, None, &mut items);
    let mut out = Vec::new();
    event::write_conversations(&items, "next", &mut out);
    let with_event = v1::Conversation { last_event: Some(whole(&row)), ..item.clone() };
    let page = v1::ConversationsPage { items: vec![with_event, item], next: "next".into() };
    let frame = v1::ServerFrame::decode(&out).unwrap();
    assert_eq!(frame.body, Some(v1::Body::Conversations(page)));
}
