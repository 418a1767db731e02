//! Sending, and the end of a connect: what a socket's room decides.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{self, SendAncillaryBuffer, SendFlags, sockopt};
use smallvec::SmallVec;

use crate::driver::ConnId;
use crate::epoll::input::Lease;
use crate::epoll::kernel::{EpollKernel, code, ended, key, negated};
use crate::epoll::poller::Interest;
use crate::epoll::slots::State;
use crate::limits::SEND_CHUNKS_MAX;
use crate::reactor::flight::Flight;
use crate::reactor::kernel::Completion;
use crate::reactor::token::{OpKind, Token};

impl EpollKernel {
    /// A connect has ended, or a blocked send may go on.
    pub(super) fn output(&mut self, index: u32) -> Option<Completion<Lease>> {
        let (conn, slot) = self.slots.at(index)?;
        if slot.state.has(State::CONNECTING) {
            slot.state.clear(State::CONNECTING);
            let outcome = sockopt::socket_error(slot.socket()?).flatten();
            return Some(ended(Token { kind: OpKind::Open, conn }, negated(outcome)));
        }
        if let Some(flight) = self.blocked.remove(&index) {
            self.transmit(conn, flight);
        }
        None
    }

    /// One send. What the socket took is the completion; with nothing taken the flight waits.
    pub(super) fn transmit(&mut self, conn: ConnId, flight: Box<Flight>) {
        let Some(slot) = self.slots.get_mut(conn) else {
            return self.done_sending(conn, -libc::EBADF, flight);
        };
        let Some(socket) = slot.socket() else { return };
        let left = flight.left();
        match send_once(socket, &flight) {
            Err(Errno::AGAIN) => {
                slot.state.set(State::FULL);
                self.block(conn, flight);
            }
            Ok(sent) if sent < left => {
                slot.state.set(State::FULL);
                self.done_sending(conn, sent as i32, flight);
            }
            Ok(sent) => {
                let unblocked = self.unblock(conn);
                self.done_sending(conn, unblocked.map_or_else(code, |()| sent as i32), flight);
            }
            Err(errno) => self.done_sending(conn, -errno.raw_os_error(), flight),
        }
    }

    /// Lets a flight wait until room is told. Registering tells it if there is room already.
    pub(super) fn block(&mut self, conn: ConnId, flight: Box<Flight>) {
        if let Err(error) = self.register_output(conn, true) {
            return self.done_sending(conn, code(error), flight);
        }
        self.blocked.insert(conn.slot, flight);
    }

    pub(super) fn unblock(&mut self, conn: ConnId) -> io::Result<()> {
        self.register_output(conn, false)
    }

    /// Registered for good, a Unix socket would tell room with each message that its peer takes.
    pub(super) fn register_output(&mut self, conn: ConnId, on: bool) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(conn) else { return Ok(()) };
        if slot.state.has(State::OUTPUT) == on {
            return Ok(());
        }
        let Some(socket) = slot.socket() else { return Ok(()) };
        let interest = if on { Interest::InputAndOutput } else { Interest::Input };
        self.poller.change(socket, key(conn), interest)?;
        slot.state.put(State::OUTPUT, on);
        Ok(())
    }
}

fn send_once(socket: BorrowedFd<'_>, flight: &Flight) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if let Some(piece) = flight.only_piece() {
        return net::send(socket, piece, flags);
    }
    let pieces: SmallVec<[IoSlice<'_>; SEND_CHUNKS_MAX]> =
        flight.pieces().map(IoSlice::new).collect();
    net::sendmsg(socket, &pieces, &mut SendAncillaryBuffer::default(), flags)
}
