//! What is to be submitted for a connection, derived from its record.

use crate::driver::{Arm, ConnId};
use crate::reactor::Reactor;
use crate::reactor::flight::Flight;
use crate::reactor::kernel::Kernel;
use crate::reactor::table::{Flags, Phase};
use crate::reactor::token::{OpKind, Token};

impl<K: Kernel> Reactor<K> {
    /// Submits whatever the record's phase and wishes ask for and is not under way. Idempotent.
    pub(super) fn settle(&mut self, id: ConnId) {
        let Some(conn) = self.table.get(id) else { return };
        match conn.phase {
            Phase::Free | Phase::Connecting => {}
            Phase::Accepting => self.settle_accept(id),
            Phase::Open => self.settle_input(id, conn.arm),
            Phase::Lingering => self.settle_lingering(id),
            Phase::Closing => self.settle_closing(id),
        }
    }

    /// Brings the outstanding receive or poll in line with how the connection shall wait.
    fn settle_input(&mut self, id: ConnId, arm: Arm) {
        let Some(conn) = self.table.get_mut(id) else { return };
        if conn.flags.has(Flags::INPUT_ENDED) || conn.outstanding(OpKind::CancelInput) {
            return;
        }
        let receiving = conn.outstanding(OpKind::Receive);
        let polling = conn.outstanding(OpKind::Poll);
        match arm {
            Arm::Hot if polling => self.cancel(id, OpKind::CancelInput, OpKind::Poll),
            Arm::Hot if receiving || conn.flags.has(Flags::STARVED) => {}
            Arm::Hot => {
                let readable = conn.flags.has(Flags::READABLE);
                conn.flags.clear(Flags::READABLE | Flags::FED);
                let token = self.token(id, OpKind::Receive);
                self.kernel.receive(token, readable);
            }
            Arm::Cold | Arm::Off if receiving => {
                self.cancel(id, OpKind::CancelInput, OpKind::Receive);
            }
            Arm::Cold if polling => {}
            Arm::Cold => {
                let token = self.token(id, OpKind::Poll);
                self.kernel.poll(token);
            }
            Arm::Off if polling => self.cancel(id, OpKind::CancelInput, OpKind::Poll),
            Arm::Off => {}
        }
    }

    /// Graceful close: the send in flight, our FIN, then the peer's FIN; what it still sends is
    /// received and dropped, because closing over unread bytes would reset the connection.
    fn settle_lingering(&mut self, id: ConnId) {
        let Some(conn) = self.table.get_mut(id) else { return };
        if conn.outstanding(OpKind::Send) {
            return;
        }
        if conn.flags.has(Flags::INPUT_ENDED) {
            // The close itself sends our FIN.
            conn.phase = Phase::Closing;
            self.settle_closing(id);
            return;
        }
        if !conn.flags.has(Flags::SHUTDOWN_SUBMITTED) {
            conn.flags.set(Flags::SHUTDOWN_SUBMITTED);
            let token = self.token(id, OpKind::Shutdown);
            self.kernel.shutdown(token);
        }
        self.settle_input(id, Arm::Hot);
    }

    /// Cancels what is outstanding and closes the descriptor behind it. Cancels go by key: a cancel
    /// by descriptor walks every armed operation of the ring.
    fn settle_closing(&mut self, id: ConnId) {
        for (cancel, targets) in [
            (OpKind::CancelInput, [OpKind::Receive, OpKind::Poll]),
            (OpKind::CancelOutput, [OpKind::Send, OpKind::Open]),
        ] {
            for target in targets {
                self.cancel(id, cancel, target);
            }
        }
        let Some(conn) = self.table.get_mut(id) else { return };
        if !conn.flags.has(Flags::CLOSE_SUBMITTED) {
            conn.flags.set(Flags::CLOSE_SUBMITTED);
            let token = self.token(id, OpKind::Close);
            self.kernel.close(token);
        }
    }

    /// Cancels an outstanding operation, unless that is under way.
    pub(super) fn cancel(&mut self, id: ConnId, cancel: OpKind, target: OpKind) {
        let Some(conn) = self.table.get(id) else { return };
        let found = cancel == OpKind::CancelInput && conn.flags.has(Flags::INPUT_CANCELLED);
        if !conn.outstanding(target) || conn.outstanding(cancel) || found {
            return;
        }
        let token = self.token(id, cancel);
        self.kernel.cancel(token, Token { kind: target, conn: id });
    }

    /// Sends a flight, whole or what is left of it.
    pub(super) fn submit_send(&mut self, id: ConnId, flight: Box<Flight>) {
        let token = self.token(id, OpKind::Send);
        self.kernel.send(token, flight);
    }

    /// The token of an operation that is being submitted; its bit is set.
    pub(super) fn token(&mut self, conn: ConnId, kind: OpKind) -> Token {
        let token = Token { kind, conn };
        self.mark(token);
        token
    }

    pub(super) fn mark(&mut self, token: Token) {
        if let Some(conn) = self.table.get_mut(token.conn) {
            debug_assert!(!conn.outstanding(token.kind), "{token:?} is outstanding already");
            conn.ops |= token.kind.bit();
        }
    }
}
