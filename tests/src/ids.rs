//! Identifiers as docs/protocol.md defines them, computed here a second time from its words.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::random::Random;

/// This machine's clock, Unix milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// A `client_msg_id` (UUIDv7, RFC 9562 section 5.7) of this moment.
pub fn message_id(random: &mut Random) -> String {
    message_id_at(now_ms(), random)
}

/// A `client_msg_id` of this moment that nobody else has.
#[must_use]
pub fn fresh() -> String {
    fresh_at(now_ms())
}

/// A `client_msg_id` of the given Unix time in milliseconds that nobody else has.
#[must_use]
pub fn fresh_at(time_ms: u64) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    message_id_at(time_ms, &mut Random::seeded(count << 32 | u64::from(std::process::id())))
}

/// A `client_msg_id` of the given Unix time in milliseconds.
pub fn message_id_at(time_ms: u64, random: &mut Random) -> String {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random.bits().to_be_bytes());
    bytes[8..].copy_from_slice(&random.bits().to_be_bytes()[..2]);
    Builder::from_unix_timestamp_millis(time_ms, &bytes).into_uuid().to_string()
}

/// The conversation of two users: both sides can compute it.
#[must_use]
pub fn direct_conversation(one: &str, other: &str) -> String {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let mut hash = Sha256::new_with_prefix(b"throng-dm-v1");
    for user in [low, high] {
        update_with_name(&mut hash, user);
    }
    let digest: [u8; 16] = hash.finalize()[..16].try_into().expect("a digest of 32 bytes");
    Builder::from_custom_bytes(digest).into_uuid().to_string()
}

/// The group that a `create_group` of this user with this `client_msg_id` makes.
#[must_use]
pub fn group_conversation(user: &str, client_msg_id: &str) -> String {
    let request = Uuid::parse_str(client_msg_id).expect("a UUID");
    let mut hash = Sha256::new_with_prefix(b"throng-group-v1");
    update_with_name(&mut hash, user);
    hash.update(request.as_bytes());
    let rest: [u8; 10] = hash.finalize()[..10].try_into().expect("ten bytes");
    let mut time = [0; 8];
    time[2..].copy_from_slice(&request.as_bytes()[..6]);
    Builder::from_unix_timestamp_millis(u64::from_be_bytes(time), &rest).into_uuid().to_string()
}

fn update_with_name(hash: &mut Sha256, user: &str) {
    let length = u16::try_from(user.len()).expect("a user id is at most 64 bytes");
    hash.update(length.to_be_bytes());
    hash.update(user.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/protocol.md.
    #[test]
    fn the_direct_conversation_of_alice_and_bob_is_as_documented() {
        let documented = "9f9dde34-7b14-8384-a595-93ef918feb74";
        assert_eq!(direct_conversation("alice", "bob"), documented);
        assert_eq!(direct_conversation("bob", "alice"), documented);
    }

    #[test]
    fn a_fresh_id_is_a_uuid_v7_of_now_and_no_other() {
        let (one, other) = (fresh(), fresh());
        assert_ne!(one, other);
        let id = Uuid::parse_str(&one).unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert!(now_ms() / 1_000 - id.get_timestamp().unwrap().to_unix().0 <= 1);
    }
}
