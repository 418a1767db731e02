//! Asking, and reading the answers, in few words.

use throng_store::{ConvId, Seq};
use throng_wire::{Protobuf, id, v1};

use super::{Bench, create, message};
use crate::owner::{Delivery, Op, Order, PageRequest, Refusal, Span, What, Write};

impl Bench {
    /// A group whose owner is the first member.
    pub(crate) fn group(&mut self, members: &[&str]) -> ConvId {
        let id = self.fresh_id();
        let conv = ConvId(id::group_conv(members[0], &id));
        let request = self.ask(members[0], conv, create(id, &members[1..]));
        assert_eq!(self.acked(request), (1, false));
        conv
    }

    pub(crate) fn send(&mut self, user: &str, conv: ConvId) -> u64 {
        let id = self.fresh_id();
        self.ask(user, conv, message(user, id, "hi"))
    }

    pub(crate) fn send_ordered(
        &mut self,
        user: &str,
        conv: ConvId,
        number: u64,
        first: bool,
    ) -> u64 {
        let id = self.fresh_id();
        let order = Some(Order { number, first });
        self.ask_ordered(user, conv, message(user, id, "hi"), order)
    }

    /// A change of the group.
    pub(crate) fn change(&mut self, user: &str, conv: ConvId, what: What) -> u64 {
        let client_msg_id = self.fresh_id();
        self.ask(user, conv, Op::Write(Write { client_msg_id, digest: [1; 8], what }))
    }

    pub(crate) fn history(&mut self, user: &str, conv: ConvId, span: Span, limit: usize) -> u64 {
        let page = PageRequest { span, limit, bytes_max: 1 << 16, bare: false };
        self.ask(user, conv, Op::History(page))
    }

    /// (seq, duplicate) of an ack.
    pub(crate) fn acked(&self, request: u64) -> (Seq, bool) {
        match self.answers.get(&request) {
            Some(v1::Body::Ack(ack)) => (ack.seq, ack.duplicate),
            other => panic!("not an ack: {other:?}"),
        }
    }

    pub(crate) fn page(&self, request: u64) -> &v1::Page<'static> {
        match self.answers.get(&request) {
            Some(v1::Body::History(page)) => page,
            other => panic!("not a page: {other:?}"),
        }
    }

    pub(crate) fn seqs(&self, request: u64) -> Vec<Seq> {
        self.page(request).events.iter().map(|event| event.seq).collect()
    }

    pub(crate) fn is_ok(&self, request: u64) -> bool {
        matches!(self.answers.get(&request), Some(v1::Body::Ok(_)))
    }

    pub(crate) fn refusal(&self, request: u64) -> Option<Refusal> {
        self.refusals.get(&request).copied()
    }

    pub(crate) fn answered_at_all(&self, request: u64) -> bool {
        self.answers.contains_key(&request)
    }

    /// Seqs of the events delivered, in order.
    pub(crate) fn delivered_seqs(&self) -> Vec<Seq> {
        self.delivered.iter().filter_map(delivered_event).collect()
    }
}

fn delivered_event(delivery: &Delivery) -> Option<Seq> {
    match v1::ServerFrame::decode(&delivery.frame).unwrap().body {
        Some(v1::Body::Event(event)) => Some(event.seq),
        _ => None,
    }
}
