//! The slab: one fixed-size entry per slot of the driver's table.
//!
//! An entry holds what an idle established connection needs and nothing else. What only some
//! connections need for some time is boxed ([`Phase`]) or lives in a pool ([`super::output`]).

use std::net::IpAddr;

use throng_ring::ConnId;
use throng_wire::ws;

use super::admission::Bucket;
use super::order::Orders;

/// No output: see [`Conn::output`].
pub(super) const NO_OUTPUT: u32 = u32::MAX;

/// How frames are encoded on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Protobuf,
}

impl Codec {
    pub(super) const fn opcode(self) -> ws::Opcode {
        match self {
            Self::Json => ws::Opcode::Text,
            Self::Protobuf => ws::Opcode::Binary,
        }
    }

    pub(super) const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "throng.v1.json",
            Self::Protobuf => "throng.v1.proto",
        }
    }
}

/// What a connection that has not said who it is needs.
#[derive(Debug)]
pub(super) struct Handshake {
    /// Counts against the address's share until the session is established.
    pub(super) peer: IpAddr,
    /// The part of the HTTP head that came so far.
    pub(super) head: Vec<u8>,
    /// From the HTTP request, for hello.
    pub(super) token: Option<String>,
}

/// A session whose home has not answered yet.
#[derive(Debug)]
pub(super) struct Registering {
    pub(super) peer: IpAddr,
    pub(super) name: Name,
    /// `id` of the hello.
    pub(super) hello_id: Option<u64>,
    /// From hello, for the home.
    pub(super) cursor: String,
    /// Hints that came before the welcome: they follow it.
    pub(super) early: Vec<super::fanout::Push>,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: Name,
    /// Conversations with sends under way or failed; absent when there are none.
    pub(super) orders: Option<Box<Orders>>,
}

/// User and device of a session, in one allocation.
#[derive(Debug, Clone)]
pub(super) struct Name {
    text: Box<str>,
    user_bytes: u8,
}

impl Name {
    /// Both were checked to have at most 64 bytes.
    pub(super) fn new(user: &str, device: &str) -> Self {
        let text = [user, device].concat().into_boxed_str();
        Self { text, user_bytes: user.len() as u8 }
    }

    pub(super) fn user(&self) -> &str {
        &self.text[..usize::from(self.user_bytes)]
    }

    pub(super) fn device(&self) -> &str {
        &self.text[usize::from(self.user_bytes)..]
    }
}

/// Where a connection is in its life.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// The slot is free.
    #[default]
    Free,
    /// Waits for the HTTP request.
    Http(Box<Handshake>),
    /// Upgraded, waits for hello.
    Hello(Box<Handshake>),
    /// Waits for the home's answer.
    Registering(Box<Registering>),
    /// Speaks.
    Established(Session),
    /// Upgraded in echo mode.
    Echo,
    /// What is queued is being sent, then the driver closes. Input is dropped.
    Closing,
    /// The connection to the router.
    Link,
}

/// One slot.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) phase: Phase,
    pub(super) decoder: ws::Decoder,
    /// The driver's generation of the present use.
    pub(super) generation: u32,
    /// Names the present use of the slot to the router; never 0, never used twice in a row.
    pub(super) session: u32,
    /// Tick of the last input.
    pub(super) last_seen: u32,
    /// Index in the pool of outputs, or [`NO_OUTPUT`].
    pub(super) output: u32,
    /// When the token expires: Unix seconds, 0 = never. Enough until the year 2106.
    pub(super) expires_s: u32,
    pub(super) ops: Bucket,
    pub(super) requests_in_flight: u8,
    pub(super) bad_frames: u8,
    pub(super) codec: Codec,
    /// Waits in the cheap way.
    pub(super) is_cold: bool,
    /// A ping of ours was not followed by anything yet.
    pub(super) is_pinged: bool,
    /// The notice to reconnect was sent.
    pub(super) is_leaving: bool,
    /// Reading is held back until output drains.
    pub(super) is_held: bool,
    /// Registered at the router: its end must be told.
    pub(super) is_registered: bool,
    /// Part of a message or request is held, and counted.
    pub(super) is_partial: bool,
}

