//! Listeners: a few one-shot accepts each, posted into slots taken beforehand.
//!
//! One-shot, because a multishot accept does not tell the peer's address; into slots of our own
//! choice, because an accept that finds the kernel's table full loses the connection. With the slot
//! taken first, a full table means that nothing is accepted and peers wait in the listen queue.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::driver::{ConnId, Event, Handler, ListenOptions, ListenerId};
use crate::limits::{ACCEPT_RETRY, ACCEPTS_IN_FLIGHT, LISTENERS_MAX};
use crate::reactor::Reactor;
use crate::reactor::kernel::Kernel;
use crate::reactor::table::{Flags, Phase};
use crate::reactor::token::OpKind;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    key: u32,
    local: SocketAddr,
    on: bool,
    closing: bool,
    /// Slots with an accept outstanding.
    posted: Vec<ConnId>,
    /// The table was full when an accept was to be posted; told once.
    dry: bool,
    /// After a failure: no accept before this.
    retry_at: Option<Instant>,
}

impl Listener {
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl<K: Kernel> Reactor<K> {
    pub(super) fn add_listener(
        &mut self,
        at: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<ListenerId> {
        let free = self.listeners.iter().position(Option::is_none).unwrap_or(self.listeners.len());
        if free >= LISTENERS_MAX {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let (key, local) = self.kernel.listen(at, options)?;
        let listener = Listener {
            key,
            local,
            on: true,
            closing: false,
            posted: Vec::new(),
            dry: false,
            retry_at: None,
        };
        if free == self.listeners.len() {
            self.listeners.push(None);
        }
        self.listeners[free] = Some(listener);
        Ok(ListenerId(free as u32))
    }

    pub(super) fn switch_listener(&mut self, id: ListenerId, on: bool) {
        let Some(listener) = self.listener(id.0) else { return };
        listener.on = on && !listener.closing;
        listener.dry = false;
        for conn in listener.posted.clone() {
            self.settle(conn);
        }
    }

    pub(super) fn remove_listener(&mut self, id: ListenerId) {
        if let Some(listener) = self.listener(id.0) {
            listener.closing = true;
            self.switch_listener(id, false);
            self.drop_if_ended(id.0);
        }
    }

    /// Posts the accepts that are missing. Returns how long until a failed listener tries again.
    pub(super) fn top_up_listeners(&mut self) -> Option<Duration> {
        let posted_max = ACCEPTS_IN_FLIGHT.min(self.table.slots_max() as usize / 64).max(1);
        let mut retry = None;
        for index in 0..self.listeners.len() as u32 {
            let now = self.now;
            let Some(listener) = self.listener(index) else { continue };
            if let Some(wait) = listener.retry_at.map(|at| at.saturating_duration_since(now)) {
                if wait > Duration::ZERO {
                    retry = Some(retry.unwrap_or(wait).min(wait));
                    continue;
                }
                listener.retry_at = None;
            }
            while self.listener(index).is_some_and(|l| l.on && l.posted.len() < posted_max) {
                if !self.post_accept(index) {
                    break;
                }
            }
        }
        retry
    }

    fn post_accept(&mut self, index: u32) -> bool {
        let slot = self.table.take(Phase::Accepting);
        let Some(listener) = self.listeners.get_mut(index as usize).and_then(Option::as_mut) else {
            return false;
        };
        let Some(id) = slot else {
            // With accepts still posted it is not out of slots yet, it only cannot post more.
            if listener.posted.is_empty() && !std::mem::replace(&mut listener.dry, true) {
                let full = io::Error::from_raw_os_error(libc::ENFILE);
                self.accept_failures.push_back((ListenerId(index), full));
            }
            return false;
        };
        listener.dry = false;
        listener.posted.push(id);
        let key = listener.key;
        if let Some(conn) = self.table.get_mut(id) {
            conn.link = index;
        }
        let token = self.token(id, OpKind::Open);
        self.kernel.accept(token, key);
        true
    }

    /// An accept that is not wanted any more is cancelled; a slot without one is released.
    pub(super) fn settle_accept(&mut self, id: ConnId) {
        let Some(conn) = self.table.get(id) else { return };
        let (index, ops) = (conn.link, conn.ops);
        let waiting = conn.outstanding(OpKind::Open);
        if waiting && self.listener(index).is_none_or(|listener| !listener.on) {
            self.cancel(id, OpKind::CancelOutput, OpKind::Open);
        } else if ops == 0 {
            self.table.release(id);
        }
    }

    /// An accept has ended, well or not.
    pub(super) fn accepted<H: Handler<Self>>(&mut self, id: ConnId, result: i32, handler: &mut H) {
        let Some(conn) = self.table.get(id) else { return };
        let index = conn.link;
        let now = self.now;
        let Some(listener) = self.listener(index) else { return };
        listener.posted.retain(|posted| *posted != id);
        let closing = listener.closing;
        if result < 0 && !is_passing(result) {
            listener.retry_at = Some(now + ACCEPT_RETRY);
        }
        if result >= 0 {
            self.welcome(id, ListenerId(index), closing, handler);
        } else if !is_passing(result) && !closing {
            let error = io::Error::from_raw_os_error(-result);
            handler.event(self, Event::AcceptFailed { listener: ListenerId(index), error });
        }
        self.drop_if_ended(index);
    }

    fn welcome<H: Handler<Self>>(
        &mut self,
        id: ConnId,
        listener: ListenerId,
        closing: bool,
        handler: &mut H,
    ) {
        let peer = self.kernel.peer(id.slot);
        let Some(conn) = self.table.get_mut(id) else { return };
        if closing {
            conn.flags.set(Flags::UNSEEN);
            conn.phase = Phase::Closing;
            return;
        }
        conn.phase = Phase::Open;
        self.connections += 1;
        handler.event(self, Event::Accepted { listener, conn: id, peer });
    }

    fn drop_if_ended(&mut self, index: u32) {
        let ended = self.listener(index).filter(|l| l.closing && l.posted.is_empty());
        if let Some(key) = ended.map(|listener| listener.key) {
            self.kernel.unlisten(key);
            self.listeners[index as usize] = None;
        }
    }

    fn listener(&mut self, index: u32) -> Option<&mut Listener> {
        self.listeners.get_mut(index as usize)?.as_mut()
    }
}

/// Errors of an accept that say something about that one peer, or about our own cancel.
fn is_passing(result: i32) -> bool {
    matches!(
        -result,
        libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO
    )
}
