//! What an edge says on its link: from frames to what the actors are asked.

use std::borrow::Cow;

use throng_store::ConvId;
use throng_wire::link::{self, FrameReader, ToEdge, ToRouter};
use throng_wire::v1;
use tokio::sync::mpsc::error::TrySendError;

use super::decode::{self, Target, named};
use super::merge::Merge;
use super::serve::{Link, LinkError};
use super::under_way::{self, NumberInUse};
use crate::actor::home::{Ask, Call, HomeMessage, Registration};
use crate::actor::owner::OwnerMessage;
use crate::home::cursor::Cursor;
use crate::limits;
use crate::owner::{Asker, Connection, Key, Named, Op, Order, Refusal, Request, event};

/// An operation of a client, on its way to the actors.
#[derive(Debug)]
pub(super) struct Asked {
    request: u64,
    asker: Asker,
    order: Option<Order>,
    /// Monotonic milliseconds after which nobody waits for the answer.
    deadline_ms: u64,
    target: Target,
}

impl Link {
    pub(super) fn receive(
        &mut self,
        frames: &mut FrameReader,
        mut input: &[u8],
    ) -> Result<(), LinkError> {
        while let Some(frame) = frames.next(&mut input)? {
            let frame_bytes = link::HEADER_BYTES + frame.payload.len();
            self.frame(ToRouter::decode(frame)?, frame_bytes)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: ToRouter<'_>, frame_bytes: usize) -> Result<(), LinkError> {
        match frame {
            ToRouter::Hello(hello) if !self.open => self.hello(&hello),
            ToRouter::Bye(bye) => Err(LinkError::Bye(bye.reason.into_owned())),
            _ if !self.open => Err(LinkError::Protocol("the link begins with hello")),
            ToRouter::Hello(_) => Err(LinkError::Protocol("hello was said already")),
            ToRouter::Register(register) => self.register(register, frame_bytes),
            ToRouter::Unregister(unregister) => self.unregister(&unregister),
            ToRouter::Request(request) => self.request(&request, frame_bytes),
        }
    }

    fn hello(&mut self, hello: &link::Hello<'_>) -> Result<(), LinkError> {
        let version = link::negotiate(hello.version_min, hello.version_max)
            .ok_or(LinkError::Protocol("this router and this edge have no version in common"))?;
        let granted = self.credit.granted();
        self.outbox.push(&ToEdge::Welcome(link::Welcome {
            version,
            incarnation: self.shared.incarnation,
            requests: granted.requests,
            bytes: granted.bytes,
            log_id: Cow::Borrowed(&self.shared.log_id),
        }))?;
        self.open = true;
        Ok(())
    }

    fn begin(&mut self, request: u64, frame_bytes: usize) -> Result<(), LinkError> {
        self.credit.receive(frame_bytes)?;
        self.under_way
            .begin(request, frame_bytes)
            .map_err(|NumberInUse| LinkError::Protocol("a request number that is under way"))
    }

    fn connection(&self, session: &link::Session<'_>) -> Connection {
        Connection { link: self.number, slot: session.slot, session: session.session }
    }

    fn register(
        &mut self,
        register: link::Register<'_>,
        frame_bytes: usize,
    ) -> Result<(), LinkError> {
        self.begin(register.request, frame_bytes)?;
        let session = register.session.ok_or(LinkError::Protocol("no session"))?;
        let user = user(&session)?;
        let log_id = self.shared.log_id;
        let cursor = match register.resumed {
            true => Some(Cursor { log_id, moment_ms: register.since_ms, rest: None }),
            false => Cursor::decode(&register.cursor),
        };
        let registration = Registration {
            request: register.request,
            connection: self.connection(&session),
            device: session.device.into(),
            cursor,
            session_id: register.session_id,
            resumed: register.resumed,
            user,
        };
        self.call(registration.user.id, Call::Register(registration));
        Ok(())
    }

    fn unregister(&mut self, unregister: &link::Unregister<'_>) -> Result<(), LinkError> {
        let session = unregister.session.as_ref().ok_or(LinkError::Protocol("no session"))?;
        let (user, connection) = (user(session)?, self.connection(session));
        self.call(user.id, Call::Unregister { user: user.id, connection });
        Ok(())
    }

    fn call(&mut self, user: throng_store::UserId, call: Call) {
        let worker = self.shared.homes.of_user(user);
        self.calls[worker].push(call);
    }

    fn request(
        &mut self,
        request: &link::Request<'_>,
        frame_bytes: usize,
    ) -> Result<(), LinkError> {
        self.begin(request.request, frame_bytes)?;
        let session = request.session.as_ref().ok_or(LinkError::Protocol("no session"))?;
        let user = user(session)?;
        let limits = &self.shared.limits;
        let target = match decode::decode(&request.frame, &user.name, &session.device, limits) {
            Ok(target) => target,
            Err(refusal) => match refused_in_its_place(request, refusal) {
                Some(target) => target,
                None => {
                    self.answer(request.request, 0, refusal.frame(), Some(refusal));
                    return Ok(());
                }
            },
        };
        let live_ms = match request.deadline_ms {
            0 => limits::REQUEST_DEADLINE_MS,
            live_ms => live_ms,
        };
        let order = Order { number: request.order, first: request.first };
        let connection = self.connection(session);
        let asked = Asked {
            request: request.request,
            asker: Asker { user, device: (&*session.device).into(), connection },
            order: (order.number != 0).then_some(order),
            deadline_ms: self.shared.clock.now().mono_ms + u64::from(live_ms),
            target,
        };
        let answer_bytes = under_way::answer_bytes(&asked.target);
        if let Some(asked) = self.under_way.admit(request.request, answer_bytes, asked) {
            self.ask(asked);
        }
        Ok(())
    }

    /// Asks on behalf of those that waited for room for their answers. Whether there was one.
    pub(super) fn ask_held(&mut self) -> bool {
        let mut any = false;
        while let Some(asked) = self.under_way.next() {
            any = true;
            if asked.deadline_ms <= self.shared.clock.now().mono_ms {
                let refusal = Refusal::Overloaded;
                self.answer(asked.request, 0, refusal.frame(), Some(refusal));
            } else {
                self.ask(asked);
            }
        }
        any
    }

    fn ask(&mut self, asked: Asked) {
        let Asked { request, asker, order, deadline_ms, target } = asked;
        let link = self.number;
        let of_part = |part, asker, op| {
            let key = Key { link, part, request };
            Request { key, asker, order, deadline_ms, op }
        };
        match target {
            Target::Ping => {
                let time_ms = self.shared.clock.now().wall_ms;
                let pong = event::frame(v1::Body::Pong(v1::Pong { time_ms }));
                self.answer(request, 0, pong, None);
            }
            Target::Home(op) => {
                let (user, connection) = (asker.user.id, asker.connection);
                self.call(user, Call::Ask(Ask { request, connection, user, deadline_ms, op }));
            }
            Target::Owner(conv, op) => self.ask_owner(conv, of_part(0, asker, op)),
            Target::Sync(parts) => {
                let merge = Merge::new(parts.iter().map(|(conv, _)| *conv));
                if parts.is_empty() {
                    let (body, refusal) = merge.finish();
                    return self.answer(request, 0, body, refusal);
                }
                self.under_way.merge(request, merge);
                for (part, (conv, op)) in (0..).zip(parts) {
                    self.ask_owner(conv, of_part(part, asker.clone(), op));
                }
            }
        }
    }

    fn ask_owner(&mut self, conv: ConvId, request: Request) {
        let worker = self.shared.owners.of_conv(conv);
        self.requests[worker].push((conv, request));
    }

    /// Hands the turn's requests to the actors. An owner whose mailbox is full refuses at once.
    pub(super) async fn dispatch(&mut self) {
        for worker in 0..self.calls.len() {
            let calls = std::mem::take(&mut self.calls[worker]);
            if !calls.is_empty() {
                // A home that has stopped answers nobody; the link will end, too.
                let _ = self.shared.homes.get(worker).send(HomeMessage::Calls(calls)).await;
            }
        }
        for worker in 0..self.requests.len() {
            let requests = std::mem::take(&mut self.requests[worker]);
            if requests.is_empty() {
                continue;
            }
            let message = OwnerMessage::Requests(requests);
            match self.shared.owners.get(worker).try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => self.refuse(message, Refusal::Overloaded),
                Err(TrySendError::Closed(message)) => self.refuse(message, Refusal::Unavailable),
            }
        }
    }

    fn refuse(&mut self, message: OwnerMessage, refusal: Refusal) {
        let OwnerMessage::Requests(requests) = message else { return };
        for (_, request) in requests {
            let Key { request, part, .. } = request.key;
            self.answer(request, part, refusal.frame(), Some(refusal));
        }
    }
}

fn user(session: &link::Session<'_>) -> Result<Named, LinkError> {
    named(&session.user).map_err(|_| LinkError::Protocol("a session without a user"))
}

/// A write that is refused for good still has to take its place among those of its connection: only
/// the conversation's owner can say that the next one may pass.
fn refused_in_its_place(request: &link::Request<'_>, refusal: Refusal) -> Option<Target> {
    let conv: [u8; 16] = (*request.conv_id).try_into().ok()?;
    (request.order != 0).then_some(Target::Owner(ConvId(conv), Op::Refused(refusal)))
}
