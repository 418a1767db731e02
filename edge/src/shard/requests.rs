//! Requests to the router and their answers: each is answered once to the client, whatever happens
//! to the link, the router or time.

use std::collections::HashMap;

use throng_ring::{ConnId, Io};
use throng_wire::link::{Register, Request, Session as LinkSession, ToRouter, Unregister};
use throng_wire::ws::encode;
use throng_wire::{ErrorCode, Protobuf as _, SessionClose, limits as wire, transcode, v1};

use super::clock::Ticks;
use super::conn::{Codec, Conn, Name, Phase};
use super::link::Refused;
use super::op::{Route, Write};
use super::{Core, order};
use crate::limits;
use crate::metrics::CloseReason;

/// What waits for an answer.
#[derive(Debug)]
struct Pending {
    slot: u32,
    session: u32,
    asked: u32,
    purpose: Purpose,
}

impl Pending {
    fn resumes(&self) -> bool {
        matches!(self.purpose, Purpose::Register { resumed: true })
    }
}

#[derive(Debug)]
enum Purpose {
    /// The session's registration; `resumed`: it had a welcome before the link was lost.
    Register { resumed: bool },
    /// A client's operation: its id there, and the place of a write.
    Op { frame: Option<u64>, write: Option<(Write, u64)> },
}

/// Requests under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: HashMap<u64, Pending>,
    /// Those of them that register established sessions again.
    resuming: usize,
    last: u64,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn insert(&mut self, number: u64, pending: Pending) {
        self.resuming += usize::from(pending.resumes());
        self.pending.insert(number, pending);
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.pending.remove(&number)?;
        self.resuming -= usize::from(pending.resumes());
        Some(pending)
    }

    /// Whether established sessions wait for their registration.
    pub(super) fn is_resuming(&self) -> bool {
        self.resuming > 0
    }

    fn late(&self, tick: u32) -> Vec<u64> {
        let patience = Ticks::of(limits::REQUEST_DEADLINE + limits::REQUEST_GRACE);
        let is_late = |pending: &Pending| tick.wrapping_sub(pending.asked) >= patience;
        self.pending.iter().filter(|(_, it)| is_late(it)).map(|(number, _)| *number).collect()
    }
}

/// A session as the router knows it.
fn link_session<'a>(id: ConnId, session: u32, name: &'a Name) -> LinkSession<'a> {
    LinkSession { slot: id.slot, session, user: name.user().into(), device: name.device().into() }
}

/// The session's name, in whichever phase it has one.
fn name_of(conn: &Conn) -> Option<&Name> {
    match &conn.phase {
        Phase::Registering(registering) => Some(&registering.name),
        Phase::Established(session) => Some(&session.name),
        _ => None,
    }
}

impl Core {
    /// Registers the session at its user's home. While the link is down nothing happens: it is
    /// done when the link is up.
    pub(super) fn register<I: Io>(&mut self, io: &mut I, id: ConnId) {
        let session_id = self.session_id(id);
        let tick = self.ticks.at(io.now());
        let Some(conn) = self.slab.get_mut(id) else { return };
        let session = conn.session;
        let Some(name) = name_of(conn) else { return };
        let (cursor, resumed) = match &conn.phase {
            Phase::Registering(registering) => (registering.cursor.as_str(), false),
            _ => ("", true),
        };
        let request = self.link.requests.next_number();
        let frame = ToRouter::Register(Register {
            request,
            session: Some(link_session(id, session, name)),
            cursor: cursor.to_owned().into(),
            session_id,
            resumed,
            since_ms: if resumed { self.link.since_ms() } else { 0 },
        });
        match self.link.ask(&frame) {
            Ok(()) => {
                conn.is_registered = true;
                let purpose = Purpose::Register { resumed };
                let pending = Pending { slot: id.slot, session, asked: tick, purpose };
                self.link.requests.insert(request, pending);
            }
            Err(Refused::Down) => {}
            Err(Refused::Full | Refused::TooLarge) => {
                let error = ErrorCode::Overloaded.error();
                self.registration_failed(io, id, error);
            }
        }
    }

    /// Names the session in logs and in `welcome.session`: the same as long as it lives.
    fn session_id(&mut self, id: ConnId) -> u64 {
        let session = self.slab.get_mut(id).map_or(0, |conn| conn.session);
        let mixed = self.incarnation ^ (u64::from(id.slot) << 32 | u64::from(session));
        super::clock::Random::new(mixed).next()
    }

