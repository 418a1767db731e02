//! The 64 bits that travel with an operation and come back with its completions.

use crate::driver::ConnId;
use crate::limits::GENERATION_BITS;

/// What an operation does. Doubles as its bit in a connection's set of outstanding operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    /// Accept or connect: the slot gets its socket.
    Open,
    /// Multishot receive.
    Receive,
    /// One-shot readiness.
    Poll,
    /// Send of one flight.
    Send,
    /// End of our direction.
    Shutdown,
    /// Cancel of the receive or poll.
    CancelInput,
    /// Cancel of the send or open.
    CancelOutput,
    /// Close of the descriptor.
    Close,
}

const KINDS: [OpKind; 8] = [
    OpKind::Open,
    OpKind::Receive,
    OpKind::Poll,
    OpKind::Send,
    OpKind::Shutdown,
    OpKind::CancelInput,
    OpKind::CancelOutput,
    OpKind::Close,
];

impl OpKind {
    /// Its bit.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// An operation on a connection: kind, generation and slot. Unique among outstanding operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) kind: OpKind,
    pub(crate) conn: ConnId,
}

const SLOT_BITS: u32 = 32;

// Kinds fill 3 bits above slot and generation; the rest of the word is free for backends.
const _: () = assert!(SLOT_BITS + GENERATION_BITS + 3 < 64);

impl Token {
    /// Above every packed token: backends number operations of their own from here.
    pub(crate) const BACKEND: u64 = 1 << (SLOT_BITS + GENERATION_BITS + 3);

    pub(crate) fn pack(self) -> u64 {
        let kind = (self.kind as u64) << (SLOT_BITS + GENERATION_BITS);
        kind | u64::from(self.conn.generation) << SLOT_BITS | u64::from(self.conn.slot)
    }

    /// The inverse of [`Token::pack`]; `None` for a backend's own operation.
    pub(crate) fn unpack(word: u64) -> Option<Self> {
        let kind = *KINDS.get((word >> (SLOT_BITS + GENERATION_BITS)) as usize)?;
        let generation = (word >> SLOT_BITS) as u32 & ((1 << GENERATION_BITS) - 1);
        Some(Self { kind, conn: ConnId { slot: word as u32, generation } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_survives_packing() {
        for kind in KINDS {
            for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                for slot in [0, 1, crate::limits::CONNECTIONS_MAX - 1, u32::MAX] {
                    let token = Token { kind, conn: ConnId { slot, generation } };
                    assert!(token.pack() < Token::BACKEND);
                    assert_eq!(Token::unpack(token.pack()), Some(token));
                }
            }
        }
        assert_eq!(Token::unpack(Token::BACKEND), None);
    }
}
