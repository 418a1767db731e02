//! Lists of a user's conversations, read from the projections.
//!
//! A conversation too big to touch each member's entry has its head asked from its owner.

use std::future::Future;

use bytes::Bytes;
use throng_store::{ConvId, Range, Row, Seq, Store, StoreError, UserConvRow, UserId};
use throng_wire::{event as wire_event, id, v1};

use super::cursor::{Cursor, Rest};
use crate::limits;
use crate::owner::event::wire_row;
use crate::owner::{Head, highest_epochs};

/// Who knows the heads of big conversations.
pub trait Heads {
    /// The head as the member `user` sees it; `None` if it cannot be told at the moment.
    fn head(
        &self,
        conv: ConvId,
        user: UserId,
        event: bool,
    ) -> impl Future<Output = Option<Head>> + Send;
}

/// What reads lists.
#[derive(Clone, Debug)]
pub struct Lists<S, H> {
    store: S,
    heads: H,
}

/// What changed, as far as it fits into a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesPage {
    /// Conversations and their heads.
    pub items: Vec<(ConvId, Seq)>,
    /// How far the client is with it.
    pub cursor: Cursor,
    /// There are more pages.
    pub more: bool,
    /// The items are everything since the client's cursor; else everything must be read again.
    pub resumed: bool,
}

impl ChangesPage {
    fn resync(log_id: [u8; 16], now_ms: u64) -> Self {
        let cursor = Cursor { log_id, moment_ms: now_ms, rest: None };
        Self { items: Vec::new(), cursor, more: false, resumed: false }
    }

    /// As `sync` of `welcome` and `changes` says it.
    #[must_use]
    pub fn sync(&self) -> &'static str {
        if self.resumed { "resumed" } else { "resync" }
    }

    /// The items as clients see them.
    #[must_use]
    pub fn changes(&self) -> Vec<v1::Change<'static>> {
        let change = |(conv, head): &(ConvId, Seq)| v1::Change {
            conv: id::text(&conv.0).into(),
            head: *head,
        };
        self.items.iter().map(change).collect()
    }
}

impl<S: Store, H: Heads> Lists<S, H> {
    /// Reads from `store`, and asks `heads`.
    pub fn new(store: S, heads: H) -> Self {
        Self { store, heads }
    }

    /// What changed since a client's cursor.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn changes(
        &self,
        user: UserId,
        cursor: Option<Cursor>,
        limit: usize,
        now_ms: u64,
    ) -> Result<ChangesPage, StoreError> {
        let log_id = self.store.log_id();
        let resumed = cursor.and_then(|cursor| {
            let (since_ms, after) = cursor.resume(log_id, now_ms)?;
            // What is told while there are more pages is told as of the first one's time.
            let moment_ms = if after.is_some() { cursor.moment_ms } else { now_ms };
            Some((since_ms, after, moment_ms))
        });
        let Some((since_ms, mut after, moment_ms)) = resumed else {
            return Ok(ChangesPage::resync(log_id, now_ms));
        };
        let mut items = Vec::new();
        let mut more = false;
        'list: loop {
            let rows = self.store.user_convs(user, after, limits::LIST_PAGE_ROWS).await?;
            let last = rows.len() < limits::LIST_PAGE_ROWS;
            for row in rows {
                if items.len() == limit {
                    more = true;
                    break 'list;
                }
                items.extend(self.change(user, &row, since_ms).await);
                after = Some(row.conv);
            }
            if last {
                break;
            }
        }
        let rest = after.filter(|_| more).map(|after| Rest { since_ms, after });
        let cursor = Cursor { log_id, moment_ms, rest };
        Ok(ChangesPage { items, cursor, more, resumed: true })
    }

    async fn change(
        &self,
        user: UserId,
        row: &UserConvRow,
        since_ms: u64,
    ) -> Option<(ConvId, Seq)> {
        let (head, at_ms) = if row.big && row.left_seq == 0 {
            match self.heads.head(row.conv, user, false).await {
                Some(head) => (head.seq, head.at_ms),
                // Named rather than left out: the client asks for it, and finds out.
                None => (row.head_seq.max(row.joined_seq), u64::MAX),
            }
        } else {
            (row.head_seq.max(row.left_seq), row.head_at_ms)
        };
        (at_ms >= since_ms).then_some((row.conv, head))
    }

    /// A page of the user's conversations: the answer to `conversations`.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn conversations(
        &self,
        user: UserId,
        mut after: Option<ConvId>,
        limit: usize,
    ) -> Result<Bytes, StoreError> {
        let mut items = Vec::new();
        let mut count = 0;
        let mut next = None;
        'list: loop {
            let rows = self.store.user_convs(user, after, limits::LIST_PAGE_ROWS).await?;
            let last = rows.len() < limits::LIST_PAGE_ROWS;
            for row in rows.into_iter() {
                if row.left_seq == 0 {
                    if count == limit || items.len() >= limits::PAGE_BYTES_MAX {
                        next = after;
                        break 'list;
                    }
                    count += 1;
                    self.conversation(user, &row, &mut items).await?;
                }
                after = Some(row.conv);
            }
            if last {
                break;
            }
        }
        let next = next.map_or_else(String::new, |conv| id::text(&conv.0));
        let mut out = Vec::with_capacity(items.len() + 64);
        wire_event::write_conversations(&items, &next, &mut out);
        Ok(out.into())
    }

    async fn conversation(
        &self,
        user: UserId,
        row: &UserConvRow,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let name = match row.direct {
            true => String::new(),
            false => self.store.conv(row.conv).await?.map_or_else(String::new, |conv| conv.name),
        };
        let (head, n, last) = self.head(user, row).await?;
        let item = v1::Conversation {
            conv: id::text(&row.conv.0).into(),
            kind: if row.direct { "direct" } else { "group" }.into(),
            name: name.into(),
            peer: (&*row.peer).into(),
            head,
            read: row.read_seq,
            unread: n.saturating_sub(row.read_n),
            last_event: None,
        };
        let last = last.as_ref().map(|last| wire_row(&row.conv, last));
        wire_event::write_conversation(&item, last.as_ref(), out);
        Ok(())
    }

    /// Head, its ordinal, and the event there.
    async fn head(
        &self,
        user: UserId,
        row: &UserConvRow,
    ) -> Result<(Seq, u64, Option<Row>), StoreError> {
        if row.big
            && let Some(head) = self.heads.head(row.conv, user, true).await
        {
            return Ok((head.seq, head.n, head.row));
        }
        // Lists are touched after the commit, so below this head the highest term is the log.
        let range = Range::Before(row.head_seq + 1);
        let rows = self.store.range(row.conv, range, LAST_EVENT_ROWS).await?;
        let last = highest_epochs(rows).into_iter().next().filter(|last| last.seq == row.head_seq);
        Ok((row.head_seq, row.head_n, last))
    }
}

/// Rows that surely have the highest term of one seq: few owners write the same seq.
const LAST_EVENT_ROWS: usize = 4;
