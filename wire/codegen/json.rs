//! The JSON mapping of a message: tables over `crate::json`.

use std::fmt::Write;

use super::model::{Field, Kind, Label, Message, Oneof, Slot, camel_case};
use super::protobuf::method;
use super::types::with_lifetime;

/// `impl Json for …`.
pub(super) fn emit(message: &Message, out: &mut String) {
    let name = with_lifetime(&message.name, message.borrows, "'a");
    let _ = writeln!(out, "\nimpl<'a> crate::json::Json<'a> for {name} {{");
    emit_field_number(message, out);
    emit_read(message, out);
    emit_write(message, out);
    out.push_str("}\n");
}

fn emit_field_number(message: &Message, out: &mut String) {
    if message.slots.is_empty() {
        out.push_str("    fn field_number(_name: &str) -> u32 {\n        0\n    }\n\n");
        return;
    }
    out.push_str("    fn field_number(name: &str) -> u32 {\n        match name {\n");
    for field in message.fields() {
        let _ = writeln!(out, "            \"{}\" => {},", field.name, field.number);
    }
    out.push_str("            _ => 0,\n        }\n    }\n\n");
}

fn emit_read(message: &Message, out: &mut String) {
    out.push_str(
        "    fn read_field(\n        &mut self,\n        number: u32,\n        \
         reader: &mut crate::json::Reader<'a>,\n    ) -> Result<(), crate::DecodeError> {\n",
    );
    if message.slots.is_empty() {
        out.push_str("        let _ = number;\n        reader.skip()\n    }\n\n");
        return;
    }
    out.push_str("        match number {\n");
    for slot in &message.slots {
        match slot {
            Slot::Field(field) => {
                let _ = writeln!(out, "            {} => {},", field.number, read_field(field));
            }
            Slot::Oneof(oneof) => emit_read_members(oneof, out),
        }
    }
    out.push_str("            _ => reader.skip()?,\n        }\n        Ok(())\n    }\n\n");
}

fn read_field(field: &Field) -> String {
    let target = format!("self.{}", field.name);
    let method = method(&field.kind);
    match (field.label, &field.kind) {
        (Label::Repeated, _) => format!("reader.{method}s(&mut {target})?"),
        (_, Kind::Message { .. }) => {
            format!("reader.message({target}.get_or_insert_default())?")
        }
        (Label::Optional, _) => format!("{target} = Some(reader.{method}()?)"),
        (Label::Singular, _) => format!("{target} = reader.{method}()?"),
    }
}

fn emit_read_members(oneof: &Oneof, out: &mut String) {
    let names: Vec<&str> = oneof.members.iter().map(|member| member.name.as_str()).collect();
    let names = names.join(", ");
    for member in &oneof.members {
        let variant = format!("{}::{}", oneof.type_name, camel_case(&member.name));
        let target = format!("self.{}", oneof.name);
        let value = if member.kind.is_message() {
            "{\n                    let mut value = Default::default();\n                    \
             reader.message(&mut value)?;\n                    value\n                }"
                .to_owned()
        } else {
            format!("reader.{}()?", method(&member.kind))
        };
        let _ = writeln!(
            out,
            "            {} => {{\n                \
             reader.only_one({target}.is_some(), \"{names}\")?;\n                \
             {target} = Some({variant}({value}));\n            }}",
            member.number
        );
    }
}

fn emit_write(message: &Message, out: &mut String) {
    let object = if message.slots.is_empty() { "_object" } else { "object" };
    let _ = writeln!(out, "    fn write_fields(&self, {object}: &mut crate::json::Object<'_>) {{");
    for slot in &message.slots {
        let _ = match slot {
            Slot::Field(field) => writeln!(out, "        object.{};", write_field(field)),
            Slot::Oneof(oneof) => writeln!(out, "        {};", write_members(oneof)),
        };
    }
    out.push_str("    }\n");
}

fn key(field: &Field) -> String {
    format!("\"\\\"{}\\\":\"", field.name)
}

fn write_field(field: &Field) -> String {
    let (key, method) = (key(field), method(&field.kind));
    let value = format!("self.{}", field.name);
    let by_reference = if matches!(field.kind, Kind::Str | Kind::Bytes) { "&" } else { "" };
    match (field.label, &field.kind) {
        (Label::Repeated, _) => format!("{method}s({key}, &{value})"),
        (_, Kind::Message { .. }) => format!("optional_message({key}, {value}.as_ref())"),
        (Label::Optional, _) => format!("optional_{method}({key}, {value})"),
        (Label::Singular, _) => format!("{method}_field({key}, {by_reference}{value})"),
    }
}

fn write_members(oneof: &Oneof) -> String {
    let mut text = format!("match &self.{} {{\n            None => {{}},\n", oneof.name);
    for member in &oneof.members {
        let variant = format!("{}::{}", oneof.type_name, camel_case(&member.name));
        let star = if member.kind.borrows() || member.kind.is_message() { "" } else { "*" };
        let _ = writeln!(
            text,
            "            Some({variant}(value)) => object.{}({}, {star}value),",
            method(&member.kind),
            key(member)
        );
    }
    text.push_str("        }");
    text
}
