//! Listeners: the accepts posted on each, made one at a time when peers were told to wait.

use std::collections::VecDeque;
use std::io;

use rustix::io::Errno;
use rustix::net::{self, SocketFlags};
use socket2::Socket;

use crate::epoll::input::Lease;
use crate::epoll::kernel::{Entry, EpollKernel, NOWHERE, ended, negated};
use crate::epoll::poller::Interest;
use crate::reactor::kernel::Completion;
use crate::reactor::token::Token;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: Socket,
    /// Accepts that wait for a peer.
    pub(super) posted: VecDeque<Token>,
    /// Peers were told and no accept has found the queue empty since.
    pub(super) is_ready: bool,
    /// It stands in the queue.
    pub(super) is_queued: bool,
}

impl EpollKernel {
    pub(super) fn listening(&mut self, listener: u32) -> Option<&mut Listening> {
        self.listeners.get_mut(listener as usize)?.as_mut()
    }

    pub(super) fn note_peers(&mut self, listener: u32) {
        if let Some(listening) = self.listening(listener) {
            listening.is_ready = true;
            self.queue_accept(listener);
        }
    }

    pub(super) fn queue_accept(&mut self, listener: u32) {
        let Some(listening) = self.listening(listener) else { return };
        let can_go_on = listening.is_ready && !listening.posted.is_empty();
        if can_go_on && !std::mem::replace(&mut listening.is_queued, true) {
            self.queue.push_back(Entry::Accept { listener });
        }
    }

    /// One accept. A failure ends the other posted ones too: it is told once, and the state machine
    /// decides when to try again.
    pub(super) fn accept_one(&mut self, listener: u32) -> Option<Completion<Lease>> {
        let listening = self.listening(listener)?;
        listening.is_queued = false;
        if listening.posted.is_empty() {
            return None;
        }
        let accepted = match net::acceptfrom_with(&listening.socket, SocketFlags::CLOEXEC) {
            Err(Errno::AGAIN) => {
                listening.is_ready = false;
                return None;
            }
            accepted => accepted,
        };
        let token = listening.posted.pop_front()?;
        let installed = accepted.map_err(io::Error::from).and_then(|(socket, peer)| {
            self.peer = peer.and_then(|peer| peer.try_into().ok()).unwrap_or(NOWHERE);
            self.install(token.conn, socket, Interest::Input)
        });
        if installed.is_err() {
            let posted = self.listening(listener).map(|l| std::mem::take(&mut l.posted));
            posted.into_iter().flatten().for_each(|token| self.done(token, -libc::ECANCELED));
        }
        self.queue_accept(listener);
        Some(ended(token, negated(installed)))
    }

    /// Takes an accept back. There are few, and it is seldom done.
    pub(super) fn unpost(&mut self, target: Token) -> bool {
        self.listeners.iter_mut().flatten().any(|listening| {
            let place = listening.posted.iter().position(|posted| *posted == target);
            place.and_then(|place| listening.posted.remove(place)).is_some()
        })
    }
}
