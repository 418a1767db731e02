//! Property: identifiers are the ones that docs/protocol.md says, and nothing else is accepted.
//!
//! The expected values were computed with Python's uuid and hashlib from the same rules.

use throng_wire::{id, limits};

#[test]
fn users_are_uuids_of_version_5() {
    assert_eq!(id::text(&id::user("alice")), "c51a90c0-593d-5c2d-adc0-1a3d6c373452");
    assert_eq!(id::text(&id::user("bob")), "3169c3e8-7af0-5ea3-b1b7-c0be9cb241dd");
    assert_eq!(id::text(&id::user(&"A".repeat(64))), "22a6da73-178e-5db8-adb9-e0c86564ab62");
}

#[test]
fn direct_conversations_can_be_computed_by_both_sides() {
    let cases = [
        ("alice", "bob", "9f9dde34-7b14-8384-a595-93ef918feb74"),
        ("bob", "alice", "9f9dde34-7b14-8384-a595-93ef918feb74"),
        ("a", "ab", "37a37ad6-ae7b-8403-8781-6a1c68bcecf3"),
        ("aa", "b", "1981aeca-4753-89f7-aa57-d3983996e986"),
        ("a", "a", "e5b54798-4212-8e2a-9622-ae58474fe162"),
        ("a", "Z", "4b10e23a-e19e-8744-bab7-518e1f41d423"),
    ];
    for (one, other, conv) in cases {
        assert_eq!(id::text(&id::direct_conv(one, other)), conv, "{one}, {other}");
    }
}

#[test]
fn a_retried_creation_finds_the_same_group() {
    let client_msg_id = id::parse("019a0b1c-2d3e-7abc-8def-0123456789ab").unwrap();
    let group = |user| id::text(&id::group_conv(user, &client_msg_id));
    assert_eq!(group("alice"), "019a0b1c-2d3e-7007-b30a-fb4d3aca862b");
    assert_eq!(group("bob"), "019a0b1c-2d3e-7cf8-a9f3-224c9c6dd4ba");
}

#[test]
fn message_ids_tell_their_time() {
    let client_msg_id = id::parse("019a0b1c-2d3e-7abc-8def-0123456789ab").unwrap();
    assert_eq!(id::v7_time_ms(&client_msg_id), Some(1_761_122_987_326));
    for time_ms in [0, 1, 1_761_122_987_326, (1 << 48) - 1] {
        for random in [[0; 10], [0xff; 10]] {
            assert_eq!(id::v7_time_ms(&id::make_v7(time_ms, random)), Some(time_ms));
        }
    }
}

#[test]
fn other_uuids_are_no_message_ids() {
    for text in [
        "019a0b1c-2d3e-4abc-8def-0123456789ab", // version 4
        "019a0b1c-2d3e-7abc-0def-0123456789ab", // variant of NCS
        "019a0b1c-2d3e-7abc-cdef-0123456789ab", // variant of Microsoft
        "00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(id::v7_time_ms(&id::parse(text).unwrap()), None, "{text}");
    }
}

#[test]
fn uuids_are_read_in_the_hyphenated_form_only() {
    let lower = id::parse("9f9dde34-7b14-8384-a595-93ef918feb74");
    assert!(lower.is_some());
    assert_eq!(id::parse("9F9DDE34-7B14-8384-A595-93EF918FEB74"), lower);
    for text in [
        "",
        "9f9dde347b148384a59593ef918feb74",
        "{9f9dde34-7b14-8384-a595-93ef918feb74}",
        "urn:uuid:9f9dde34-7b14-8384-a595-93ef918feb74",
        "9f9dde34-7b14-8384-a595-93ef918feb7",
        "9f9dde34-7b14-8384-a595-93ef918feb7g",
        "9f9dde347-b14-8384-a595-93ef918feb74",
        "9f9dde34-7b14-8384-a595-93ef918feb7\u{e9}",
    ] {
        assert_eq!(id::parse(text), None, "{text}");
    }
}

#[test]
fn the_longest_name_passes_and_one_byte_more_does_not() {
    assert!(id::is_name(&"a".repeat(limits::NAME_BYTES_MAX)));
    assert!(!id::is_name(&"a".repeat(limits::NAME_BYTES_MAX + 1)));
    assert!(id::is_name("a"));
    assert!(!id::is_name(""));
}

#[test]
fn names_have_a_small_alphabet() {
    assert!(id::is_name("Az09._@+-"));
    for name in ["a b", "a/b", "a:b", "é", "a\0", "a\n", "a,b", "a#b"] {
        assert!(!id::is_name(name), "{name:?}");
    }
}
