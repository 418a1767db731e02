//! The answer to a `sync`: pages of several conversations, asked of their owners at once.

use bytes::Bytes;
use throng_store::ConvId;
use throng_wire::{Protobuf, event, id, v1};

use crate::limits::SYNC_BYTES_MAX;
use crate::owner::Refusal;

/// A `sync` under way.
#[derive(Debug)]
pub(crate) struct Merge {
    /// Conversations in the order asked, and their pages: each one item of a `SyncPage`.
    parts: Vec<(ConvId, Option<Bytes>)>,
    missing: usize,
    /// Of the pages so far.
    bytes: usize,
    /// One of the owners could not answer; then the whole fails, and is asked again.
    failed: Option<Refusal>,
}

impl Merge {
    /// Pages of these conversations are asked.
    pub(crate) fn new(convs: impl Iterator<Item = ConvId>) -> Self {
        let parts: Vec<_> = convs.map(|conv| (conv, None)).collect();
        Self { missing: parts.len(), parts, bytes: 0, failed: None }
    }

    /// An owner answered. Whether that was the last. A page for which there is no room any more is
    /// kept without its events.
    pub(crate) fn put(&mut self, part: u32, body: Bytes, refusal: Option<Refusal>) -> bool {
        let Some((conv, page)) = self.parts.get_mut(part as usize) else { return false };
        if page.is_some() {
            return false;
        }
        *page = Some(match refusal {
            None if self.bytes == 0 || self.bytes + body.len() <= SYNC_BYTES_MAX => body,
            None => without_events(&body),
            // Not a member: a page without events, head or first seq.
            Some(Refusal::NotMember) => {
                stub(&v1::Page { conv: text(*conv), ..v1::Page::default() })
            }
            Some(refusal) => {
                self.failed = Some(refusal);
                Bytes::new()
            }
        });
        self.bytes += page.as_ref().map_or(0, Bytes::len);
        self.missing -= 1;
        self.missing == 0
    }

    /// The whole answer.
    pub(crate) fn finish(self) -> (Bytes, Option<Refusal>) {
        if let Some(refusal) = self.failed {
            return (refusal.frame(), Some(refusal));
        }
        let mut pages = Vec::with_capacity(self.bytes);
        for page in self.parts.into_iter().filter_map(|(_, page)| page) {
            pages.extend_from_slice(&page);
        }
        let mut out = Vec::with_capacity(pages.len() + 8);
        event::write_sync(&pages, &mut out);
        (out.into(), None)
    }
}

fn text(conv: ConvId) -> std::borrow::Cow<'static, str> {
    id::text(&conv.0).into()
}

fn stub(page: &v1::Page<'_>) -> Bytes {
    let mut out = Vec::new();
    event::write_sync_page(page, &[], &mut out);
    out.into()
}

/// The same page, to be asked again.
fn without_events(item: &[u8]) -> Bytes {
    let page = v1::SyncPage::decode(item).ok().and_then(|mut sync| sync.convs.pop());
    let Some(page) = page else { return Bytes::new() };
    let has_more = page.has_more || !page.events.is_empty();
    stub(&v1::Page { events: Vec::new(), has_more, ..page })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConvId = ConvId([1; 16]);
    const B: ConvId = ConvId([2; 16]);

    fn page(conv: ConvId, events: usize) -> Bytes {
        let event = v1::Event { sender: "x".repeat(1000).into(), seq: 1, ..v1::Event::default() };
        stub(&v1::Page {
            conv: text(conv),
            events: vec![event; events],
            head: 9,
            ..v1::Page::default()
        })
    }

    fn answer(merge: Merge) -> Vec<(String, usize, u64, bool)> {
        let (body, refusal) = merge.finish();
        assert_eq!(refusal, None);
        let frame = v1::ServerFrame::decode(&body).unwrap();
        let Some(v1::Body::Sync(sync)) = frame.body else { panic!("not a sync: {frame:?}") };
        let item = |page: &v1::Page<'_>| {
            (page.conv.to_string(), page.events.len(), page.head, page.has_more)
        };
        sync.convs.iter().map(item).collect()
    }

    #[test]
    fn pages_come_in_the_order_asked_whoever_answers_first() {
        let mut merge = Merge::new([A, B].into_iter());
        assert!(!merge.put(1, page(B, 2), None));
        assert!(merge.put(0, page(A, 1), None));
        let expected = [(id::text(&A.0), 1, 9, false), (id::text(&B.0), 2, 9, false)];
        assert_eq!(answer(merge), expected);
    }

    #[test]
    fn a_conversation_of_others_is_an_empty_page() {
        let mut merge = Merge::new([A].into_iter());
        assert!(merge.put(0, Bytes::new(), Some(Refusal::NotMember)));
        assert_eq!(answer(merge), [(id::text(&A.0), 0, 0, false)]);
    }

    #[test]
    fn an_owner_that_is_away_fails_the_whole() {
        let mut merge = Merge::new([A, B].into_iter());
        merge.put(0, Bytes::new(), Some(Refusal::Unavailable));
        assert!(merge.put(1, page(B, 1), None));
        assert_eq!(merge.finish().1, Some(Refusal::Unavailable));
    }

    #[test]
    fn what_does_not_fit_comes_empty_and_says_that_there_is_more() {
        let mut merge = Merge::new([A, B].into_iter());
        merge.put(0, page(A, 150), None);
        merge.put(1, page(B, 150), None);
        let expected = [(id::text(&A.0), 150, 9, false), (id::text(&B.0), 0, 9, true)];
        assert_eq!(answer(merge), expected);
    }

    #[test]
    fn an_answer_that_comes_twice_counts_once() {
        let mut merge = Merge::new([A, B].into_iter());
        assert!(!merge.put(0, page(A, 1), None));
        assert!(!merge.put(0, page(A, 1), None));
        assert!(!merge.put(7, page(A, 1), None));
    }
}
