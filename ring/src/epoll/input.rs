//! Receiving: one buffer for all, lent with each receive's completion and back before the next.

use std::ops::{Deref, DerefMut};

use rustix::io::Errno;
use rustix::net::{self, RecvFlags};

use crate::driver::ConnId;
use crate::epoll::kernel::{Entry, EpollKernel, ended, negated};
use crate::epoll::slots::State;
use crate::limits::RECEIVES_PER_TURN;
use crate::reactor::kernel::Completion;
use crate::reactor::token::{OpKind, Token};

/// Received bytes, in the buffer that all receives use.
#[derive(Debug)]
pub struct Lease {
    pub(super) buffer: Box<[u8]>,
    bytes: usize,
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.bytes]
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.bytes]
    }
}

impl EpollKernel {
    /// Arms a receive or poll.
    pub(super) fn await_input(&mut self, token: Token, armed: u8) {
        match self.slots.get_mut(token.conn) {
            Some(slot) => {
                slot.state.set(armed);
                self.queue_input(token.conn);
            }
            None => self.done(token, -libc::EBADF),
        }
    }
    /// Queues a slot's input if something waits for it and it does not stand there already.
    pub(super) fn queue_input(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn) else { return };
        let is_awaited = slot.state.has(State::RECEIVING | State::POLLING);
        if is_awaited && slot.state.has(State::READABLE) && !slot.state.has(State::QUEUED) {
            slot.state.set(State::QUEUED);
            self.queue.push_back(Entry::Input { slot: conn.slot, receives: 0 });
        }
    }

    /// One receive, or the end of a poll.
    pub(super) fn input(&mut self, index: u32, receives: u8) -> Option<Completion<Lease>> {
        let (conn, slot) = self.slots.at(index)?;
        slot.state.clear(State::QUEUED);
        if !slot.state.has(State::READABLE) {
            return None;
        }
        if slot.state.has(State::POLLING) {
            slot.state.clear(State::POLLING);
            return Some(ended(Token { kind: OpKind::Poll, conn }, i32::from(libc::POLLIN)));
        }
        if !slot.state.has(State::RECEIVING) {
            return None;
        }
        let bytes = self.scratch_bytes;
        let mut buffer = self.scratch.take().unwrap_or_else(|| vec![0; bytes].into_boxed_slice());
        let token = Token { kind: OpKind::Receive, conn };
        match net::recv(slot.socket()?, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((received, _)) if received > 0 => {
                // A short receive has emptied the socket. What comes from now on is a new edge;
                // only an end that was told already is not.
                if received < buffer.len() && !slot.state.has(State::ENDED) {
                    slot.state.clear(State::READABLE);
                } else {
                    slot.state.set(State::QUEUED);
                    self.queue_again(index, receives + 1);
                }
                let lease = Some(Lease { buffer, bytes: received });
                return Some(Completion { token, result: received as i32, more: true, lease });
            }
            Err(Errno::AGAIN) => slot.state.clear(State::READABLE),
            Err(Errno::INTR) => {
                slot.state.set(State::QUEUED);
                self.queue_again(index, receives);
            }
            end => {
                slot.state.clear(State::RECEIVING);
                self.scratch = Some(buffer);
                return Some(ended(token, negated(end.map(drop))));
            }
        }
        self.scratch = Some(buffer);
        None
    }

    pub(super) fn queue_again(&mut self, slot: u32, receives: u8) {
        if receives < RECEIVES_PER_TURN {
            self.queue.push_back(Entry::Input { slot, receives });
        } else {
            self.later.push(slot);
        }
    }
}
