//! Property: what docs/protocol.md shows is what the code does.

use throng_wire::client::decode_json;
use throng_wire::{ErrorCode, Fault, Json, SessionClose, limits, v1};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

/// The JSON values in all blocks that are marked so.
fn examples(mark: &str) -> Vec<serde_json::Value> {
    let opening = format!("```json {mark}\n");
    let blocks = DOCUMENT.split(&opening).skip(1).map(|after| after.split("```").next().unwrap());
    let values = blocks.flat_map(|block| serde_json::Deserializer::from_str(block).into_iter());
    values.map(Result::unwrap).collect()
}

/// Written again, an example has the same fields: it holds no unknown ones and no defaults.
fn assert_unchanged<'a>(example: &serde_json::Value, message: &impl Json<'a>) {
    let mut text = Vec::new();
    message.write_json(&mut text);
    let again: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(&again, example);
}

#[test]
fn every_frame_of_a_client_is_read() {
    let examples = examples("client");
    assert!(examples.len() >= 16, "{}", examples.len());
    for example in &examples {
        let text = example.to_string();
        assert_unchanged(example, &decode_json(&text).unwrap());
    }
}

#[test]
fn every_frame_of_the_server_is_one() {
    let examples = examples("server");
    assert!(examples.len() >= 16, "{}", examples.len());
    for example in &examples {
        let text = example.to_string();
        let frame = v1::ServerFrame::from_json_str(&text).unwrap();
        assert!(frame.body.is_some());
        assert_unchanged(example, &frame);
    }
}

#[test]
fn every_operation_has_an_example_and_a_row() {
    let shown = examples("client");
    for number in 2..64 {
        let name = <v1::ClientFrame<'_> as throng_wire::Protobuf<'_>>::field_name(number);
        if name.is_empty() {
            continue;
        }
        let row = DOCUMENT
            .lines()
            .any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(row, "no row for {name}");
        // Its sibling `read` has the same fields.
        let has_example = shown.iter().any(|frame| frame.get(name).is_some());
        assert!(has_example || name == "delivered", "no example of {name}");
    }
}

/// The cells of the row that begins with this one.
fn row(first: &str) -> Vec<&'static str> {
    let mut rows = DOCUMENT.lines().filter(|line| line.starts_with("| "));
    let found = rows.find(|line| line[2..].starts_with(&format!("{first} |")));
    let row = found.unwrap_or_else(|| panic!("no row for {first}"));
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn the_table_of_errors_is_the_codes() {
    for code in ErrorCode::ALL {
        let cells = row(&format!("`{}`", code.text()));
        let fault = if code.fault() == Fault::Client { "client" } else { "server" };
        let again = if code.is_retryable() { "yes" } else { "no" };
        assert_eq!(cells[1..3], [fault, again], "{code:?}");
    }
}

#[test]
fn the_table_of_close_codes_is_the_codes() {
    for code in SessionClose::ALL {
        let cells = row(&code.number().to_string());
        assert_eq!(cells[2].starts_with("yes"), code.asks_to_reconnect(), "{code:?}");
    }
}

#[test]
fn the_table_of_limits_is_the_limits() {
    let rows = [
        ("a frame", limits::FRAME_BYTES_MAX),
        ("an operation, as Protobuf", limits::OP_BYTES_MAX),
        ("`text` (UTF-8), `data` (decoded)", limits::BODY_BYTES_MAX),
        ("`user`, `device`", limits::NAME_BYTES_MAX),
        ("`send.kind`", limits::KIND_BYTES_MAX),
        ("`hello.agent`", limits::AGENT_BYTES_MAX),
        ("a group's name", limits::GROUP_NAME_BYTES_MAX),
        ("a token", limits::TOKEN_BYTES_MAX),
        ("a cursor", limits::CURSOR_BYTES_MAX),
        ("`members` in one request", limits::MEMBERS_PER_REQUEST_MAX),
        ("events in a page", limits::PAGE_EVENTS_MAX as usize),
        ("conversations in one `sync`", limits::SYNC_CONVS_MAX),
        ("the answer to one request, as Protobuf", limits::ANSWER_BYTES_MAX),
    ];
    // The table of identifiers also has a row of `user` and `device`.
    let table = DOCUMENT.split_once("## Limits").expect("a section of limits").1;
    for (name, limit) in rows {
        let line = table.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let value = line.and_then(|line| line.split('|').nth(2)).unwrap_or_default();
        let digits: String =
            value.trim().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        assert_eq!(digits.replace(',', ""), limit.to_string(), "{name}");
    }
}
