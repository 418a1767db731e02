//! The Protobuf codec of a message: tables over `crate::protobuf`.

use std::fmt::Write;

use super::Options;
use super::model::{Field, Kind, Label, Message, Oneof, Slot, camel_case};
use super::types::with_lifetime;

/// `impl Protobuf for …`.
pub(super) fn emit(message: &Message, options: &Options<'_>, out: &mut String) {
    let name = with_lifetime(&message.name, message.borrows, "'a");
    let _ = writeln!(out, "\nimpl<'a> crate::protobuf::Protobuf<'a> for {name} {{");
    if let Some((_, limit)) = options.element_limits.iter().find(|(of, _)| *of == message.name) {
        let _ = writeln!(out, "    const ELEMENTS_MAX: usize = crate::limits::{limit};\n");
    }
    emit_field_name(message, out);
    emit_merge(message, out);
    emit_lines(message, "encoded_len(&self) -> usize", "0", "", length_line, out);
    emit_lines(message, "encode(&self, out: &mut Vec<u8>)", "", ";", encode_line, out);
    out.push_str("}\n");
}

fn emit_field_name(message: &Message, out: &mut String) {
    if message.slots.is_empty() {
        out.push_str("    fn field_name(_number: u32) -> &'static str {\n        \"\"\n    }\n\n");
        return;
    }
    out.push_str("    fn field_name(number: u32) -> &'static str {\n        match number {\n");
    for field in message.fields() {
        let _ = writeln!(out, "            {} => \"{}\",", field.number, field.name);
    }
    out.push_str("            _ => \"\",\n        }\n    }\n\n");
}

fn emit_merge(message: &Message, out: &mut String) {
    out.push_str(
        "    fn merge_field(\n        &mut self,\n        tag: crate::protobuf::Tag,\n        \
         reader: &mut crate::protobuf::Reader<'a>,\n    ) -> Result<(), crate::DecodeError> {\n",
    );
    if message.slots.is_empty() {
        out.push_str("        reader.skip(tag)\n    }\n\n");
        return;
    }
    out.push_str("        match tag.number {\n");
    for slot in &message.slots {
        match slot {
            Slot::Field(field) => {
                let _ = writeln!(out, "            {} => {},", field.number, merge_field(field));
            }
            Slot::Oneof(oneof) => emit_merge_members(oneof, out),
        }
    }
    out.push_str("            _ => reader.skip(tag)?,\n        }\n        Ok(())\n    }\n\n");
}

/// Name by which `protobuf` and `json` call a kind.
pub(super) fn method(kind: &Kind) -> &'static str {
    match kind {
        Kind::U32 => "uint32",
        Kind::U64 => "uint64",
        Kind::Fixed64 => "fixed64",
        Kind::Bool => "boolean",
        Kind::Str => "string",
        Kind::Bytes => "bytes",
        Kind::Message { .. } => "message",
    }
}

fn merge_field(field: &Field) -> String {
    let target = format!("self.{}", field.name);
    let method = method(&field.kind);
    match (field.label, &field.kind) {
        (Label::Repeated, Kind::U32) => format!("reader.uint32s(tag, &mut {target})?"),
        (Label::Repeated, Kind::Message { .. }) => {
            format!("reader.message_element(tag, &mut {target})?")
        }
        (Label::Repeated, _) => format!("reader.{method}_element(tag, &mut {target})?"),
        (_, Kind::Message { .. }) => {
            format!("reader.message(tag, {target}.get_or_insert_default())?")
        }
        (Label::Optional, _) => format!("{target} = Some(reader.{method}(tag)?)"),
        (Label::Singular, _) => format!("{target} = reader.{method}(tag)?"),
    }
}

/// The last member wins; the same message member twice is merged (Protobuf encoding, "Last One
/// Wins").
fn emit_merge_members(oneof: &Oneof, out: &mut String) {
    for member in &oneof.members {
        let number = member.number;
        let variant = format!("{}::{}", oneof.type_name, camel_case(&member.name));
        let target = format!("self.{}", oneof.name);
        let method = method(&member.kind);
        let _ = if member.kind.is_message() {
            writeln!(
                out,
                "            {number} => {{\n                \
                 if !matches!({target}, Some({variant}(_))) {{\n                    \
                 {target} = Some({variant}(Default::default()));\n                }}\n                \
                 if let Some({variant}(value)) = &mut {target} {{\n                    \
                 reader.message(tag, value)?;\n                }}\n            }}"
            )
        } else {
            writeln!(
                out,
                "            {number} => {target} = Some({variant}(reader.{method}(tag)?)),"
            )
        };
    }
}

/// A function whose body has one line for each slot: joined by ` + `, or ended by `end`.
fn emit_lines(
    message: &Message,
    signature: &str,
    empty: &str,
    end: &str,
    line: fn(&Slot) -> String,
    out: &mut String,
) {
    let signature = if message.slots.is_empty() {
        signature.replace("out:", "_out:")
    } else {
        signature.to_owned()
    };
    let _ = writeln!(out, "    fn {signature} {{");
    let lines: Vec<String> = message.slots.iter().map(line).collect();
    if lines.is_empty() {
        let _ = writeln!(out, "        {empty}");
    }
    for (index, line) in lines.iter().enumerate() {
        let joint = if end.is_empty() && index > 0 { "+ " } else { "" };
        let _ = writeln!(out, "        {joint}{line}{end}");
    }
    out.push_str("    }\n\n");
}

fn length_line(slot: &Slot) -> String {
    match slot {
        Slot::Field(field) => {
            format!("crate::protobuf::length::{}", field_call(field, &field.number.to_string(), ""))
        }
        Slot::Oneof(oneof) => oneof_match(oneof, "length", "0", ""),
    }
}

fn encode_line(slot: &Slot) -> String {
    match slot {
        Slot::Field(field) => {
            format!(
                "crate::protobuf::write::{}",
                field_call(field, &field.number.to_string(), ", out")
            )
        }
        Slot::Oneof(oneof) => oneof_match(oneof, "write", "{}", ", out"),
    }
}

/// Functions named after a kind write the field whatever its value; those with `_field` leave out
/// the default of an implicit-presence field.
fn field_call(field: &Field, number: &str, out: &str) -> String {
    let method = method(&field.kind);
    let value = format!("self.{}", field.name);
    let by_reference = if matches!(field.kind, Kind::Str | Kind::Bytes) { "&" } else { "" };
    match (field.label, &field.kind) {
        (Label::Repeated, _) => format!("{method}s({number}, &{value}{out})"),
        (_, Kind::Message { .. }) => format!("optional_message({number}, {value}.as_ref(){out})"),
        (Label::Optional, _) => format!("optional_{method}({number}, {value}{out})"),
        (Label::Singular, _) => {
            format!("{method}_field({number}, {by_reference}{value}{out})")
        }
    }
}

fn oneof_match(oneof: &Oneof, module: &str, none: &str, out: &str) -> String {
    let mut text = format!("match &self.{} {{\n            None => {none},\n", oneof.name);
    for member in &oneof.members {
        let variant = format!("{}::{}", oneof.type_name, camel_case(&member.name));
        let method = method(&member.kind);
        let value =
            if member.kind.borrows() || member.kind.is_message() { "value" } else { "*value" };
        let _ = writeln!(
            text,
            "            Some({variant}(value)) => crate::protobuf::{module}::{method}({}, \
             {value}{out}),",
            member.number
        );
    }
    text.push_str("        }");
    text
}
