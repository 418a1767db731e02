//! Reads: what members ask without adding to the log.

use throng_store::{PageLimit, Range, Row, Seq, UserId};
use throng_wire::{event as wire_event, id, v1};

use super::choose::highest_epochs;
use super::conversation::{Conversation, Turn};
use super::event::{self, role_name, wire_row};
use super::request::{Key, PageRequest, Refusal, Request, Span};
use super::roster::Member;
use super::tail::Window;
use super::{Head, Output};
use crate::limits;

/// A read under way, and what for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Loading reads further down.
    Older,
    /// The first write that waits may repeat a row below here.
    Scan {
        /// Rows below this seq.
        below: Seq,
    },
    /// The first write that waits may repeat the creation.
    First,
    /// A page.
    Page(Box<PendingPage>),
    /// The ordinal of a read mark.
    Mark {
        /// Who marks.
        request: Box<Request>,
        /// What is marked read.
        seq: Seq,
    },
}

/// A page that is read from the store.
#[derive(Debug)]
pub(crate) struct PendingPage {
    /// Who waits.
    pub(crate) key: Key,
    request: PageRequest,
    window: Window,
    min_seq: Seq,
    head: Seq,
    asked: PageLimit,
    /// In the direction of the span.
    rows: Vec<Row>,
}

impl PendingPage {
    fn take(&mut self, rows: Vec<Row>) {
        let inside = |row: &Row| (self.window.first..=self.window.last).contains(&row.seq);
        let mut all = std::mem::take(&mut self.rows);
        all.extend(rows.into_iter().filter(inside));
        self.rows = highest_epochs(all);
    }

    /// What is missing. An event has more bytes than its body, so that no row beyond these bytes
    /// can be part of the answer.
    fn missing(&self) -> PageLimit {
        let bytes = self.request.bytes_max.saturating_sub(self.bytes()).max(1);
        PageLimit { rows: self.window.len() - self.rows.len(), bytes }
    }

    fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.body.len()).sum()
    }

    /// Whether the answer can be made.
    fn is_full(&self) -> bool {
        let first = !self.rows.is_empty();
        self.rows.len() >= self.window.len() || first && self.bytes() >= self.request.bytes_max
    }

    /// From where to read on.
    fn next_range(&self) -> Range {
        let last = self.rows.last().map(|row| row.seq);
        match self.request.span {
            Span::Before(_) => Range::Before(last.unwrap_or(self.window.last + 1)),
            Span::After(_) => Range::After(last.unwrap_or(self.window.first - 1)),
        }
    }
}

impl Conversation {
    /// First seq that the user may see, if they are a member by a committed event.
    pub(super) fn visible_from(&self, user: UserId) -> Result<Seq, Refusal> {
        let roster = self.committed_roster();
        let member = roster.member(user).ok_or(Refusal::NotMember)?;
        Ok(roster.min_seq(member))
    }

    /// A page of events.
    pub(super) fn page(&mut self, request: &Request, page: PageRequest, turn: &mut Turn<'_>) {
        let min_seq = match self.visible_from(request.asker.user.id) {
            Ok(min_seq) => min_seq,
            Err(refusal) => return turn.refuse(request, refusal),
        };
        let head = self.tail.head();
        let window = Window::of(page.span, page.limit, min_seq, head);
        let mut pending = PendingPage {
            key: request.key,
            request: page,
            window,
            min_seq,
            head,
            asked: PageLimit::from(0),
            rows: Vec::new(),
        };
        if let Some(mut rows) = self.tail.window(&window) {
            if matches!(page.span, Span::Before(_)) {
                rows.reverse();
            }
            pending.rows = rows;
            return self.answer_page(&pending, turn);
        }
        self.read_page(Box::new(pending), request, turn);
    }

    fn read_page(&mut self, mut page: Box<PendingPage>, request: &Request, turn: &mut Turn<'_>) {
        if self.reads.len() >= limits::READS_MAX || turn.under_way.reads >= limits::PAGE_READS_MAX {
            turn.counters.overloaded += 1;
            return turn.refuse(request, Refusal::Overloaded);
        }
        page.asked = page.missing();
        self.read(page.next_range(), page.asked, Pending::Page(page), turn);
    }

