//! The clients of a shard: one small record each, found by number or by the driver's slot.
//!
//! The record of a client is all the user memory that the engine has for it while it is idle (the
//! timing wheel's entry of 12 bytes and the slot's of 4 beside it). Output waits in an [`Outputs`]
//! entry, which exists only from the first queued byte until the last one was taken by the kernel.

use throng_ring::ConnId;
use throng_ring::limits::GENERATION_BITS;
use throng_wire::ws::{Decoder, Role};

/// Where a client is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// No connection.
    Idle,
    /// TCP.
    Connecting,
    /// The upgrade was asked for (or will never be: half-open).
    Upgrading,
    /// The WebSocket is open.
    Open,
    /// Our close frame is out, the server's is awaited.
    Closing,
    /// The driver was told to close.
    Ending,
}

/// Facts about a client, as bits.
pub(super) mod flag {
    /// Never asks for the upgrade.
    pub(crate) const HALF: u8 = 1;
    /// However it ends is as asked.
    pub(crate) const EXPECTED: u8 = 1 << 1;
    /// Counted as established.
    pub(crate) const ESTABLISHED: u8 = 1 << 2;
    /// The workload has sent something.
    pub(crate) const SPOKE: u8 = 1 << 3;
    /// A message has come.
    pub(crate) const HEARD: u8 = 1 << 4;
    /// Reads nothing.
    pub(crate) const SILENT: u8 = 1 << 5;
    /// A pong is awaited.
    pub(crate) const PINGED: u8 = 1 << 6;
    /// A send failed; what the server said before is still being read.
    pub(crate) const BROKEN: u8 = 1 << 7;
}

/// No entry of [`Outputs`].
const NONE: u32 = u32::MAX;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) decoder: Decoder,
    /// Until it is established: the intended moment of its arrival. Then: its last act, as the
    /// server sees it. Nanoseconds of the engine's clock.
    pub(super) mark: u64,
    /// When its phase, or the ping under way, began. Nanoseconds of the engine's clock.
    pub(super) since: u64,
    slot: u32,
    /// Generation of the connection, and the phase above its bits.
    state: u32,
    output: u32,
    pub(super) flags: u8,
}

// What an idle client costs beside the ring's own record; 16 bytes more are in the wheel and the
// map of slots.
const _: () = assert!(size_of::<Client>() <= 48);
// The phase has the bits that a generation leaves.
const _: () = assert!(GENERATION_BITS == 24 && (Phase::Ending as u32) < 1 << 8);

const GENERATION: u32 = (1 << GENERATION_BITS) - 1;

impl Client {
    pub(super) fn idle() -> Self {
        Self { decoder: decoder(0), mark: 0, since: 0, slot: 0, state: 0, output: NONE, flags: 0 }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        match self.state >> GENERATION_BITS {
            0 => Phase::Idle,
            1 => Phase::Connecting,
            2 => Phase::Upgrading,
            3 => Phase::Open,
            4 => Phase::Closing,
            _ => Phase::Ending,
        }
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.state = self.state & GENERATION | (phase as u32) << GENERATION_BITS;
    }

    #[inline]
    pub(super) fn conn(&self) -> ConnId {
        ConnId { slot: self.slot, generation: self.state & GENERATION }
    }

    pub(super) fn set_conn(&mut self, conn: ConnId) {
        self.slot = conn.slot;
        self.state = self.state & !GENERATION | conn.generation & GENERATION;
    }

    #[inline]
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flag: u8) {
        self.flags |= flag;
    }

    pub(super) fn clear(&mut self, flag: u8) {
        self.flags &= !flag;
    }
}

/// A client's decoder.
pub(super) fn decoder(message_bytes_max: u32) -> Decoder {
    Decoder::new(Role::Client, message_bytes_max)
}

/// What waits to be sent, and how much is on its way.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) queued: Vec<u8>,
    pub(super) in_flight: usize,
    /// It is in the list of what is to be flushed.
    pub(super) is_listed: bool,
}

/// The outputs of the clients that have any.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    entries: Vec<Output>,
    free: Vec<u32>,
}

impl Outputs {
    /// The client's entry; made if it has none.
    #[inline]
    pub(super) fn of(&mut self, client: &mut Client) -> &mut Output {
        if client.output == NONE {
            client.output = self.free.pop().unwrap_or_else(|| {
                self.entries.push(Output::default());
                self.entries.len() as u32 - 1
            });
        }
        &mut self.entries[client.output as usize]
    }

    /// The client's entry, if it has one.
    #[inline]
    pub(super) fn get(&self, client: &Client) -> Option<&Output> {
        self.entries.get(client.output as usize)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, client: &Client) -> Option<&mut Output> {
        self.entries.get_mut(client.output as usize)
    }

    /// Takes the entry from its client.
    pub(super) fn release(&mut self, client: &mut Client) -> Option<Output> {
        let output = self.entries.get_mut(client.output as usize).map(std::mem::take)?;
        self.free.push(std::mem::replace(&mut client.output, NONE));
        Some(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_and_generation_share_a_word_and_do_not_touch_each_other() {
        let mut client = Client::idle();
        let conn = ConnId { slot: 7, generation: GENERATION };
        client.set_conn(conn);
        let phases = [
            Phase::Connecting,
            Phase::Upgrading,
            Phase::Open,
            Phase::Closing,
            Phase::Ending,
            Phase::Idle,
        ];
        for phase in phases {
            client.set_phase(phase);
            assert_eq!((client.phase(), client.conn()), (phase, conn));
        }
    }

    #[test]
    fn an_output_exists_only_while_it_is_held() {
        let (mut outputs, mut client) = (Outputs::default(), Client::idle());
        assert!(outputs.get(&client).is_none() && outputs.release(&mut client).is_none());
        outputs.of(&mut client).queued.push(1);
        assert_eq!(outputs.of(&mut client).queued, [1]);
        assert_eq!(outputs.release(&mut client).unwrap().queued, [1]);
        assert!(outputs.get(&client).is_none());
        let mut other = Client::idle();
        assert!(outputs.of(&mut other).queued.is_empty());
        assert_eq!(outputs.entries.len(), 1);
    }
}
