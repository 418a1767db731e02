//! Property: the schema compiler refuses what it cannot translate, and says where.

#[allow(dead_code, reason = "the build script uses all of it")]
#[path = "../../codegen/mod.rs"]
mod codegen;

use codegen::{Model, Options};
use prost_types::FileDescriptorProto;

fn parse(body: &str) -> FileDescriptorProto {
    let text = format!("syntax = \"proto3\"; package test; {body}");
    let root = std::env::temp_dir().join(format!("throng-schema-{}", std::process::id()));
    let name = format!(
        "{:x}.proto",
        body.bytes().fold(0_u64, |hash, byte| { hash.wrapping_mul(31).wrapping_add(byte.into()) })
    );
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join(&name), text).unwrap();
    let set = protox::compile([&name], [&root]).unwrap();
    std::fs::remove_file(root.join(&name)).unwrap();
    set.file.into_iter().next().unwrap()
}

fn refusal(body: &str) -> String {
    Model::new(&parse(body)).unwrap_err().to_string()
}

#[test]
fn what_the_protocol_does_not_use_is_refused() {
    let cases = [
        ("message A { A inner = 1; }", "message `A` contains itself"),
        ("message A { B b = 1; } message B { A a = 1; }", "message `A` contains itself"),
        ("message A { int64 x = 1; }", "A.x: type Int64 is not supported"),
        ("message A { double x = 1; }", "A.x: type Double is not supported"),
        ("message A { repeated bytes x = 1; }", "A.x: Repeated Bytes is not supported"),
        ("message A { optional string x = 1; }", "A.x: Optional Str is not supported"),
        ("message A { string x = 64; }", "A.x: field numbers end at 63"),
        ("message A { message B {} } message B {}", "two messages are named `B`"),
        (
            "message A { oneof x { string a = 1; } } message B { oneof x { string b = 1; } }",
            "two oneofs `x` differ in their members",
        ),
        (
            "message X {} message A { oneof x { string a = 1; } }",
            "oneof `x` is named like a message",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(refusal(body), expected, "{body}");
    }
}

#[test]
fn the_highest_field_number_passes() {
    assert!(Model::new(&parse("message A { string x = 63; }")).is_ok());
}

#[test]
fn only_messages_that_hold_text_or_bytes_have_a_lifetime() {
    let model = Model::new(&parse(
        "message A { B b = 1; } message B { string x = 1; } message C { uint64 x = 1; D d = 2; } message D {}",
    ));
    let source = codegen::generate(&model.unwrap(), &Options { json: true, element_limits: &[] });
    for declaration in ["struct A<'a> {", "struct B<'a> {", "struct C {", "struct D {"] {
        assert!(source.contains(declaration), "{declaration}");
    }
}

#[test]
fn an_element_limit_belongs_to_the_message_it_names() {
    let model =
        Model::new(&parse("message A { uint64 x = 1; } message B { uint64 x = 1; }")).unwrap();
    let options = Options { json: false, element_limits: &[("B", "LIMIT")] };
    let source = codegen::generate(&model, &options);
    let of_b = source.split_once("Protobuf<'a> for B {").map(|(_, after)| after.trim_start());
    assert!(
        of_b.is_some_and(
            |text| text.starts_with("const ELEMENTS_MAX: usize = crate::limits::LIMIT;")
        )
    );
    assert_eq!(source.matches("ELEMENTS_MAX").count(), 1);
    assert!(!source.contains("json"));
}
