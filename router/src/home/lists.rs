//! Lists of a user's conversations, read from the projections.
//!
//! A conversation too big to touch each member's entry has its head asked from its owner. Where
//! that cannot be told the list fails: a head made up of what the list has would hide what is
//! newer.

use std::future::Future;

use bytes::Bytes;
use thiserror::Error;
use throng_store::{ConvId, Range, Row, Seq, Store, StoreError, UserConvRow, UserId, Watermarks};
use throng_wire::{event as wire_event, id, v1};

use super::cursor::{Cursor, Rest};
use crate::limits;
use crate::owner::event::{user_id, wire_row};
use crate::owner::{Head, Refusal, highest_epochs};

/// Who knows the heads of big conversations.
pub trait Heads {
    /// The head as the member `user` sees it, with the event there if `event`.
    ///
    /// # Errors
    /// `NotMember` if the user is no member any more; anything else: it cannot be told now.
    fn head(
        &self,
        conv: ConvId,
        user: UserId,
        event: bool,
    ) -> impl Future<Output = Result<Head, Refusal>> + Send;
}

/// Why a list could not be read. It may be asked for again.
#[derive(Debug, Error)]
pub enum ListError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The owner of a big conversation did not tell its head.
    #[error("the head of a big conversation cannot be told: {0}")]
    Head(Refusal),
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
    /// See [`ListError`].
    pub async fn changes(
        &self,
        user: UserId,
        cursor: Option<Cursor>,
        limit: usize,
        now_ms: u64,
    ) -> Result<ChangesPage, ListError> {
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
                items.extend(self.change(user, &row, since_ms).await?);
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
    ) -> Result<Option<(ConvId, Seq)>, ListError> {
        let (head, at_ms) = if row.big && row.left_seq == 0 {
            match self.heads.head(row.conv, user, false).await {
                Ok(head) => (head.seq, head.at_ms),
                // Left meanwhile. Named rather than left out: the client asks, and finds out.
                Err(Refusal::NotMember) => (row.head_seq.max(row.joined_seq), u64::MAX),
                Err(refusal) => return Err(ListError::Head(refusal)),
            }
        } else {
            (row.head_seq.max(row.left_seq), row.head_at_ms)
        };
        Ok((at_ms >= since_ms).then_some((row.conv, head)))
    }

    /// A page of the user's conversations: the answer to `conversations`.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn conversations(
        &self,
        user: UserId,
        mut after: Option<ConvId>,
        limit: usize,
    ) -> Result<Bytes, ListError> {
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
    ) -> Result<(), ListError> {
        let (head, n, last) = match self.head(user, row).await {
            // Left meanwhile.
            Err(ListError::Head(Refusal::NotMember)) => return Ok(()),
            head => head?,
        };
        let name = match row.direct {
            true => String::new(),
            false => self.store.conv(row.conv).await?.map_or_else(String::new, |conv| conv.name),
        };
        let peer = self.peer(row).await?;
        let item = v1::Conversation {
            conv: id::text(&row.conv.0).into(),
            kind: if row.direct { "direct" } else { "group" }.into(),
            name: name.into(),
            peer: (&*row.peer).into(),
            head,
            read: row.read_seq,
            unread: n.saturating_sub(row.read_n),
            last_event: None,
            peer_delivered: peer.delivered_seq,
            peer_read: peer.read_seq,
        };
        let last = last.as_ref().map(|last| wire_row(&row.conv, last));
        wire_event::write_conversation(&item, last.as_ref(), out);
        Ok(())
    }

    /// How far the other user of a direct conversation is.
    async fn peer(&self, row: &UserConvRow) -> Result<Watermarks, StoreError> {
        if !row.direct {
            return Ok(Watermarks::default());
        }
        let found = self.store.watermarks(row.conv, vec![user_id(&row.peer)]).await?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Head, its ordinal, and the event there.
    async fn head(
        &self,
        user: UserId,
        row: &UserConvRow,
    ) -> Result<(Seq, u64, Option<Row>), ListError> {
        if row.big {
            let head = self.heads.head(row.conv, user, true).await.map_err(ListError::Head)?;
            return Ok((head.seq, head.n, head.row));
        }
        // Lists are touched after the commit, so below this head the highest term is the log.
        let range = Range::Before(row.head_seq + 1);
        let rows = self.store.range(row.conv, range, LAST_EVENT_ROWS.into()).await?;
        let last = highest_epochs(rows).into_iter().next().filter(|last| last.seq == row.head_seq);
        Ok((row.head_seq, row.head_n, last))
    }
}

/// Rows that surely have the highest term of one seq: few owners write the same seq.
const LAST_EVENT_ROWS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    use throng_store::Projection;
    use throng_store::embedded::{Config, Embedded};
    use throng_wire::Protobuf;

    const ALICE: UserId = UserId([1; 16]);
    const CONV: ConvId = ConvId([2; 16]);

    /// One answer for every conversation.
    struct Told(Result<Seq, Refusal>);

    impl Heads for Told {
        async fn head(&self, _: ConvId, _: UserId, _: bool) -> Result<Head, Refusal> {
            self.0.map(|seq| Head { seq, n: seq - 1, at_ms: 1_000, row: None })
        }
    }

    /// Alice joined a big group at 5 and is told of nothing since. Heads in `changes` and in
    /// `conversations`.
    async fn heads(told: Result<Seq, Refusal>) -> (Result<Vec<Seq>, ()>, Result<Vec<Seq>, ()>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(Config::new(dir.path())).unwrap();
        let listed = Projection::Listed {
            user: ALICE,
            conv: CONV,
            direct: false,
            peer: String::new(),
            joined_seq: 5,
            left_seq: 0,
            joined_n: 4,
            big: true,
            created: false,
            at: 5,
        };
        store.project(vec![listed]).await.unwrap();
        let cursor = Cursor { log_id: store.log_id(), moment_ms: 900, rest: None };
        let lists = Lists::new(store, Told(told));
        let changes = lists.changes(ALICE, Some(cursor), 10, 1_000).await;
        let changes = changes.map(|page| page.items.iter().map(|(_, head)| *head).collect());
        let page = lists.conversations(ALICE, None, 10).await.map(|frame| {
            let frame = v1::ServerFrame::decode(&frame).unwrap().into_owned();
            let Some(v1::Body::Conversations(page)) = frame.body else { panic!("not a page") };
            page.items.iter().map(|item| item.head).collect()
        });
        (changes.map_err(drop), page.map_err(drop))
    }

    #[tokio::test]
    async fn the_head_of_a_big_conversation_is_its_owners() {
        assert_eq!(heads(Ok(9)).await, (Ok(vec![9]), Ok(vec![9])));
    }

    #[tokio::test]
    async fn a_list_with_a_head_that_cannot_be_told_fails() {
        for refusal in [Refusal::Unavailable, Refusal::Overloaded] {
            assert_eq!(heads(Err(refusal)).await, (Err(()), Err(())));
        }
    }

    #[tokio::test]
    async fn who_has_just_left_a_big_conversation_is_told_to_ask_for_it() {
        assert_eq!(heads(Err(Refusal::NotMember)).await, (Ok(vec![5]), Ok(vec![])));
    }
}
