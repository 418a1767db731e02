//! Property: our Protobuf codec and the oracle's understand the same bytes the same way.

use proptest::prelude::*;
use throng_wire::{DecodeFault, Protobuf};

use crate::oracle::{self, Random, for_every_message};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_oracle_encodes_we_decode_and_encode_to_the_same_bytes(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let theirs = oracle::encode(&oracle::random_message($of, &mut $random, true));
                let ours = <$message>::decode(&theirs).unwrap();
                prop_assert_eq!(ours.encoded_len(), theirs.len());
                prop_assert_eq!(ours.encode_to_vec(), theirs);
            }};
        }
        let mut random = Random(seed);
        for_every_message!(check(random));
    }

    #[test]
    fn unknown_fields_change_nothing(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let known = oracle::encode(&oracle::random_message($of, &mut $random, true));
                let mut more = unknown_fields(&mut $random);
                more.extend_from_slice(&known);
                more.extend(unknown_fields(&mut $random));
                let ours = <$message>::decode(&more).unwrap();
                prop_assert_eq!(ours.encode_to_vec(), known);
            }};
        }
        let mut random = Random(seed);
        for_every_message!(check(random));
    }

    #[test]
    fn two_encodings_one_after_the_other_merge_as_the_oracle_merges_them(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let mut both = oracle::encode(&oracle::random_message($of, &mut $random, true));
                both.extend(oracle::encode(&oracle::random_message($of, &mut $random, true)));
                let theirs = oracle::encode(&oracle::decode($of, &both).unwrap());
                prop_assert_eq!(<$message>::decode(&both).unwrap().encode_to_vec(), theirs);
            }};
        }
        let mut random = Random(seed);
        for_every_message!(check(random));
    }

    #[test]
    fn damaged_bytes_are_refused_by_both_or_read_alike(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let bytes = damaged(oracle::encode(&oracle::random_message($of, &mut $random, true)), &mut $random);
                match (<$message>::decode(&bytes), oracle::decode($of, &bytes)) {
                    (Ok(ours), Ok(theirs)) => {
                        let again = <$message>::decode(&oracle::encode(&theirs)).map(|m| m.encode_to_vec());
                        prop_assert_eq!(again, Ok(ours.encode_to_vec()));
                    }
                    (Err(error), Ok(_)) => prop_assert_eq!(error.fault(), DecodeFault::Group),
                    (Ok(_), Err(error)) => prop_assert!(false, "accepted, but: {error}"),
                    (Err(_), Err(_)) => {}
                }
            }};
        }
        let mut random = Random(seed);
        for_every_message!(check(random));
    }

    #[test]
    fn an_owned_copy_is_equal(seed: u64) {
        let mut random = Random(seed);
        let of = oracle::descriptor("v1", "ServerFrame");
        let bytes = oracle::encode(&oracle::random_message(&of, &mut random, true));
        let borrowed = throng_wire::v1::ServerFrame::decode(&bytes).unwrap();
        prop_assert_eq!(borrowed.clone().into_owned(), borrowed);
    }
}

/// Fields that no message of ours has, of every wire type but groups.
fn unknown_fields(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(4) {
        let value: &[u8] = match random.below(4) {
            0 => b"\xf0\x07\xff\xff\x03",                     // field 126, varint
            1 => b"\xf1\x07\x01\x02\x03\x04\x05\x06\x07\x08", // field 126, 64 bits
            2 => b"\xf2\x07\x03abc",                          // field 126, bytes
            _ => b"\xf5\x07\x01\x02\x03\x04",                 // field 126, 32 bits
        };
        out.extend_from_slice(value);
    }
    out
}

fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, random.next() as u8),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

#[test]
fn repeated_numbers_are_read_packed_and_unpacked() {
    let packed = b"\x12\x03\x01\x96\x01";
    let unpacked = b"\x10\x01\x10\x96\x01";
    for bytes in [&packed[..], unpacked] {
        let hint = throng_wire::link::Hint::decode(bytes).unwrap();
        assert_eq!(hint.slots, [1, 150]);
        assert_eq!(hint.encode_to_vec(), packed);
    }
}

#[test]
fn strings_and_bytes_are_borrowed_from_the_input() {
    use std::borrow::Cow;
    let bytes = b"\x0a\x04conv\x2a\x05hello";
    let send = throng_wire::v1::Send::decode(bytes).unwrap();
    assert!(matches!(send.conv, Cow::Borrowed("conv")));
    assert!(matches!(send.content, Some(throng_wire::v1::Content::Text(Cow::Borrowed("hello")))));
}