// The budget of half a kilobyte per idle connection is shared with the ring, the wheel, the names
// and the home.
const _: () = assert!(size_of::<Conn>() <= 96);

impl Conn {
    fn free() -> Self {
        Self {
            phase: Phase::Free,
            decoder: ws::Decoder::new(ws::Role::Server, 0),
            generation: 0,
            session: 0,
            last_seen: 0,
            output: NO_OUTPUT,
            expires_s: 0,
            ops: Bucket::default(),
            requests_in_flight: 0,
            bad_frames: 0,
            codec: Codec::Json,
            is_cold: false,
            is_pinged: false,
            is_leaving: false,
            is_held: false,
            is_registered: false,
            is_partial: false,
        }
    }

    /// Memory of what came of a message or request that is not whole.
    pub(super) fn partial_bytes(&self) -> usize {
        match &self.phase {
            Phase::Http(handshake) => handshake.head.capacity(),
            _ => self.decoder.held_bytes(),
        }
    }

    /// Whether it counts against its address, and that address.
    pub(super) fn handshake_peer(&self) -> Option<IpAddr> {
        match &self.phase {
            Phase::Http(handshake) | Phase::Hello(handshake) => Some(handshake.peer),
            Phase::Registering(registering) => Some(registering.peer),
            _ => None,
        }
    }
}

/// All slots, by the driver's number.
#[derive(Debug, Default)]
pub(super) struct Slab {
    conns: Vec<Conn>,
    used: usize,
}

impl Slab {
    /// Slots in use, links included.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Slots that were ever used.
    pub(super) fn len(&self) -> usize {
        self.conns.len()
    }

    /// Takes the slot for a new connection, under a session number of its own.
    pub(super) fn insert(&mut self, id: ConnId, phase: Phase) -> &mut Conn {
        let index = id.slot as usize;
        while self.conns.len() <= index {
            self.conns.push(Conn::free());
        }
        let conn = &mut self.conns[index];
        let session = conn.session.wrapping_add(1).max(1);
        *conn = Conn { phase, generation: id.generation, session, ..Conn::free() };
        self.used += 1;
        conn
    }

    /// Frees the slot. Its session number stays, so that the next use gets another one.
    pub(super) fn remove(&mut self, id: ConnId) -> Option<Phase> {
        let conn = self.get_mut(id)?;
        let phase = std::mem::take(&mut conn.phase);
        *conn = Conn { session: conn.session, ..Conn::free() };
        self.used -= 1;
        Some(phase)
    }

    /// The entry, if the slot's present use is the one meant.
    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns
            .get_mut(id.slot as usize)
            .filter(|conn| conn.generation == id.generation && !matches!(conn.phase, Phase::Free))
    }

    /// As [`Slab::get_mut`], unless the connection is closing: nothing follows a close frame (RFC
    /// 6455 section 5.5.1).
    pub(super) fn open_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.get_mut(id).filter(|conn| !matches!(conn.phase, Phase::Closing))
    }

    /// The slot's present use, if there is one.
    pub(super) fn slot_mut(&mut self, slot: u32) -> Option<(ConnId, &mut Conn)> {
        let conn = self.conns.get_mut(slot as usize)?;
        if matches!(conn.phase, Phase::Free) {
            return None;
        }
        Some((ConnId { slot, generation: conn.generation }, conn))
    }

    /// The entry that the router means by slot and session.
    pub(super) fn session_mut(&mut self, slot: u32, session: u32) -> Option<(ConnId, &mut Conn)> {
        self.slot_mut(slot).filter(|(_, conn)| conn.session == session && session != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_of_a_slot_has_a_session_number_of_its_own() {
        let mut slab = Slab::default();
        let mut numbers = Vec::new();
        for (generation, phase) in [(0, Phase::Closing), (1, Phase::Link), (2, Phase::Echo)] {
            let id = ConnId { slot: 3, generation };
            numbers.push(slab.insert(id, phase).session);
            slab.remove(id);
        }
        assert_eq!(numbers, [1, 2, 3]);
    }
}
