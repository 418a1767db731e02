//! What is said: a text that tells its recipient everything needed to judge it.
//!
//! Head: `tb`, the run's tag, the sending client, its counter in the conversation, the intended and
//! the actual moment (nanoseconds since the start of the run, the same for all shards), and a check
//! word over them, in hex, separated by blanks. Filler that follows from the check word brings it
//! to its length. So the whole text follows from the [`Stamp`], and any change of it is seen.
//!
//! The `client_msg_id` follows from the sender, the conversation and the counter but for its time:
//! two messages cannot have the same one without being the same message.

use throng_wire::id::{self, Id};

use crate::generator::random::mix;

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run's tag.
    pub tag: u32,
    /// The sending client.
    pub client: u32,
    /// 1, 2, 3 … within this client and conversation.
    pub counter: u64,
    /// When it should have been sent.
    pub intended_ns: u64,
    /// When it was first handed over.
    pub handed_ns: u64,
}

impl Stamp {
    fn check(&self) -> u64 {
        let parts = [u64::from(self.client), self.counter, self.intended_ns, self.handed_ns];
        parts.into_iter().fold(u64::from(self.tag), mix)
    }

    /// Writes the text, of `bytes` bytes or of as many as its head takes.
    pub fn write(&self, bytes: usize, out: &mut String) {
        use std::fmt::Write;
        let Self { tag, client, counter, intended_ns, handed_ns } = self;
        let check = self.check();
        out.clear();
        // A String takes whatever is written.
        let _ = write!(out, "tb {tag:x} {client:x} {counter:x} {intended_ns:x} {handed_ns:x} ");
        let _ = write!(out, "{check:x} ");
        let missing = bytes.saturating_sub(out.len());
        let first = (check % 26) as usize;
        out.extend((0..missing).map(|at| char::from(b'a' + ((first + at) % 26) as u8)));
    }

    /// Reads and checks a whole text; `None` if it is not one that was written so.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let number = |word: Option<&str>| u64::from_str_radix(word?, 16).ok();
        if words.next()? != "tb" {
            return None;
        }
        let stamp = Self {
            tag: u32::try_from(number(words.next())?).ok()?,
            client: u32::try_from(number(words.next())?).ok()?,
            counter: number(words.next())?,
            intended_ns: number(words.next())?,
            handed_ns: number(words.next())?,
        };
        let check = number(words.next())?;
        let filler = words.next()?.as_bytes();
        let first = (check % 26) as usize;
        let mut expected = (0..).map(|at| b'a' + ((first + at) % 26) as u8);
        let whole = filler.iter().all(|&byte| Some(byte) == expected.next());
        (check == stamp.check() && whole && words.next().is_none()).then_some(stamp)
    }
}

/// The `client_msg_id` of a message: a UUIDv7 (RFC 9562 section 5.7) of this time.
#[must_use]
pub fn message_id(time_ms: u64, tag: u32, client: u32, conv: &Id, counter: u64) -> Id {
    let (high, low) = conv.split_at(8);
    let half = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
    let parts = [u64::from(client), half(high), half(low), counter];
    let first = parts.into_iter().fold(u64::from(tag), mix);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&first.to_be_bytes());
    random[8..].copy_from_slice(&mix(first, counter).to_be_bytes()[..2]);
    id::make_v7(time_ms, random)
}

/// Whether an id is that of this message, whenever it was made.
#[must_use]
pub fn is_id_of(id: &Id, tag: u32, client: u32, conv: &Id, counter: u64) -> bool {
    let Some(time_ms) = id::v7_time_ms(id) else { return false };
    *id == message_id(time_ms, tag, client, conv, counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { tag: 0xfeed, client: 77, counter: 12, intended_ns: 5_000, handed_ns: 5_100 };

    fn text(bytes: usize) -> String {
        let mut text = String::new();
        STAMP.write(bytes, &mut text);
        text
    }

    #[test]
    fn a_text_has_its_length_and_comes_back() {
        for bytes in [0, 64, 100, 16_384] {
            assert_eq!(Stamp::read(&text(bytes)), Some(STAMP));
        }
        assert_eq!((text(100).len(), text(16_384).len()), (100, 16_384));
        assert!(text(0).len() <= 64);
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let whole = text(90);
        for at in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(Stamp::read(&changed), Some(STAMP), "{changed}");
        }
        assert_eq!(Stamp::read("hello"), None);
    }

    #[test]
    fn an_id_belongs_to_one_message_at_any_time() {
        let conv = [3; 16];
        let id = message_id(1_700_000_000_123, 1, 2, &conv, 3);
        assert_eq!(id::v7_time_ms(&id), Some(1_700_000_000_123));
        assert!(is_id_of(&id, 1, 2, &conv, 3));
        assert!(!is_id_of(&id, 1, 2, &conv, 4));
        assert!(!is_id_of(&id, 1, 3, &conv, 3));
        assert!(!is_id_of(&id, 1, 2, &[4; 16], 3));
        assert!(!is_id_of(&[0; 16], 1, 2, &conv, 3));
    }
}
