//! Property: our JSON mapping and the oracle's are the same language.

use std::borrow::Cow;

use proptest::prelude::*;
use throng_wire::{Json, Protobuf, v1};

use crate::oracle::{self, Random, for_every_client_message};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_oracle_writes_we_read(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let message = oracle::random_message($of, &mut $random, false);
                let text = oracle::to_json(&message);
                let ours = <$message>::from_json(text.as_bytes()).unwrap();
                prop_assert_eq!(ours.encode_to_vec(), oracle::encode(&message));
            }};
        }
        let mut random = Random(seed);
        for_every_client_message!(check(random));
    }

    #[test]
    fn what_we_write_the_oracle_and_we_read(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let bytes = oracle::encode(&oracle::random_message($of, &mut $random, false));
                let ours = <$message>::decode(&bytes).unwrap();
                let mut text = Vec::new();
                ours.write_json(&mut text);
                let text = String::from_utf8(text).unwrap();
                prop_assert_eq!(oracle::encode(&oracle::from_json($of, &text).unwrap()), bytes.clone());
                prop_assert_eq!(<$message>::from_json_str(&text).unwrap(), ours);
            }};
        }
        let mut random = Random(seed);
        for_every_client_message!(check(random));
    }

    #[test]
    fn what_we_accept_of_damaged_text_is_json(seed: u64) {
        macro_rules! check {
            ($message:path, $of:expr, $random:ident) => {{
                let text = damaged(&oracle::to_json(&oracle::random_message($of, &mut $random, false)), &mut $random);
                if <$message>::from_json_str(&text).is_ok() {
                    let refusal = serde_json::from_str::<serde_json::Value>(&text).err();
                    let refusal = refusal.filter(|error| !error.to_string().contains("out of range"));
                    prop_assert!(refusal.is_none(), "accepted: {text}");
                }
            }};
        }
        let mut random = Random(seed);
        for_every_client_message!(check(random));
    }

    #[test]
    fn any_string_survives(value: String) {
        let rename = v1::Rename { name: value.as_str().into(), ..Default::default() };
        let mut text = Vec::new();
        rename.write_json(&mut text);
        let theirs: serde_json::Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(theirs["name"].as_str().unwrap_or_default(), value.as_str());
        prop_assert_eq!(v1::Rename::from_json(&text).unwrap(), rename);
    }
}

fn damaged(text: &str, random: &mut Random) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let inserted = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', ' ', 'n', '\n'];
    for _ in 0..=random.below(2) {
        let at = random.below(characters.len());
        match random.below(3) {
            0 => characters[at] = inserted[random.below(inserted.len())],
            1 => characters.insert(at, inserted[random.below(inserted.len())]),
            _ if characters.len() > 1 => drop(characters.remove(at)),
            _ => {}
        }
    }
    characters.into_iter().collect()
}

#[test]
fn strings_without_escapes_are_borrowed_and_others_are_not() {
    let rename = v1::Rename::from_json(br#"{"conv": "plain", "name": "esc\u0061ped"}"#).unwrap();
    assert!(matches!(rename.conv, Cow::Borrowed("plain")));
    assert!(matches!(&rename.name, Cow::Owned(name) if name == "escaped"));
}

#[test]
fn absent_null_and_default_are_the_same() {
    for text in [r#"{}"#, r#"{"conv": null, "seq": null}"#, r#"{"conv": "", "seq": 0}"#] {
        assert_eq!(v1::Mark::from_json_str(text), Ok(v1::Mark::default()), "{text}");
    }
}

#[test]
fn defaults_are_not_written_but_what_has_presence_is() {
    let written = |frame: v1::ServerFrame<'_>| {
        let mut text = Vec::new();
        frame.write_json(&mut text);
        String::from_utf8(text).unwrap()
    };
    assert_eq!(written(v1::ServerFrame::default()), "{}");
    let ok = v1::ServerFrame { id: Some(0), body: Some(v1::Body::Ok(v1::Ok {})) };
    assert_eq!(written(ok), r#"{"id":0,"ok":{}}"#);
    let page = v1::ServerFrame { id: None, body: Some(v1::Body::History(v1::Page::default())) };
    assert_eq!(written(page), r#"{"history":{}}"#);
}

#[test]
fn an_empty_text_is_a_text() {
    let message = v1::Message::from_json_str(r#"{"text": ""}"#).unwrap();
    assert_eq!(message.content, Some(v1::Content::Text("".into())));
    let mut text = Vec::new();
    message.write_json(&mut text);
    assert_eq!(text, br#"{"text":""}"#);
}

#[test]
fn unknown_keys_are_passed_over_whatever_they_hold() {
    let text =
        r#" { "x": [1, {"y": [null, true, false, -1.5e+3, "\""]}, []], "seq": 7, "z": {} } "#;
    assert_eq!(v1::Mark::from_json_str(text).unwrap().seq, 7);
}

#[test]
fn surrogate_pairs_are_one_character() {
    let rename = v1::Rename::from_json_str(r#"{"name": "\ud83e\udd80\n\/"}"#).unwrap();
    assert_eq!(rename.name, "🦀\n/");
}

#[test]
fn an_escape_is_found_wherever_it_stands() {
    for length in (0..200).chain([1000, 1023, 1024]) {
        for at in (0..length).rev().take(130) {
            let mut name = "x".repeat(length);
            name.replace_range(at..=at, "\n");
            let rename = v1::Rename { name: name.as_str().into(), ..Default::default() };
            let mut text = Vec::new();
            rename.write_json(&mut text);
            assert_eq!(text.len(), r#"{"name":""}"#.len() + length + 1, "{at} of {length}");
            assert_eq!(v1::Rename::from_json(&text).unwrap().name, name, "{at} of {length}");
        }
    }
}
