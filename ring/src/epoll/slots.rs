//! The descriptor table: which socket a slot holds, and what is known of it between two waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::driver::ConnId;

/// What is known of a slot's socket, and what is armed on it, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State(u8);

impl State {
    /// Input was told and no receive has found the socket empty since.
    pub(super) const READABLE: u8 = 1;
    /// The peer has finished or the socket is broken: no further edge tells input.
    pub(super) const ENDED: u8 = 1 << 1;
    /// A send has found the socket full, and room was not told since.
    pub(super) const FULL: u8 = 1 << 2;
    /// Registered for output.
    pub(super) const OUTPUT: u8 = 1 << 3;
    /// A receive is armed.
    pub(super) const RECEIVING: u8 = 1 << 4;
    /// A poll is armed.
    pub(super) const POLLING: u8 = 1 << 5;
    /// A connect is under way.
    pub(super) const CONNECTING: u8 = 1 << 6;
    /// Its input stands in the queue. Survives the slot's uses, as the place in the queue does.
    pub(super) const QUEUED: u8 = 1 << 7;

    pub(super) fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    pub(super) fn set(&mut self, bits: u8) {
        self.0 |= bits;
    }

    pub(super) fn clear(&mut self, bits: u8) {
        self.0 &= !bits;
    }

    pub(super) fn put(&mut self, bits: u8, on: bool) {
        self.clear(bits);
        self.set(u8::from(on) * bits);
    }
}

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    socket: Option<OwnedFd>,
    generation: u32,
    pub(super) state: State,
}

// A million idle connections: 12 MB. More fields must be paid for knowingly.
const _: () = assert!(size_of::<Slot>() == 12);

impl Slot {
    /// The socket; none in an empty slot.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

/// Grown as slots are first used.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    /// Puts a socket into an empty slot.
    pub(super) fn fill(&mut self, conn: ConnId, socket: OwnedFd) -> &mut Slot {
        let index = conn.slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        debug_assert!(slot.socket.is_none(), "{conn:?} is filled while another use is open");
        slot.socket = Some(socket);
        slot.generation = conn.generation;
        slot
    }

    /// Empties a slot: its socket, to be closed.
    pub(super) fn empty(&mut self, conn: ConnId) -> Option<OwnedFd> {
        let slot = self.get_mut(conn)?;
        let queued = slot.state.has(State::QUEUED);
        slot.state = State::default();
        slot.state.put(State::QUEUED, queued);
        slot.socket.take()
    }

    /// The slot, if it holds this use's socket.
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        (slot.generation == conn.generation && slot.socket.is_some()).then_some(slot)
    }

    /// The slot whoever holds it, with its present use.
    pub(super) fn at(&mut self, index: u32) -> Option<(ConnId, &mut Slot)> {
        let slot = self.slots.get_mut(index as usize)?;
        Some((ConnId { slot: index, generation: slot.generation }, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_this_uses_from_its_filling_to_its_emptying() {
        let socket = || OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0);
        let (first, second) =
            (ConnId { slot: 3, generation: 1 }, ConnId { slot: 3, generation: 2 });
        let mut slots = Slots::default();
        slots.fill(first, socket()).state.set(State::RECEIVING | State::QUEUED);
        assert!(slots.get_mut(first).is_some() && slots.get_mut(second).is_none());
        assert!(slots.empty(first).is_some() && slots.empty(first).is_none());
        assert!(slots.get_mut(first).is_none());
        let state = slots.fill(second, socket()).state;
        assert!(!state.has(State::RECEIVING) && state.has(State::QUEUED));
        assert!(slots.get_mut(first).is_none() && slots.get_mut(second).is_some());
    }
}
