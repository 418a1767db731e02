//! What a completion means: the record's change, and the event for the caller.

use std::io;

use crate::driver::{Arm, ConnId, Event, Handler};
use crate::reactor::Reactor;
use crate::reactor::kernel::{Completion, Kernel};
use crate::reactor::table::{Flags, Phase};
use crate::reactor::token::OpKind;

impl<K: Kernel> Reactor<K> {
    /// Applies one completion and tells the handler what came of it.
    pub(super) fn complete<H: Handler<Self>>(
        &mut self,
        completion: Completion<K::Lease>,
        handler: &mut H,
    ) {
        let Completion { token, result, more, lease } = completion;
        let id = token.conn;
        let Some(conn) = self.table.get_mut(id) else {
            // Cannot be while slots outlive their operations; harmless if it is.
            tracing::error!(?token, result, "completion on a free slot");
            lease.into_iter().for_each(|lease| self.kernel.give_back(lease));
            return;
        };
        if !more {
            conn.ops &= !token.kind.bit();
        }
        match token.kind {
            OpKind::Open => self.opened(id, result, handler),
            OpKind::Receive => self.received(id, result, more, lease, handler),
            OpKind::Poll => self.polled(id, result),
            OpKind::Send => self.sent(id, result, handler),
            OpKind::Shutdown => self.shut_down(id, result),
            OpKind::CancelInput => self.input_cancelled(id, result),
            OpKind::CancelOutput | OpKind::Close => {}
        }
        self.settle(id);
        self.release_if_ended(id, handler);
    }

    fn opened<H: Handler<Self>>(&mut self, id: ConnId, result: i32, handler: &mut H) {
        let Some(conn) = self.table.get_mut(id) else { return };
        match conn.phase {
            Phase::Accepting => self.accepted(id, result, handler),
            Phase::Connecting => {
                conn.phase = if result < 0 { Phase::Closing } else { Phase::Open };
                handler.event(self, Event::Connected { conn: id, result: outcome(result) });
            }
            _ => {}
        }
    }

    fn received<H: Handler<Self>>(
        &mut self,
        id: ConnId,
        result: i32,
        more: bool,
        lease: Option<K::Lease>,
        handler: &mut H,
    ) {
        let Some(conn) = self.table.get_mut(id) else { return };
        if !more {
            conn.flags.clear(Flags::INPUT_CANCELLED);
        }
        if let Some(mut lease) = lease {
            conn.flags.set(Flags::FED);
            if conn.phase == Phase::Open && !lease.is_empty() {
                handler.event(self, Event::Received { conn: id, data: &mut lease });
            }
            self.kernel.give_back(lease);
        }
        match result.saturating_neg() {
            ..0 | libc::ECANCELED | libc::EAGAIN | libc::EINTR => {}
            libc::ENOBUFS => self.starve(id),
            _ => self.input_ended(id, result, handler),
        }
    }

    fn starve(&mut self, id: ConnId) {
        let Some(conn) = self.table.get_mut(id) else { return };
        conn.flags.set(Flags::READABLE);
        if !conn.flags.has(Flags::STARVED) {
            conn.flags.set(Flags::STARVED);
            let line = usize::from(conn.flags.has(Flags::FED));
            self.starved[line].push_back(id);
        }
    }

    fn input_ended<H: Handler<Self>>(&mut self, id: ConnId, result: i32, handler: &mut H) {
        let Some(conn) = self.table.get_mut(id) else { return };
        conn.flags.set(Flags::INPUT_ENDED);
        if conn.phase == Phase::Open {
            handler.event(self, Event::ReceiveEnd { conn: id, result: outcome(result) });
        }
    }

    /// A readable (or broken) connection receives from here on, until it is made cold again.
    fn polled(&mut self, id: ConnId, result: i32) {
        let Some(conn) = self.table.get_mut(id) else { return };
        conn.flags.clear(Flags::INPUT_CANCELLED);
        if result != -libc::ECANCELED && conn.arm == Arm::Cold {
            conn.arm = Arm::Hot;
            conn.flags.set(Flags::READABLE);
        }
    }

    fn sent<H: Handler<Self>>(&mut self, id: ConnId, result: i32, handler: &mut H) {
        let Some(mut flight) = self.kernel.landed(id.slot) else { return };
        let Some(conn) = self.table.get_mut(id) else { return };
        flight.advance(usize::try_from(result).unwrap_or(0));
        let again = result > 0 || matches!(-result, libc::EAGAIN | libc::EINTR);
        if again && flight.left() > 0 && conn.phase != Phase::Closing {
            self.submit_send(id, flight);
            return;
        }
        let result = match result {
            _ if flight.left() == 0 => 0,
            0.. => -libc::EPIPE,
            error => error,
        };
        self.pool.land(flight);
        match conn.phase {
            Phase::Open => handler.event(self, Event::Sent { conn: id, result: outcome(result) }),
            Phase::Lingering if result < 0 => conn.phase = Phase::Closing,
            _ => {}
        }
    }

    fn shut_down(&mut self, id: ConnId, result: i32) {
        let Some(conn) = self.table.get_mut(id) else { return };
        if result < 0 && conn.phase == Phase::Lingering {
            conn.phase = Phase::Closing;
        }
    }

    fn input_cancelled(&mut self, id: ConnId, result: i32) {
        let Some(conn) = self.table.get_mut(id) else { return };
        let outstanding = conn.outstanding(OpKind::Receive) || conn.outstanding(OpKind::Poll);
        if result >= 0 && outstanding {
            conn.flags.set(Flags::INPUT_CANCELLED);
        }
    }

    fn release_if_ended<H: Handler<Self>>(&mut self, id: ConnId, handler: &mut H) {
        let Some(conn) = self.table.get(id) else { return };
        if conn.ops != 0 || conn.phase != Phase::Closing {
            return;
        }
        let unseen = conn.flags.has(Flags::UNSEEN);
        self.table.release(id);
        if !unseen {
            self.connections -= 1;
            handler.event(self, Event::Closed { conn: id });
        }
    }
}

/// A completion's result, for callers.
pub(super) fn outcome(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}
