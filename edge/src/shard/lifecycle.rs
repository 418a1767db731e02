//! How connections begin and end, and what their deadlines mean in each phase.

use std::net::SocketAddr;
use std::time::Instant;

use throng_ring::{Arm, CloseKind, ConnId, Io};
use throng_wire::ws::{self, CloseCode, ProtocolError};

use super::conn::{Handshake, Phase};
use super::{Core, no_decoder};
use crate::limits;
use crate::metrics::CloseReason;

impl Core {
    /// A peer connected.
    pub(super) fn accepted<I: Io>(&mut self, io: &mut I, id: ConnId, peer: SocketAddr) {
        self.counters.accepted += 1;
        let tick = self.ticks.at(io.now());
        let clients = self.clients();
        let admitted = self.admission.enter(peer.ip(), clients, tick);
        if admitted.is_ok() {
            let handshake = Handshake { peer: peer.ip(), head: Vec::new(), token: None };
            let conn = self.slab.insert(id, Phase::Http(Box::new(handshake)));
            conn.last_seen = tick;
            self.asking += 1;
            io.arm(id, Arm::Hot);
            self.timers.set(id.slot, io.now() + self.deadlines.http);
            if self.is_ending() {
                self.turn_away(io, id);
            }
        } else {
            self.refuse(io, id);
        }
        self.mind_the_door(io, tick);
    }

    /// Tells a peer that it is not let in. When too many are being told, it is reset instead: the
    /// refused live on the spare slots, and must leave some for those who are let in.
    fn refuse<I: Io>(&mut self, io: &mut I, id: ConnId) {
        self.counters.refused += 1;
        self.closes[CloseReason::Refused as usize] += 1;
        let is_told = self.admission.refused() < limits::REFUSALS_LINGERING_MAX;
        self.admission.refuse(id.slot);
        let conn = self.slab.insert(id, Phase::Closing);
        if !is_told {
            io.close(id, CloseKind::Abort);
            return;
        }
        io.arm(id, Arm::Hot);
        self.outputs.offer_shared(id, conn, &self.refusal, false);
        self.outputs.close_after(id, conn);
        self.timers.set(id.slot, io.now() + limits::CLOSE_DEADLINE);
    }

    /// Holds accepting back while the door is shut, and goes on when it opens.
    pub(super) fn mind_the_door<I: Io>(&mut self, io: &mut I, tick: u32) {
        let opens = self.admission.is_open(tick);
        if opens != self.is_accepting {
            self.is_accepting = opens;
            for &listener in &self.listeners {
                io.accept(listener, opens);
            }
        }
    }

    /// Connections of clients. The refused are none: they take nobody's place.
    pub(super) fn clients(&self) -> usize {
        let others = usize::from(self.link.has_connection()) + self.admission.refused();
        self.slab.used() - others
    }

    /// Ends a connection in an orderly way: what is queued, a close frame if the reason has one,
    /// FIN. A peer that does not follow in time is reset.
    pub(super) fn close<I: Io>(&mut self, io: &mut I, id: ConnId, reason: CloseReason) {
        self.close_with(io, id, reason, reason.code(), reason.label());
    }

