//! Property: what is not JSON of the schema is refused, with where and why; limits hold.

use throng_wire::{Json, limits, v1};

fn refusal(text: &str) -> String {
    v1::ClientFrame::from_json_str(text).unwrap_err().to_string()
}

#[test]
fn the_error_says_where_and_why() {
    let cases = [
        (r#"{"send": {"text": 5}}"#, "send.text: expected a string"),
        (r#"{"send": "hi"}"#, "send: expected an object"),
        (r#"{"sync": {"convs": {}}}"#, "sync.convs: expected an array"),
        (r#"{"sync": {"convs": [{"conv": []}]}}"#, "sync.convs.conv: expected a string"),
        (r#"{"id": "1"}"#, "id: expected a whole number from 0 to 9007199254740991"),
        (
            r#"{"history": {"limit": 4294967296}}"#,
            "history.limit: expected a whole number from 0 to 4294967295",
        ),
        (r#"{"send": {"data": "a"}}"#, "send.data: expected base64 with padding"),
        (r#"{"send": {"data": "YQ"}}"#, "send.data: expected base64 with padding"),
        (r#"{"send": {"text": "", "data": ""}}"#, "send.data: only one of text, data may be given"),
        (r#"{"id": 1, "id": 1}"#, "id: given twice"),
        (r#"{"send": {"to": null, "to": "a"}}"#, "send.to: given twice"),
        (r#"{"send": {"to": "\x"}}"#, "send.to: a bad escape in a string"),
        (r#"{"send": {"to": "\ud800"}}"#, "send.to: a bad escape in a string"),
        (r#"{"send": {"to": "\ud800\u0041"}}"#, "send.to: a bad escape in a string"),
        (r#"{"send": {"to": "\udc00"}}"#, "send.to: a bad escape in a string"),
        (
            "{\"send\": {\"to\": \"a\nb\"}}",
            "send.to: a control character in a string must be escaped",
        ),
        (r#"[]"#, "expected an object"),
        (r#""#, "not JSON: expected a value at byte 0"),
        (r#"{"id" 1}"#, "not JSON: expected ':' at byte 6"),
        (r#"{"id": 1"#, "not JSON: expected ',' or '}' at byte 8"),
        (r#"{"id": 1,}"#, "not JSON: expected a key in quotes at byte 9"),
        (r#"{"id": 1} {}"#, "not JSON: expected the end at byte 10"),
        (r#"{"ping": {}, "send""#, "not JSON: expected ':' at byte 19"),
        (r#"{"x": nul}"#, "not JSON: expected null at byte 6"),
        (r#"{"send": {"to": "a"#, "send.to: the input ends too early"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn two_ops_in_one_frame() {
    let text = refusal(r#"{"ping": {}, "send": {"to": "bob"}}"#);
    assert!(text.starts_with("send: only one of hello, send, "), "{text}");
}

#[test]
fn not_utf8() {
    let error = v1::Mark::from_json(b"{\"conv\": \"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "not UTF-8");
}

#[test]
fn the_largest_exact_integer_passes_and_the_next_does_not() {
    let largest = v1::Mark::from_json_str(r#"{"seq": 9007199254740991}"#).unwrap();
    assert_eq!(largest.seq, limits::JSON_INTEGER_END - 1);
    for text in ["9007199254740992", "18446744073709551616", "1e3", "1.0", "-1", "-0", "\"1\""] {
        let text = format!("{{\"seq\": {text}}}");
        let error = v1::Mark::from_json_str(&text).unwrap_err();
        assert_eq!(error.to_string(), "seq: expected a whole number from 0 to 9007199254740991");
    }
    assert!(v1::Mark::from_json_str(r#"{"seq": 01}"#).is_err());
}

#[test]
fn the_deepest_unknown_value_passes_and_one_level_more_does_not() {
    let nested = |depth: usize| format!("{{\"x\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(v1::Mark::from_json_str(&nested(limits::JSON_DEPTH_MAX)).is_ok());
    let error = v1::Mark::from_json_str(&nested(limits::JSON_DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(error.to_string(), "nested too deeply");
    // Without a limit this would exhaust the stack.
    assert!(v1::Mark::from_json_str(&nested(1_000_000)).is_err());
    assert!(v1::Mark::from_json_str(&"{\"x\":".repeat(1_000_000)).is_err());
}

#[test]
fn the_last_element_within_the_limit_passes_and_one_more_does_not() {
    let frame = |count: usize| {
        let members = vec!["\"m\""; count].join(",");
        format!("{{\"add_members\": {{\"members\": [{members}]}}}}")
    };
    assert!(v1::ClientFrame::from_json_str(&frame(limits::CLIENT_ELEMENTS_MAX)).is_ok());
    assert_eq!(
        refusal(&frame(limits::CLIENT_ELEMENTS_MAX + 1)),
        "add_members.members: too many elements"
    );
}