    /// Rows of a page. Where the store keeps rows of several terms at a seq, it may take more
    /// reads.
    pub(super) fn page_read(
        &mut self,
        mut page: Box<PendingPage>,
        rows: Vec<Row>,
        turn: &mut Turn<'_>,
    ) {
        let exhausted = !page.asked.ended(&rows);
        let had = page.rows.len();
        page.take(rows);
        if page.is_full() {
            return self.answer_page(&page, turn);
        }
        if exhausted || page.rows.len() == had {
            return turn.refuse_key(page.key, Refusal::Internal);
        }
        page.asked = page.missing();
        self.read(page.next_range(), page.asked, Pending::Page(page), turn);
    }

    fn answer_page(&self, page: &PendingPage, turn: &mut Turn<'_>) {
        let mut bytes = 0;
        let fits = |row: &&Row| {
            let before = bytes;
            bytes += wire_row(&self.id, row).event_len();
            before == 0 || bytes <= page.request.bytes_max
        };
        let mut rows: Vec<&Row> = page.rows.iter().take_while(fits).collect();
        let backwards = matches!(page.request.span, Span::Before(_));
        if backwards {
            rows.reverse();
        }
        let has_more = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) if !backwards || first.seq > page.min_seq => {
                backwards || last.seq < page.head
            }
            _ => false,
        };
        let mut events = Vec::with_capacity(bytes + 16 * rows.len());
        for row in rows {
            wire_row(&self.id, row).write_page_event(&mut events);
        }
        let around = v1::Page {
            conv: id::text(&self.id.0).into(),
            events: Vec::new(),
            has_more,
            head: page.head,
            min_seq: page.min_seq,
        };
        let mut out = Vec::with_capacity(events.len() + 96);
        if page.request.bare {
            wire_event::write_sync_page(&around, &events, &mut out);
        } else {
            wire_event::write_history(&around, &events, &mut out);
        }
        turn.answer(page.key, out.into());
    }

    /// A page of members.
    pub(super) fn members(
        &mut self,
        request: Request,
        after: Option<UserId>,
        limit: usize,
        turn: &mut Turn<'_>,
    ) {
        if let Err(refusal) = self.visible_from(request.asker.user.id) {
            return turn.refuse(&request, refusal);
        }
        let roster = self.committed_roster();
        let page = || roster.members_after(after).take(limit);
        let unknown = page().map(|(user, _)| *user);
        let unknown: Vec<_> = unknown.filter(|user| self.marks.whole(*user).is_none()).collect();
        if !unknown.is_empty() {
            return self.need_marks(request, unknown, turn);
        }
        let items: Vec<_> = page().map(|(user, member)| self.member_item(*user, member)).collect();
        let next = match (roster.members_after(after).nth(limit), items.last()) {
            (Some(_), Some(last)) => last.user.clone(),
            _ => "".into(),
        };
        let body = event::frame(v1::Body::Members(v1::MembersPage { items, next }));
        turn.answer(request.key, body);
    }

    fn member_item<'m>(&self, user: UserId, member: &'m Member) -> v1::Member<'m> {
        let (delivered, read) = self.marks.whole(user).unwrap_or_default();
        v1::Member {
            user: (&*member.name).into(),
            role: role_name(member.role).into(),
            joined_seq: member.joined_seq,
            delivered,
            read,
        }
    }

    /// The head, for a list.
    pub(super) fn head(&mut self, request: &Request, event: bool, turn: &mut Turn<'_>) {
        let head = self.visible_from(request.asker.user.id).map(|_| Head {
            seq: self.tail.head(),
            n: self.tail.n(),
            at_ms: self.tail.created_at_ms(),
            row: self.tail.last().filter(|_| event).cloned(),
        });
        turn.out.push(Output::Head { key: request.key, head });
    }
}