    /// As [`Core::close`], with a code and text of the caller's.
    pub(super) fn close_with<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        reason: CloseReason,
        code: Option<u16>,
        text: &str,
    ) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        if matches!(conn.phase, Phase::Closing | Phase::Link) {
            return;
        }
        let is_websocket = !matches!(conn.phase, Phase::Http(_));
        self.leave(id, reason);
        let Some(conn) = self.slab.get_mut(id) else { return };
        conn.phase = Phase::Closing;
        if reason == CloseReason::SlowConsumer {
            self.outputs.discard_queued(io, conn);
        }
        if let Some(code) = code.and_then(CloseCode::new).filter(|_| is_websocket) {
            self.outputs.write(io, id, conn, |out| ws::encode::close(out, code, text, None));
        }
        self.outputs.close_after(id, conn);
        if conn.is_held {
            conn.is_held = false;
            io.arm(id, Arm::Hot);
        }
        self.timers.set(id.slot, io.now() + limits::CLOSE_DEADLINE);
    }

    /// Ends a connection at once.
    pub(super) fn abort<I: Io>(&mut self, io: &mut I, id: ConnId, reason: CloseReason) {
        self.leave(id, reason);
        if let Some(conn) = self.slab.get_mut(id) {
            conn.phase = Phase::Closing;
            self.timers.cancel(id.slot);
            io.close(id, CloseKind::Abort);
        }
    }

    /// The peer broke RFC 6455.
    pub(super) fn fail_websocket<I: Io>(&mut self, io: &mut I, id: ConnId, error: ProtocolError) {
        let code = error.close_code();
        let reason = match code {
            CloseCode::INVALID_PAYLOAD => CloseReason::InvalidUtf8,
            CloseCode::MESSAGE_TOO_BIG => CloseReason::MessageTooBig,
            _ => CloseReason::WebSocketError,
        };
        self.close_with(io, id, reason, Some(code.get()), error.reason());
    }

    /// Takes the connection out of everything that counts it. Its phase is left for the caller.
    fn leave(&mut self, id: ConnId, reason: CloseReason) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        if matches!(conn.phase, Phase::Closing | Phase::Link) {
            return;
        }
        self.closes[reason as usize] += 1;
        conn.decoder = no_decoder();
        if std::mem::take(&mut conn.is_partial) {
            self.partial.forget(id);
        }
        if let Some(peer) = conn.handshake_peer() {
            self.admission.linger(id.slot, peer);
        }
        match conn.phase {
            Phase::Established(_) => self.sessions -= 1,
            Phase::Http(_) => self.asking -= 1,
            _ => {}
        }
        self.unregister(id);
    }

    /// The driver is done with a connection.
    pub(super) fn closed<I: Io>(&mut self, io: &mut I, id: ConnId) {
        self.lose_link_of(io, id, "closed");
        self.leave(id, CloseReason::PeerGone);
        let Some(conn) = self.slab.get_mut(id) else { return };
        self.outputs.release(conn);
        self.timers.cancel(id.slot);
        self.admission.freed(id.slot);
        self.slab.remove(id);
    }

    /// The peer sends no more.
    pub(super) fn receive_ended<I: Io>(&mut self, io: &mut I, id: ConnId, is_fin: bool) {
        self.lose_link_of(io, id, "the router closed it");
        let Some(conn) = self.slab.get_mut(id) else { return };
        match conn.phase {
            Phase::Link => {}
            // What is queued still goes out; the driver then sees both ends closed.
            Phase::Closing if is_fin => {}
            _ if is_fin => self.close_with(io, id, CloseReason::PeerGone, None, ""),
            _ => self.abort(io, id, CloseReason::PeerGone),
        }
    }

    /// If the connection is the link's, the link is lost.
    pub(super) fn lose_link_of<I: Io>(&mut self, io: &mut I, id: ConnId, why: &str) {
        if self.link.is_on(id) {
            self.lose_link(io, why);
        }
    }

    /// A deadline passed.
    pub(super) fn expired<I: Io>(&mut self, io: &mut I, slot: u32) {
        let Some((id, conn)) = self.slab.slot_mut(slot) else { return };
        match &conn.phase {
            Phase::Free | Phase::Link => {}
            Phase::Http(_) => self.close(io, id, CloseReason::HttpDeadline),
            Phase::Hello(_) => self.close(io, id, CloseReason::NoHello),
            Phase::Registering(_) => self.close(io, id, CloseReason::ServerFault),
            Phase::Established(_) => self.look_after(io, id),
            Phase::Echo => {
                let next = Self::cool_down(&self.deadlines, &self.ticks, io, id, conn);
                if let Some(next) = next {
                    self.timers.set(slot, next);
                }
            }
            Phase::Closing => {
                io.close(id, CloseKind::Abort);
            }
        }
    }

    /// A peer that does not take what it asked for is not read any further.
    pub(super) fn hold_back<I: Io>(&mut self, io: &mut I, id: ConnId) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        let speaks = matches!(conn.phase, Phase::Established(_) | Phase::Echo);
        if speaks && !conn.is_held && self.outputs.held_bytes(conn) > self.hold_bytes {
            conn.is_held = true;
            conn.is_cold = false;
            io.arm(id, Arm::Off);
        }
    }

    /// A send went through: a peer that was held back is there, and may be read again.
    pub(super) fn let_go<I: Io>(&mut self, io: &mut I, id: ConnId) {
        let tick = self.ticks.at(io.now());
        let Some(conn) = self.slab.get_mut(id).filter(|conn| conn.is_held) else { return };
        conn.last_seen = tick;
        if self.outputs.held_bytes(conn) <= self.hold_bytes {
            conn.is_held = false;
            io.arm(id, Arm::Hot);
            self.turned_hot(io, id);
        }
    }

    /// A connection is read in the fast way again: it has to turn cold again some time, and what
    /// else its timer was set for stays due when it was.
    pub(super) fn turned_hot<I: Io>(&mut self, io: &mut I, id: ConnId) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        match conn.phase {
            Phase::Established(_) if !conn.is_leaving => self.look_after(io, id),
            Phase::Echo => self.timers.set(id.slot, io.now() + self.deadlines.cold_after),
            _ => {}
        }
    }

    /// Turns a connection that was silent for long enough cold. Else tells when to look again.
    pub(super) fn cool_down<I: Io>(
        deadlines: &super::Deadlines,
        ticks: &super::clock::Ticks,
        io: &mut I,
        id: ConnId,
        conn: &mut super::conn::Conn,
    ) -> Option<Instant> {
        if conn.is_cold || conn.is_held {
            return None;
        }
        let now = io.now();
        let idle_ticks = ticks.at(now).wrapping_sub(conn.last_seen);
        let left = deadlines.cold_after_ticks.saturating_sub(idle_ticks);
        if left > 0 {
            return Some(now + limits::TICK * left);
        }
        conn.is_cold = true;
        io.arm(id, Arm::Cold);
        None
    }

    /// Input came: one that woke up for the first time in a while stays cold, one that goes on
    /// talking turns hot. Returns whether the connection just turned hot.
    pub(super) fn warm_up<I: Io>(
        cold_after_ticks: u32,
        io: &mut I,
        id: ConnId,
        conn: &mut super::conn::Conn,
        tick: u32,
    ) -> bool {
        let idle_ticks = tick.wrapping_sub(conn.last_seen);
        conn.last_seen = tick;
        conn.is_pinged = false;
        if !conn.is_cold {
            return false;
        }
        if idle_ticks >= cold_after_ticks {
            io.arm(id, Arm::Cold);
            return false;
        }
        conn.is_cold = false;
        true
    }
}