    /// The connection is gone: its home is told.
    pub(super) fn unregister(&mut self, id: ConnId) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        if !std::mem::take(&mut conn.is_registered) {
            return;
        }
        let session = conn.session;
        if self.link.withdraw(id.slot, session) {
            return;
        }
        if let Some(name) = name_of(conn) {
            let session = Some(link_session(id, session, name));
            self.link.tell(&ToRouter::Unregister(Unregister { session }));
        }
    }

    /// Sends an operation to the router.
    pub(super) fn forward<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        op: v1::Op<'_>,
        route: Route,
    ) -> Result<(), ErrorCode> {
        if !self.link.is_up() {
            return Err(ErrorCode::Unavailable);
        }
        self.scratch.clear();
        v1::ClientFrame { id: None, op: Some(op) }.encode(&mut self.scratch);
        if self.scratch.len() > wire::OP_BYTES_MAX {
            return Err(ErrorCode::TooLarge);
        }
        let place = match route.write {
            Some(write) => Some((write, self.begin_write(id, write)?)),
            None => None,
        };
        let asked = self.ask_router(io, id, frame, route, place);
        if asked.is_err()
            && let Some((write, place)) = place
            && let Some((orders, _)) = self.orders(id)
        {
            orders.end(&write.conv, place.number, write.id, write.can_return, false);
            self.tidy_orders(id);
        }
        asked
    }

    fn begin_write(&mut self, id: ConnId, write: Write) -> Result<order::Place, ErrorCode> {
        let (orders, numbers) = self.orders(id).ok_or(ErrorCode::Internal)?;
        orders.begin(numbers, write.conv, write.id).map_err(|refused| match refused {
            order::Refused::AfterFailed => ErrorCode::AfterFailed,
            order::Refused::TooMany => ErrorCode::RateLimited,
        })
    }

    /// The encoded operation is in `scratch`.
    fn ask_router<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        route: Route,
        place: Option<(Write, order::Place)>,
    ) -> Result<(), ErrorCode> {
        let Some(conn) = self.slab.get_mut(id) else { return Ok(()) };
        let session = conn.session;
        let Some(name) = name_of(conn) else { return Ok(()) };
        let request = self.link.requests.next_number();
        let message = ToRouter::Request(Request {
            request,
            session: Some(link_session(id, session, name)),
            frame: self.scratch.as_slice().into(),
            deadline_ms: limits::REQUEST_DEADLINE.as_millis() as u32,
            order: place.map_or(0, |(_, place)| place.number),
            first: place.is_some_and(|(_, place)| place.first),
            conv_id: route.conv.as_ref().map_or(&[][..], |conv| conv).into(),
        });
        self.link.ask(&message).map_err(|refused| match refused {
            Refused::Down => ErrorCode::Unavailable,
            Refused::Full => ErrorCode::Overloaded,
            Refused::TooLarge => ErrorCode::TooLarge,
        })?;
        conn.requests_in_flight += 1;
        self.counters.requests += 1;
        let write = place.map(|(write, place)| (write, place.number));
        let asked = self.ticks.at(io.now());
        let purpose = Purpose::Op { frame, write };
        let pending = Pending { slot: id.slot, session, asked, purpose };
        self.link.requests.insert(request, pending);
        Ok(())
    }

    /// An answer is complete.
    pub(super) fn answered<I: Io>(&mut self, io: &mut I, request: u64, body: &[u8], failed: bool) {
        let Some(pending) = self.link.requests.take(request) else { return };
        let Some((id, conn)) = self.slab.session_mut(pending.slot, pending.session) else { return };
        match pending.purpose {
            Purpose::Register { .. } => match v1::ServerFrame::decode(body).map(|frame| frame.body)
            {
                Ok(Some(v1::Body::Welcome(welcome))) => self.registered(io, id, welcome),
                Ok(Some(v1::Body::Error(error))) => self.registration_failed(io, id, error),
                _ => self.registration_failed(io, id, ErrorCode::Internal.error()),
            },
            Purpose::Op { frame, write } => {
                conn.requests_in_flight = conn.requests_in_flight.saturating_sub(1);
                if let Some((write, number)) = write {
                    self.end_write(id, write, number, failed && is_retryable(body));
                }
                self.counters.answers += 1;
                if frame.is_some() || failed {
                    self.write_answer(io, id, frame, body);
                }
            }
        }
    }

    fn end_write(&mut self, id: ConnId, write: Write, number: u64, failed: bool) {
        if let Some((orders, _)) = self.orders(id) {
            orders.end(&write.conv, number, write.id, write.can_return, failed);
            self.tidy_orders(id);
        }
    }

    fn write_answer<I: Io>(&mut self, io: &mut I, id: ConnId, frame: Option<u64>, body: &[u8]) {
        let Some(codec) = self.slab.get_mut(id).map(|conn| conn.codec) else { return };
        let mut outcome = Ok(());
        self.offer_answer(io, id, |out| {
            encode::frame_with(out, codec.opcode(), |out| match codec {
                Codec::Protobuf => transcode::answer_protobuf(frame, body, out),
                Codec::Json => {
                    outcome = transcode::answer_json(frame, body, out);
                    if outcome.is_err() {
                        let error = v1::Body::Error(ErrorCode::Internal.error());
                        let answer = v1::ServerFrame { id: frame, body: Some(error) };
                        throng_wire::Json::write_json(&answer, out);
                    }
                }
            });
        });
        if let Err(error) = outcome {
            tracing::error!(shard = self.shard, %error, "the router's answer is not a frame");
        }
    }

    /// The home has the session.
    fn registered<I: Io>(&mut self, io: &mut I, id: ConnId, welcome: v1::Welcome<'_>) {
        self.link.pushed_until(welcome.time_ms);
        let Some(conn) = self.slab.get_mut(id) else { return };
        match conn.phase {
            Phase::Registering(_) => self.establish(io, id, welcome),
            Phase::Established(_) => {
                let v1::Welcome { changes: items, cursor, more, sync, .. } = welcome;
                let changes = v1::Changes { items, cursor, more, sync };
                let body = Some(v1::Body::Changes(changes));
                self.write_frame(io, id, &v1::ServerFrame { id: None, body });
            }
            _ => {}
        }
    }

    /// The home did not take the session.
    fn registration_failed<I: Io>(&mut self, io: &mut I, id: ConnId, error: v1::Error<'_>) {
        let Some(conn) = self.slab.open_mut(id) else { return };
        conn.is_registered = false;
        let hello_id = match &conn.phase {
            Phase::Registering(registering) => registering.hello_id,
            _ => None,
        };
        let is_retryable = ErrorCode::parse(&error.code).is_none_or(ErrorCode::is_retryable);
        let close =
            if is_retryable { SessionClose::ServerFault } else { SessionClose::ProtocolError };
        self.refuse_session(io, id, hello_id, error, close);
    }

    /// The link is lost: nothing under way will be answered.
    pub(super) fn fail_all_requests<I: Io>(&mut self, io: &mut I) {
        let mut numbers: Vec<u64> = self.link.requests.pending.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(pending) = self.link.requests.take(number) {
                self.fail_request(io, pending);
            }
        }
    }

    /// The router took too long.
    pub(super) fn fail_late_requests<I: Io>(&mut self, io: &mut I, tick: u32) {
        for number in self.link.requests.late(tick) {
            self.link.answers.forget(number);
            let Some(pending) = self.link.requests.take(number) else { continue };
            match pending.purpose {
                Purpose::Register { .. } => self.registration_late(io, &pending),
                Purpose::Op { .. } => self.fail_request(io, pending),
            }
        }
    }

    /// Nobody would push to a session that its home does not have: its client does better to come
    /// again.
    fn registration_late<I: Io>(&mut self, io: &mut I, pending: &Pending) {
        if let Some((id, _)) = self.slab.session_mut(pending.slot, pending.session) {
            self.close(io, id, CloseReason::ServerFault);
        }
    }

    /// Answers in the router's place: whether a write was done is not known.
    fn fail_request<I: Io>(&mut self, io: &mut I, pending: Pending) {
        let Some((id, conn)) = self.slab.session_mut(pending.slot, pending.session) else { return };
        let Purpose::Op { frame, write } = pending.purpose else { return };
        conn.requests_in_flight = conn.requests_in_flight.saturating_sub(1);
        let code = if write.is_some() { ErrorCode::Unknown } else { ErrorCode::Unavailable };
        if let Some((write, number)) = write {
            self.end_write(id, write, number, true);
        }
        self.answer_error(io, id, frame, code, code.error());
    }
}

fn is_retryable(body: &[u8]) -> bool {
    match v1::ServerFrame::decode(body).map(|frame| frame.body) {
        Ok(Some(v1::Body::Error(error))) => {
            ErrorCode::parse(&error.code).is_none_or(ErrorCode::is_retryable)
        }
        _ => false,
    }
}
