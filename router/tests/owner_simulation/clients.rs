//! Clients: each sends one message after the other, and each until it is acknowledged.

use fastrand::Rng;
use throng_router::owner::event::{body, user_id};
use throng_router::owner::{
    Asker, Connection, Key, Named, Op, PageRequest, Request, Span, What, Write,
};
use throng_store::{ConvId, Seq};
use throng_wire::{id, v1};

/// Unix milliseconds at the beginning.
pub(crate) const START_MS: u64 = 1_790_000_000_000;

/// How long a client waits before it asks again, milliseconds.
const PATIENCE_MS: u64 = 1_200;

pub(crate) struct Client {
    pub(crate) conv: ConvId,
    name: &'static str,
    peer: &'static str,
    slot: u32,
    /// The message that is not acknowledged.
    pub(crate) message: Option<id::Id>,
    asked_ms: u64,
    /// Of the message acknowledged last.
    pub(crate) last_seq: Seq,
    pub(crate) sent: u32,
}

impl Client {
    pub(crate) fn new(name: &'static str, peer: &'static str, slot: u32) -> Self {
        let conv = ConvId(id::direct_conv(name, peer));
        Self { conv, name, peer, slot, message: None, asked_ms: 0, last_seq: 0, sent: 0 }
    }

    /// Two conversations of two.
    pub(crate) fn all() -> Vec<Self> {
        let pairs = [("alice", "bob"), ("bob", "alice"), ("carol", "dave"), ("dave", "carol")];
        pairs.into_iter().zip(1..).map(|((name, peer), slot)| Self::new(name, peer, slot)).collect()
    }

    pub(crate) fn user(&self) -> throng_store::UserId {
        user_id(self.name)
    }

    /// What it asks now, if anything.
    pub(crate) fn writes(&mut self, now_ms: u64, more: bool, random: &mut Rng) -> Option<Op> {
        if self.message.is_none() && more {
            self.sent += 1;
            let mut bits = [0; 10];
            random.fill(&mut bits);
            self.message = Some(id::make_v7(START_MS + now_ms, bits));
            self.asked_ms = 0;
        }
        let message = self.message?;
        if self.asked_ms != 0 && now_ms < self.asked_ms + PATIENCE_MS {
            return None;
        }
        self.asked_ms = now_ms.max(1);
        Some(self.message(message))
    }

    /// It was refused in a way that a retry may cure.
    pub(crate) fn refused(&mut self) {
        self.asked_ms = 0;
    }

    fn message(&self, client_msg_id: id::Id) -> Op {
        let content = Some(v1::Content::Text("hi".into()));
        let message = v1::Message { kind: "text".into(), content, reply_to: 0 };
        let body = body(self.name, "phone", &client_msg_id, v1::What::Message(message));
        let to = Some(named(self.peer));
        let what = What::Message { body, reply_to: 0, to };
        Op::Write(Write { client_msg_id, digest: [7; 8], what })
    }

    pub(crate) fn reads() -> Op {
        let span = Span::After(0);
        Op::History(PageRequest { span, limit: 1_000, bytes_max: 1 << 20, bare: false })
    }

    pub(crate) fn request(&self, number: u64, deadline_ms: u64, op: Op) -> Request {
        let connection = Connection { link: 1, slot: self.slot, session: 1 };
        let asker = Asker { user: named(self.name), device: "phone".into(), connection };
        let key = Key { link: 1, part: 0, request: number };
        Request { key, asker, order: None, deadline_ms, op }
    }
}

fn named(name: &str) -> Named {
    Named { id: user_id(name), name: name.into() }
}
