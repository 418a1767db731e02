//! Identifiers: names of users and devices, conversations, message ids (docs/protocol.md).
//!
//! Inside, every identifier is 16 bytes; on the wire conversations and message ids are UUIDs in the
//! text form of RFC 9562 section 4, hyphenated, upper or lower case when read, lower when written.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::limits::NAME_BYTES_MAX;

/// An identifier's bytes.
pub type Id = [u8; 16];

/// Namespace of user ids: UUIDv5 of "throng" under the DNS namespace.
const USERS: Uuid = Uuid::from_u128(0x24d1_bf5e_27e9_5b1c_8b90_4d4e_ac67_b219);

/// Length of a UUID's text form, bytes.
pub const TEXT_BYTES: usize = 36;

/// Whether `name` can name a user or a device: 1 to 64 bytes of `[A-Za-z0-9._@+-]`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// A UUID from its hyphenated text form, any version.
#[must_use]
pub fn parse(text: &str) -> Option<Id> {
    // The other forms that the parser takes have other lengths.
    if text.len() != TEXT_BYTES {
        return None;
    }
    Uuid::try_parse(text).ok().map(Uuid::into_bytes)
}

/// The text form.
#[must_use]
pub fn text(id: &Id) -> String {
    Uuid::from_bytes(*id).hyphenated().to_string()
}

/// The text form in a buffer of the caller.
pub fn write_text<'b>(id: &Id, buffer: &'b mut [u8; TEXT_BYTES]) -> &'b str {
    Uuid::from_bytes(*id).hyphenated().encode_lower(buffer)
}

/// A user's 16 bytes: UUIDv5 of the name under a namespace of our own.
#[must_use]
pub fn user(name: &str) -> Id {
    Uuid::new_v5(&USERS, name.as_bytes()).into_bytes()
}

/// The direct conversation of two users, given by name in either order: UUIDv8 from SHA-256.
#[must_use]
pub fn direct_conv(one: &str, other: &str) -> Id {
    let mut hash = Sha256::new_with_prefix("throng-dm-v1");
    for name in [one.min(other), one.max(other)] {
        hash_name(name, &mut hash);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    set_version(&mut id, 8);
    id
}

/// The group that `creator` asks for with this message id: UUIDv7 with the message id's time, so
/// that a retried request finds the same group.
#[must_use]
pub fn group_conv(creator: &str, client_msg_id: &Id) -> Id {
    let mut hash = Sha256::new_with_prefix("throng-group-v1");
    hash_name(creator, &mut hash);
    hash.update(client_msg_id);
    let mut id = *client_msg_id;
    id[6..].copy_from_slice(&hash.finalize()[..10]);
    set_version(&mut id, 7);
    id
}

/// A name behind its length as u16, big-endian, so that no two pairs of names look alike.
fn hash_name(name: &str, hash: &mut Sha256) {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    hash.update(length.to_be_bytes());
    hash.update(name);
}

fn set_version(id: &mut Id, version: u8) {
    id[6] = version << 4 | id[6] & 0x0f;
    id[8] = 0x80 | id[8] & 0x3f;
}

/// The time in a UUIDv7, Unix milliseconds; `None` for any other UUID.
#[must_use]
pub fn v7_time_ms(id: &Id) -> Option<u64> {
    if id[6] >> 4 != 7 || id[8] >> 6 != 0b10 {
        return None;
    }
    Some(id[..6].iter().fold(0, |time, byte| time << 8 | u64::from(*byte)))
}

/// A UUIDv7 (RFC 9562 section 5.7) of this time, of which 48 bits are kept, and these random bits.
#[must_use]
pub fn make_v7(time_ms: u64, random: [u8; 10]) -> Id {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    id[6..].copy_from_slice(&random);
    set_version(&mut id, 7);
    id
}
