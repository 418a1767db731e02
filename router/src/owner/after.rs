//! What follows a commit: projections first, then deliveries (*touch, then deliver*).
//!
//! A list of conversations that somebody reads after they were told of an event has that event. One
//! projection of a conversation is under way at a time; what is committed meanwhile is the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use throng_store::{ConvId, ConvRow, Projection, Row, Seq, UserId};
use throng_wire::{id, v1};

use super::deciding::MESSAGE_KIND;
use super::event;
use super::request::{Connection, Key};

/// A frame for users, wherever they are connected.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Encoded `throng.v1.ServerFrame`.
    pub frame: Bytes,
    /// For all connections of these users,
    pub users: Arc<[UserId]>,
    /// but this one.
    pub except: Option<Connection>,
    /// May be dropped where a client takes its output too slowly: it can be asked for.
    pub ephemeral: bool,
}

/// A committed row, and who hears of it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The row.
    pub(crate) row: Row,
    /// Members, and those who left by this event.
    pub(crate) users: Arc<[UserId]>,
    /// The connection that sent it: it has the ack.
    pub(crate) except: Option<Connection>,
}

/// A user's watermarks that wait to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingMark {
    /// The user's name.
    pub(crate) name: Box<str>,
    /// Delivered up to here.
    pub(crate) delivered: Seq,
    /// Read up to here.
    pub(crate) read: Seq,
    /// Messages up to `read`.
    pub(crate) read_n: u64,
    /// What the receipt says: the highest (delivered, read) heard of.
    pub(crate) told: (Seq, Seq),
    /// The connection that alone made the mark; its own receipt would tell it nothing.
    pub(crate) except: Option<Connection>,
    /// Who is told; `None` if nobody, as events say it.
    pub(crate) audience: Option<Arc<[UserId]>>,
}

impl PendingMark {
    /// Takes over what is higher.
    pub(crate) fn advance(&mut self, delivered: Seq, read: Seq, read_n: u64) {
        self.delivered = self.delivered.max(delivered);
        self.read = self.read.max(read);
        self.read_n = self.read_n.max(read_n);
    }
}

/// Work after one or more commits of one conversation.
#[derive(Debug, Default)]
pub(crate) struct AfterWork {
    /// Rows to deliver, ascending.
    pub(crate) heard: Vec<Heard>,
    /// Members and lists, in the order of the log.
    pub(crate) projections: Vec<Projection>,
    /// The conversation when all of `heard` is applied.
    pub(crate) conv: Option<ConvRow>,
    /// Members whose lists are touched; `None` in a big conversation.
    pub(crate) touched: Option<Arc<[UserId]>>,
    /// Users who left, with the event by which they did and its ordinal.
    pub(crate) left: Vec<(UserId, Seq, u64)>,
    /// Watermarks.
    pub(crate) marks: BTreeMap<UserId, PendingMark>,
    /// Marks to be answered.
    pub(crate) waiting: Vec<Key>,
    /// Dirty windows that stay open until this is done.
    pub(crate) windows: SmallVec<[u32; 2]>,
}

impl AfterWork {
    /// Nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.conv.is_none() && self.marks.is_empty() && self.windows.is_empty()
    }

    /// Who sends a message has read up to it.
    pub(crate) fn sent(&mut self, row: &Row) {
        if row.kind == MESSAGE_KIND {
            self.marks.entry(row.sender).or_default().advance(row.seq, row.seq, row.n);
        }
    }

    /// Adds what a later commit brings. Its marks are those of senders.
    pub(crate) fn extend(&mut self, later: Self) {
        if self.is_empty() && self.waiting.is_empty() {
            *self = later;
            return;
        }
        for (user, mark) in later.marks {
            let earlier = self.marks.entry(user).or_default();
            earlier.advance(mark.delivered, mark.read, mark.read_n);
        }
        self.heard.extend(later.heard);
        self.projections.extend(later.projections);
        self.left.extend(later.left);
        self.windows.extend(later.windows);
        if later.conv.is_some() {
            self.conv = later.conv;
            self.touched = later.touched;
        }
    }

    /// What to write. The conversation's row is last: it says that the rest is there.
    pub(crate) fn projections(&mut self, conv: ConvId, now_ms: u64) -> Vec<Projection> {
        let mut all = std::mem::take(&mut self.projections);
        for (user, seq, n) in self.left.drain(..) {
            all.push(touch(conv, Arc::from([user]), seq, n, now_ms));
        }
        if let (Some(users), Some(row)) = (self.touched.take(), &self.conv) {
            all.push(touch(conv, users, row.applied_seq, row.applied_n, now_ms));
        }
        all.extend(self.marks.iter().map(|(user, mark)| Projection::Mark {
            user: *user,
            conv,
            delivered_seq: mark.delivered,
            read_seq: mark.read,
            read_n: mark.read_n,
        }));
        all.extend(self.conv.clone().map(Projection::Conv));
        all
    }

    /// Whom to tell, once that is written.
    pub(crate) fn deliveries(&self, conv: ConvId) -> impl Iterator<Item = Delivery> {
        let events = self.heard.iter().map(move |heard| Delivery {
            frame: event::event_frame(&conv, &heard.row),
            users: Arc::clone(&heard.users),
            except: heard.except,
            ephemeral: false,
        });
        events.chain(self.marks.values().filter_map(move |mark| receipt(conv, mark)))
    }
}

fn touch(conv: ConvId, users: Arc<[UserId]>, seq: Seq, n: u64, now_ms: u64) -> Projection {
    Projection::Touch { users, conv, head_seq: seq, head_n: n, head_at_ms: now_ms }
}

fn receipt(conv: ConvId, mark: &PendingMark) -> Option<Delivery> {
    let users = mark.audience.clone()?;
    let receipt = v1::Receipt {
        conv: id::text(&conv.0).into(),
        user: (&*mark.name).into(),
        delivered: mark.told.0,
        read: mark.told.1,
    };
    let frame = event::frame(v1::Body::Receipt(receipt));
    Some(Delivery { frame, users, except: mark.except, ephemeral: true })
}
