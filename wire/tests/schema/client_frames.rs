//! Property: whatever a client sends, the edge learns the id to answer to and the right code.

use throng_wire::client::{FrameFault, decode_json, decode_protobuf};
use throng_wire::{ErrorCode, Protobuf, v1};

fn json_refusal(text: &str) -> (Option<u64>, ErrorCode) {
    let error = decode_json(text).unwrap_err();
    (error.id, error.code())
}

fn protobuf_refusal(bytes: &[u8]) -> (Option<u64>, ErrorCode) {
    let error = decode_protobuf(bytes).unwrap_err();
    (error.id, error.code())
}

#[test]
fn a_frame_is_the_same_in_both_encodings() {
    let text = r#"{"id": 7, "send": {"to": "bob", "text": "hi", "kind": "text"}}"#;
    let frame = decode_json(text).unwrap();
    let bytes = frame.encode_to_vec();
    assert_eq!(decode_protobuf(&bytes), Ok(frame));
}

#[test]
fn an_unknown_op_is_told_from_a_bad_frame() {
    assert_eq!(json_refusal(r#"{"id": 3, "dance": {}}"#), (Some(3), ErrorCode::UnknownOp));
    assert_eq!(json_refusal(r#"{"dance": {"id": 9}}"#), (None, ErrorCode::UnknownOp));
    assert_eq!(json_refusal(r#"{"id": 3, "dance": 5}"#), (Some(3), ErrorCode::BadFrame));
    assert_eq!(json_refusal(r#"{"id": 3}"#), (Some(3), ErrorCode::BadFrame));
    assert_eq!(json_refusal(r#"{"id": 3, "send": null}"#), (Some(3), ErrorCode::BadFrame));
    assert_eq!(protobuf_refusal(b"\x08\x03\xf2\x07\x00"), (Some(3), ErrorCode::UnknownOp));
    assert_eq!(protobuf_refusal(b"\xf2\x07\x00\x08\x03"), (Some(3), ErrorCode::UnknownOp));
    assert_eq!(protobuf_refusal(b"\x08\x03\xf0\x07\x00"), (Some(3), ErrorCode::BadFrame));
    assert_eq!(protobuf_refusal(b"\x08\x03"), (Some(3), ErrorCode::BadFrame));
    assert_eq!(protobuf_refusal(b""), (None, ErrorCode::BadFrame));
}

#[test]
fn unknown_fields_beside_a_known_op_are_ignored() {
    assert!(decode_json(r#"{"id": 3, "trace": {"a": 1}, "ping": {}}"#).is_ok());
    assert!(decode_protobuf(b"\x08\x03\xf2\x07\x00\x8a\x01\x00").is_ok());
}

#[test]
fn the_id_is_found_wherever_it_stands() {
    for text in [
        r#"{"id": 3, "send": {"text": 5}}"#,
        r#"{"send": {"text": 5}, "id": 3}"#,
        r#"{"x": [{}], "send": {"text": 5, "x": "}"}, "id": 3}"#,
        r#"{"id": 3, "send": {"text": "cut"#,
        r#"{"ping": {}, "send": {}, "id": 3}"#,
        r#"{"id": 3, "id": 4, "ping": {}}"#,
    ] {
        assert_eq!(json_refusal(text), (Some(3), ErrorCode::BadFrame), "{text}");
    }
    for bytes in [&b"\x08\x03\x1a\x03\x2a\x01\xff"[..], b"\x1a\x03\x2a\x01\xff\x08\x03"] {
        assert_eq!(protobuf_refusal(bytes), (Some(3), ErrorCode::BadFrame));
    }
}

#[test]
fn an_id_that_cannot_be_read_is_left_out() {
    for text in [
        r#"{"id": "3", "ping": {}}"#,
        r#"{"id": -3, "ping": {}}"#,
        r#"{"id": 9007199254740992, "ping": {}}"#,
        r#"{"send": {"text": "cut"#,
        "",
        "null",
    ] {
        assert_eq!(json_refusal(text), (None, ErrorCode::BadFrame), "{text}");
    }
}

#[test]
fn the_answer_says_what_is_wrong() {
    let answer = decode_json(r#"{"id": 3, "send": {"text": 5}}"#).unwrap_err().answer();
    assert_eq!(answer.id, Some(3));
    let Some(v1::Body::Error(error)) = answer.body else { panic!("not an error") };
    assert_eq!((&*error.code, &*error.fault), ("bad_frame", "client"));
    assert_eq!(error.message, "send.text: expected a string");
    assert_eq!(decode_json(r#"{"id": 3}"#).unwrap_err().fault, FrameFault::NoOp);
}
