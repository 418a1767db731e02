//! Sessions: hello, the home's confirmation, and the operations of an established client.

use throng_ring::{Arm, ConnId, Io};
use throng_wire::client::{self, FrameError};
use throng_wire::id;
use throng_wire::ws::{Event, Input, encode};
use throng_wire::{ErrorCode, Json as _, Protobuf as _, SessionClose, limits as wire, v1};

use super::admission::Bucket;
use super::conn::{Codec, Name, Phase, Registering, Session};
use super::op::{self, Write};
use super::output::Verdict;
use super::{Core, Mode, no_decoder, order};
use crate::keys::Identity;
use crate::limits;
use crate::metrics::CloseReason;

impl Core {
    /// Bytes of a connection that speaks our protocol.
    pub(super) fn session_received<I: Io>(&mut self, io: &mut I, id: ConnId, data: &mut [u8]) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        let mut decoder = std::mem::replace(&mut conn.decoder, no_decoder());
        let mut input = Input::new(data);
        while self.is_speaking(id) {
            match decoder.next(&mut input) {
                Ok(Some(Event::Text(text))) => {
                    self.message(io, id, Codec::Json, client::decode_json(text));
                }
                Ok(Some(Event::Binary(bytes))) => {
                    self.message(io, id, Codec::Protobuf, client::decode_protobuf(bytes));
                }
                Ok(Some(Event::Ping(payload))) => {
                    self.offer(io, id, |out| encode::pong(out, payload, None));
                }
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(close))) => {
                    self.offer(io, id, |out| encode::close_reply(out, close, None));
                    self.close(io, id, CloseReason::ClientClose);
                }
                Ok(None) => {
                    if let Some(conn) = self.slab.get_mut(id) {
                        conn.decoder = decoder;
                    }
                    self.hold_back(io, id);
                    return;
                }
                Err(error) => self.fail_websocket(io, id, error),
            }
        }
    }

    fn is_speaking(&mut self, id: ConnId) -> bool {
        let phase = self.slab.get_mut(id).map(|conn| &conn.phase);
        matches!(phase, Some(Phase::Hello(_) | Phase::Registering(_) | Phase::Established(_)))
    }

    fn message<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        codec: Codec,
        decoded: Result<v1::ClientFrame<'_>, FrameError>,
    ) {
        self.counters.received_frames += 1;
        let Some(conn) = self.slab.get_mut(id) else { return };
        if conn.codec != codec {
            self.close(io, id, CloseReason::WrongKind);
            return;
        }
        let phase = &conn.phase;
        match (decoded, phase) {
            (Err(error), Phase::Established(_)) if error.code() == ErrorCode::UnknownOp => {
                self.unknown_op(io, id, &error);
            }
            (Err(error), _) => self.bad_frame(io, id, error.id, &error.answer(), error.code()),
            (
                Ok(v1::ClientFrame { id: frame, op: Some(v1::Op::Hello(hello)) }),
                Phase::Hello(_),
            ) => {
                self.hello(io, id, frame, &hello);
            }
            (Ok(frame), Phase::Hello(_)) => {
                let error =
                    ErrorCode::Unauthenticated.error_saying("the first frame must be hello");
                self.refuse_session(io, id, frame.id, error, SessionClose::ProtocolError);
            }
            (Ok(frame), Phase::Registering(_)) => {
                let error = ErrorCode::BadFrame.error_saying("wait for welcome");
                let answer = v1::ServerFrame { id: frame.id, body: Some(v1::Body::Error(error)) };
                self.bad_frame(io, id, frame.id, &answer, ErrorCode::BadFrame);
            }
            (Ok(v1::ClientFrame { id: frame, op: Some(op) }), _) => self.op(io, id, frame, op),
            (Ok(v1::ClientFrame { op: None, .. }), _) => {}
        }
    }

    /// An operation of a later version: it costs what others cost.
    fn unknown_op<I: Io>(&mut self, io: &mut I, id: ConnId, error: &FrameError) {
        if self.take_op_token(io, id) {
            let answer = ErrorCode::UnknownOp.error_saying(error.to_string());
            self.answer_error(io, id, error.id, ErrorCode::UnknownOp, answer);
        } else {
            self.refuse_op(io, id, error.id, ErrorCode::RateLimited, None);
        }
    }

    /// Whether the connection may have one more operation carried out.
    fn take_op_token<I: Io>(&mut self, io: &mut I, id: ConnId) -> bool {
        let tick = self.ticks.at(io.now());
        self.slab.get_mut(id).is_some_and(|conn| conn.ops.take(self.ops, tick))
    }

    /// Answers a frame that cannot be read, or that comes too early. Too many of them end the
    /// connection; each operation makes good for one, so that those of a long life do not add up.
    fn bad_frame<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        answer: &v1::ServerFrame<'_>,
        code: ErrorCode,
    ) {
        tracing::debug!(
            shard = self.shard,
            slot = id.slot,
            ?frame,
            code = code.text(),
            "bad frame"
        );
        self.errors[code as usize] += 1;
        self.write_frame(io, id, answer);
        let Some(conn) = self.slab.get_mut(id) else { return };
        conn.bad_frames = conn.bad_frames.saturating_add(1);
        if conn.bad_frames > limits::BAD_FRAMES_MAX {
            self.close(io, id, CloseReason::TooManyErrors);
        }
    }

    /// Queues a frame, in the connection's encoding.
    pub(super) fn write_frame<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: &v1::ServerFrame<'_>,
    ) {
        let Some(codec) = self.slab.get_mut(id).map(|conn| conn.codec) else { return };
        self.offer(io, id, |out| {
            encode::frame_with(out, codec.opcode(), |out| match codec {
                Codec::Json => frame.write_json(out),
                Codec::Protobuf => frame.encode(out),
            });
        });
    }

    /// Queues what `write` appends; a client that does not take its output is closed.
    pub(super) fn offer<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(conn) = self.slab.open_mut(id) else { return };
        if self.outputs.offer(io, id, conn, write) == Verdict::Overrun {
            self.close(io, id, CloseReason::SlowConsumer);
        }
    }

    /// Queues the answer to a request.
    pub(super) fn offer_answer<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(conn) = self.slab.open_mut(id) else { return };
        match self.outputs.offer_answer(io, id, conn, write) {
            Verdict::Overrun => self.close(io, id, CloseReason::SlowConsumer),
            Verdict::Queued | Verdict::Dropped => self.hold_back(io, id),
        }
    }

    /// Answers with an error of the edge itself.
    pub(super) fn answer_error<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        code: ErrorCode,
        error: v1::Error<'_>,
    ) {
        self.errors[code as usize] += 1;
        let answer = v1::ServerFrame { id: frame, body: Some(v1::Body::Error(error)) };
        self.write_frame(io, id, &answer);
    }

    /// A session that cannot be: says why, and closes.
    pub(super) fn refuse_session<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        mut error: v1::Error<'_>,
        close: SessionClose,
    ) {
        error.fatal = true;
        if let Some(code) = ErrorCode::parse(&error.code) {
            self.errors[code as usize] += 1;
        }
        let answer = v1::ServerFrame { id: frame, body: Some(v1::Body::Error(error)) };
        self.write_frame(io, id, &answer);
        self.close(io, id, CloseReason::from(close));
    }

    fn hello<I: Io>(&mut self, io: &mut I, id: ConnId, frame: Option<u64>, hello: &v1::Hello<'_>) {
        let (identity, device) = match self.identify(id, hello) {
            Ok(found) => found,
            Err((code, why)) => {
                let close = match code {
                    ErrorCode::Unauthenticated => SessionClose::Unauthenticated,
                    _ => SessionClose::ProtocolError,
                };
                self.refuse_session(io, id, frame, code.error_saying(why), close);
                return;
            }
        };
        let deadline = io.now() + limits::REGISTER_DEADLINE;
        let now_s = (self.clocks.wall_ms)() / 1000;
        let Some(conn) = self.slab.get_mut(id) else { return };
        let Phase::Hello(handshake) = std::mem::take(&mut conn.phase) else { return };
        conn.expires_s = expiry(identity.expires_s, now_s);
        conn.phase = Phase::Registering(Box::new(Registering {
            peer: handshake.peer,
            name: Name::new(&identity.user, &device),
            hello_id: frame,
            cursor: hello.cursor.clone().into_owned(),
            early: Vec::new(),
        }));
        self.timers.set(id.slot, deadline);
        self.register(io, id);
    }

    /// Who says hello, and on which device. Of a token a client is told only that it is not valid.
    fn identify(
        &mut self,
        id: ConnId,
        hello: &v1::Hello<'_>,
    ) -> Result<(Identity, String), op::Fault> {
        check_lengths(hello)?;
        let identity = match self.mode {
            Mode::Tokens => self.verify_token(id, &hello.token)?,
            Mode::Development | Mode::Echo => {
                Identity { user: hello.user.clone().into_owned(), device: None, expires_s: 0 }
            }
        };
        let device = match &identity.device {
            Some(bound) if !hello.device.is_empty() && *bound != hello.device => {
                return Err((ErrorCode::Unauthenticated, "the token is for another device"));
            }
            Some(bound) => bound.clone(),
            None => hello.device.clone().into_owned(),
        };
        let is_token_wrong = self.mode == Mode::Tokens && !id::is_name(&identity.user);
        if is_token_wrong {
            return Err((ErrorCode::Unauthenticated, "the token's subject is not a user's name"));
        }
        if !id::is_name(&identity.user) || !id::is_name(&device) {
            let why = "user and device must each be 1 to 64 of A-Z a-z 0-9 . _ @ + -";
            return Err((ErrorCode::BadFrame, why));
        }
        Ok((identity, device))
    }

    /// The token of hello, else that of the HTTP request.
    fn verify_token(&mut self, id: ConnId, in_hello: &str) -> Result<Identity, op::Fault> {
        const CODE: ErrorCode = ErrorCode::Unauthenticated;
        let carried = match self.slab.get_mut(id).map(|conn| &mut conn.phase) {
            Some(Phase::Hello(handshake)) => handshake.token.take(),
            _ => None,
        };
        let token = if in_hello.is_empty() { carried.as_deref() } else { Some(in_hello) };
        let token = token.ok_or((CODE, "a token is required"))?;
        let keys = self.keys.as_ref().ok_or((CODE, CODE.message()))?;
        let now_s = (self.clocks.wall_ms)() / 1000;
        keys.verify(token, now_s).map_err(|error| {
            tracing::debug!(%error, "token refused");
            (CODE, CODE.message())
        })
    }

    /// The home confirmed the registration: the session begins.
    pub(super) fn establish<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        mut welcome: v1::Welcome<'_>,
    ) {
        let tick = self.ticks.at(io.now());
        let Some(conn) = self.slab.get_mut(id) else { return };
        let Phase::Registering(registering) = std::mem::take(&mut conn.phase) else { return };
        let Registering { peer, name, hello_id, early, .. } = *registering;
        conn.phase = Phase::Established(Session { name, orders: None });
        conn.ops = Bucket::full(self.ops, tick);
        conn.bad_frames = 0;
        conn.decoder.raise_limit(self.frame_bytes_max);
        // Most connections fall silent now.
        conn.is_cold = true;
        io.arm(id, Arm::Cold);
        self.admission.leave(peer);
        self.sessions += 1;
        self.counters.welcomes += 1;
        self.complete_welcome(&mut welcome);
        let body = Some(v1::Body::Welcome(welcome));
        self.write_frame(io, id, &v1::ServerFrame { id: hello_id, body });
        for push in &early {
            self.push(io, id, push);
        }
        if self.slab.open_mut(id).is_some() {
            self.look_after(io, id);
        }
    }

    /// What the edge knows better than the home.
    fn complete_welcome(&self, welcome: &mut v1::Welcome<'_>) {
        welcome.heartbeat_ms = self.deadlines.heartbeat.as_millis() as u64;
        let bounds = welcome.limits.get_or_insert_default();
        bounds.frame_bytes_max = u64::from(self.frame_bytes_max);
        bounds.requests_in_flight_max = u32::from(limits::REQUESTS_IN_FLIGHT_MAX);
        let version = env!("CARGO_PKG_VERSION").into();
        welcome.server = Some(v1::ServerInfo { version });
    }

    /// An operation of an established session.
    fn op<I: Io>(&mut self, io: &mut I, id: ConnId, frame: Option<u64>, mut op: v1::Op<'_>) {
        let has_token = self.take_op_token(io, id);
        let wall_ms = (self.clocks.wall_ms)();
        let Some(conn) = self.slab.get_mut(id) else { return };
        let Phase::Established(session) = &conn.phase else { return };
        conn.bad_frames = conn.bad_frames.saturating_sub(1);
        if matches!(op, v1::Op::Ping(_)) {
            match (has_token, frame) {
                (false, _) => self.refuse_op(io, id, frame, ErrorCode::RateLimited, None),
                (true, Some(_)) => {
                    let body = Some(v1::Body::Pong(v1::Pong { time_ms: wall_ms }));
                    self.write_frame(io, id, &v1::ServerFrame { id: frame, body });
                }
                (true, None) => {}
            }
            return;
        }
        let random = &mut self.random;
        let route = op::route(session.name.user(), &mut op, || make_message_id(random, wall_ms));
        let route = match route {
            Ok(route) => route,
            Err((code, why)) => {
                match has_token {
                    true => self.answer_error(io, id, frame, code, code.error_saying(why)),
                    false => self.refuse_op(io, id, frame, ErrorCode::RateLimited, None),
                }
                return;
            }
        };
        let has_room = conn.requests_in_flight < limits::REQUESTS_IN_FLIGHT_MAX;
        let outcome = if has_token && has_room {
            self.forward(io, id, frame, op, route)
        } else {
            Err(ErrorCode::RateLimited)
        };
        if let Err(code) = outcome {
            self.refuse_op(io, id, frame, code, route.write);
        }
    }

    /// An operation that is refused here. One that may be sent again keeps its place in the order.
    pub(super) fn refuse_op<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        frame: Option<u64>,
        code: ErrorCode,
        write: Option<Write>,
    ) {
        let mut keeps_order = true;
        if let Some(write) = write
            && code != ErrorCode::AfterFailed
            && code.is_retryable()
            && let Some((orders, numbers)) = self.orders(id)
        {
            keeps_order = orders.refuse(numbers, write.conv, write.id, write.can_return);
            self.tidy_orders(id);
        }
        let mut error = code.error();
        if matches!(code, ErrorCode::RateLimited | ErrorCode::Overloaded | ErrorCode::Unavailable) {
            error.retry_after_ms = limits::RETRY_AFTER.as_millis() as u64;
        }
        self.answer_error(io, id, frame, code, error);
        if !keeps_order {
            self.close(io, id, CloseReason::ServerFault);
        }
    }

    /// The session's table of orders, made if there is none, and where its numbers come from.
    pub(super) fn orders(
        &mut self,
        id: ConnId,
    ) -> Option<(&mut order::Orders, &mut order::Numbers)> {
        let Phase::Established(session) = &mut self.slab.get_mut(id)?.phase else { return None };
        Some((session.orders.get_or_insert_default(), &mut self.order_numbers))
    }

    /// Frees the table of orders when nothing is in it.
    pub(super) fn tidy_orders(&mut self, id: ConnId) {
        if let Some(conn) = self.slab.get_mut(id)
            && let Phase::Established(session) = &mut conn.phase
            && session.orders.as_ref().is_some_and(|orders| orders.is_empty())
        {
            session.orders = None;
        }
    }
}

fn check_lengths(hello: &v1::Hello<'_>) -> Result<(), op::Fault> {
    let fields = [
        (hello.cursor.len(), wire::CURSOR_BYTES_MAX, "hello.cursor is longer than 128 bytes"),
        (hello.agent.len(), wire::AGENT_BYTES_MAX, "hello.agent is longer than 64 bytes"),
    ];
    match fields.into_iter().find(|(bytes, limit, _)| bytes > limit) {
        Some((_, _, why)) => Err((ErrorCode::TooLarge, why)),
        None => Ok(()),
    }
}

/// When the session ends: with the token, or with the leeway in which an old token was taken.
fn expiry(expires_s: u64, now_s: u64) -> u32 {
    let leeway_s = if expires_s > now_s || expires_s == 0 { 0 } else { limits::TOKEN_LEEWAY_S };
    u32::try_from(expires_s + leeway_s).unwrap_or(u32::MAX)
}

fn make_message_id(random: &mut super::clock::Random, wall_ms: u64) -> id::Id {
    let mut bits = [0; 10];
    bits[..8].copy_from_slice(&random.next().to_le_bytes());
    bits[8..].copy_from_slice(&random.next().to_le_bytes()[..2]);
    id::make_v7(wall_ms, bits)
}
