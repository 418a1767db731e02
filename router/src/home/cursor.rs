//! The text by which a client says how far it is in its user's changes.
//!
//! Opaque to clients: base64url of version, log, moments, and the place within a list that did not
//! fit into one page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use throng_store::ConvId;

use crate::limits::{CURSOR_AGE_MS_MAX, CURSOR_OVERLAP_MS};

const VERSION: u8 = 1;
const SHORT_BYTES: usize = 1 + 16 + 8;
const LONG_BYTES: usize = SHORT_BYTES + 8 + 16;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which log.
    pub log_id: [u8; 16],
    /// Everything up to here has been told, Unix milliseconds of the home.
    pub moment_ms: u64,
    /// Within a list of which there are more pages.
    pub rest: Option<Rest>,
}

/// The rest of a list of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The list has what changed since this moment.
    pub since_ms: u64,
    /// Conversations after this one are still to be told.
    pub after: ConvId,
}

impl Cursor {
    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LONG_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.log_id);
        bytes.extend_from_slice(&self.moment_ms.to_be_bytes());
        if let Some(rest) = self.rest {
            bytes.extend_from_slice(&rest.since_ms.to_be_bytes());
            bytes.extend_from_slice(&rest.after.0);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a text says, whatever it is.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        if text.len() > LONG_BYTES * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, rest) = bytes.split_at_checked(SHORT_BYTES)?;
        let rest = match rest.len() {
            0 => None,
            _ if bytes.len() == LONG_BYTES => Some(Rest {
                since_ms: u64::from_be_bytes(rest[..8].try_into().ok()?),
                after: ConvId(rest[8..].try_into().ok()?),
            }),
            _ => return None,
        };
        if head[0] != VERSION {
            return None;
        }
        Some(Self {
            log_id: head[1..17].try_into().ok()?,
            moment_ms: u64::from_be_bytes(head[17..].try_into().ok()?),
            rest,
        })
    }

    /// From which moment on a list has all that this client may not know, and after which
    /// conversation it goes on; `None` if only reading everything again will do.
    #[must_use]
    pub fn resume(&self, log_id: [u8; 16], now_ms: u64) -> Option<(u64, Option<ConvId>)> {
        let ahead = self.moment_ms > now_ms.saturating_add(CURSOR_OVERLAP_MS);
        let (since_ms, after) = match self.rest {
            Some(rest) => (rest.since_ms, Some(rest.after)),
            None => (self.moment_ms.saturating_sub(CURSOR_OVERLAP_MS), None),
        };
        let old = now_ms.saturating_sub(self.moment_ms) > CURSOR_AGE_MS_MAX;
        (self.log_id == log_id && !ahead && !old).then_some((since_ms, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: [u8; 16] = [7; 16];
    const NOW: u64 = 1_790_000_000_000;

    fn at(moment_ms: u64) -> Cursor {
        Cursor { log_id: LOG, moment_ms, rest: None }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let rest = Some(Rest { since_ms: 5, after: ConvId([3; 16]) });
        for cursor in [at(NOW), Cursor { rest, ..at(NOW) }] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn nonsense_is_no_cursor() {
        let good = at(NOW).encode();
        for text in ["", "x", "!!!!", &good[1..], &format!("{good}AAAA"), &"A".repeat(500)] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_resume_looks_behind_the_moment() {
        assert_eq!(at(NOW).resume(LOG, NOW), Some((NOW - CURSOR_OVERLAP_MS, None)));
    }

    #[test]
    fn the_rest_of_a_list_goes_on_where_it_was() {
        let rest = Some(Rest { since_ms: 5, after: ConvId([3; 16]) });
        let cursor = Cursor { rest, ..at(NOW) };
        assert_eq!(cursor.resume(LOG, NOW), Some((5, Some(ConvId([3; 16])))));
    }

    #[test]
    fn another_log_or_a_moment_out_of_bounds_means_reading_everything() {
        assert_eq!(at(NOW).resume([8; 16], NOW), None);
        assert!(at(NOW - CURSOR_AGE_MS_MAX).resume(LOG, NOW).is_some());
        assert!(at(NOW - CURSOR_AGE_MS_MAX - 1).resume(LOG, NOW).is_none());
        assert!(at(NOW + CURSOR_OVERLAP_MS).resume(LOG, NOW).is_some());
        assert!(at(NOW + CURSOR_OVERLAP_MS + 1).resume(LOG, NOW).is_none());
    }
}
