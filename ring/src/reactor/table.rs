//! The table of connections: one small record per slot, grown as slots are used, reused last in,
//! first out so that a small population stays in few cache lines.
//!
//! A slot is free, or has a phase and a set of outstanding operations. It becomes free only when
//! its last completion has come, so a completion can never meet the slot's next use; the generation
//! is checked all the same.

use crate::driver::{Arm, ConnId};
use crate::limits::GENERATION_BITS;
use crate::reactor::token::OpKind;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not in use.
    Free,
    /// An accept is posted into the slot; callers do not know it yet.
    Accepting,
    /// A connect is under way.
    Connecting,
    /// Established.
    Open,
    /// Graceful close: the send in flight, then our FIN, then the peer's.
    Lingering,
    /// Everything is cancelled and the descriptor is closed.
    Closing,
}

/// Facts about a connection, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// The peer's FIN or an error was seen: nothing is received any more.
    pub(crate) const INPUT_ENDED: u8 = 1;
    /// It waits in the starved list for a buffer.
    pub(crate) const STARVED: u8 = 1 << 1;
    /// A cancel found the receive or poll: its end is under way.
    pub(crate) const INPUT_CANCELLED: u8 = 1 << 2;
    /// The close of the descriptor was submitted.
    pub(crate) const CLOSE_SUBMITTED: u8 = 1 << 3;
    /// Bytes are known to wait: the next receive need not poll first.
    pub(crate) const READABLE: u8 = 1 << 4;
    /// The end of our direction was submitted.
    pub(crate) const SHUTDOWN_SUBMITTED: u8 = 1 << 5;
    /// Nobody above knows the connection: it ends without an event.
    pub(crate) const UNSEEN: u8 = 1 << 6;

    /// The present receive has brought bytes.
    pub(crate) const FED: u8 = 1 << 7;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }

    pub(crate) fn clear(&mut self, flag: u8) {
        self.0 &= !flag;
    }
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    /// Generation of the present or last use.
    pub(crate) generation: u32,
    /// Free: the next free slot. Accepting: the listener.
    pub(crate) link: u32,
    /// Outstanding operations, one bit per kind.
    pub(crate) ops: u8,
    pub(crate) phase: Phase,
    pub(crate) flags: Flags,
    /// How it shall wait for input.
    pub(crate) arm: Arm,
}

// A million idle connections: 12 MB. More fields must be paid for knowingly.
const _: () = assert!(size_of::<Conn>() == 12);

impl Conn {
    pub(crate) fn outstanding(&self, kind: OpKind) -> bool {
        self.ops & kind.bit() != 0
    }
}

const END: u32 = u32::MAX;

/// See the module header.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<Conn>,
    free: u32,
    used: usize,
    slots_max: u32,
}

impl Table {
    pub(crate) fn new(slots_max: u32) -> Self {
        Self { slots: Vec::new(), free: END, used: 0, slots_max }
    }

    /// Slots there can be.
    pub(crate) fn slots_max(&self) -> u32 {
        self.slots_max
    }

    /// Slots in use, those of posted accepts included.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Takes a slot; `None` when the table is full.
    pub(crate) fn take(&mut self, phase: Phase) -> Option<ConnId> {
        let slot = match self.free {
            END if self.slots.len() < self.slots_max as usize => self.grow(),
            END => return None,
            slot => slot,
        };
        let conn = &mut self.slots[slot as usize];
        self.free = conn.link;
        conn.generation = (conn.generation + 1) & ((1 << GENERATION_BITS) - 1);
        conn.phase = phase;
        conn.flags = Flags::default();
        conn.arm = Arm::Off;
        self.used += 1;
        Some(ConnId { slot, generation: conn.generation })
    }

    fn grow(&mut self) -> u32 {
        let (link, flags) = (END, Flags::default());
        self.slots.push(Conn {
            generation: 0,
            link,
            ops: 0,
            phase: Phase::Free,
            flags,
            arm: Arm::Off,
        });
        self.slots.len() as u32 - 1
    }

    /// Frees a slot that has no outstanding operation.
    pub(crate) fn release(&mut self, id: ConnId) {
        let free = self.free;
        let Some(conn) = self.get_mut(id) else { return };
        debug_assert_eq!(conn.ops, 0);
        conn.phase = Phase::Free;
        conn.link = free;
        self.free = id.slot;
        self.used -= 1;
    }

    /// The connection, unless the id is stale.
    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        let conn = self.slots.get(id.slot as usize)?;
        (conn.generation == id.generation && conn.phase != Phase::Free).then_some(conn)
    }

    /// The connection, unless the id is stale.
    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.slots.get_mut(id.slot as usize)?;
        (conn.generation == id.generation && conn.phase != Phase::Free).then_some(conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_refuses_and_a_released_slot_serves_again_under_a_new_generation() {
        let mut table = Table::new(2);
        let first = table.take(Phase::Open).unwrap();
        let second = table.take(Phase::Open).unwrap();
        assert_eq!(table.take(Phase::Open), None);
        table.release(first);
        let again = table.take(Phase::Open).unwrap();
        assert_eq!(again.slot, first.slot);
        assert_ne!(again.generation, first.generation);
        assert!(table.get(first).is_none() && table.get(second).is_some());
        assert_eq!(table.used(), 2);
    }

    #[test]
    fn generations_wrap_at_their_bits() {
        let mut table = Table::new(1);
        let first = table.take(Phase::Open).unwrap();
        table.slots[0].generation = (1 << GENERATION_BITS) - 1;
        let last = ConnId { slot: first.slot, generation: (1 << GENERATION_BITS) - 1 };
        table.release(last);
        assert_eq!(table.take(Phase::Open).unwrap().generation, 0);
    }
}
