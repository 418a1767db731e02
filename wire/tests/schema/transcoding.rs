//! Property: an answer reaches both kinds of clients with the id that only the edge knows.

use proptest::prelude::*;
use throng_wire::{Json, Protobuf, transcode, v1};

use crate::oracle::{self, Random};

proptest! {
    #[test]
    fn both_kinds_of_clients_read_the_same_answer(seed: u64, id in any::<Option<u32>>()) {
        let of = oracle::descriptor("v1", "ServerFrame");
        let mut message = oracle::random_message(&of, &mut Random(seed), false);
        message.clear_field_by_name("id");
        let body = oracle::encode(&message);
        let id = id.map(u64::from);

        let mut bytes = b"before".to_vec();
        transcode::answer_protobuf(id, &body, &mut bytes);
        let mut text = b"before".to_vec();
        transcode::answer_json(id, &body, &mut text).unwrap();

        let from_bytes = v1::ServerFrame::decode(&bytes[6..]).unwrap();
        prop_assert_eq!(from_bytes.id, id);
        prop_assert_eq!(v1::ServerFrame::from_json(&text[6..]).unwrap(), from_bytes);
    }
}

#[test]
fn a_body_that_is_no_frame_appends_nothing() {
    let mut out = b"before".to_vec();
    assert!(transcode::answer_json(Some(1), b"\xff", &mut out).is_err());
    assert_eq!(out, b"before");
}
