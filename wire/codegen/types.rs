//! Structs, enums, field numbers, `into_owned`.

use std::fmt::Write;

use super::model::{Field, Kind, Label, Message, Model, Oneof, Slot, camel_case};

/// `name` or `name<'a>`.
pub(super) fn with_lifetime(name: &str, borrows: bool, lifetime: &str) -> String {
    if borrows { format!("{name}<{lifetime}>") } else { name.to_owned() }
}

fn value_type(kind: &Kind) -> String {
    match kind {
        Kind::U32 => "u32".into(),
        Kind::U64 | Kind::Fixed64 => "u64".into(),
        Kind::Bool => "bool".into(),
        Kind::Str => "::std::borrow::Cow<'a, str>".into(),
        Kind::Bytes => "::std::borrow::Cow<'a, [u8]>".into(),
        Kind::Message { name, borrows } => with_lifetime(name, *borrows, "'a"),
    }
}

fn field_type(field: &Field) -> String {
    let value = value_type(&field.kind);
    match field.label {
        Label::Repeated => format!("Vec<{value}>"),
        Label::Optional => format!("Option<{value}>"),
        Label::Singular if field.kind.is_message() => format!("Option<{value}>"),
        Label::Singular => value,
    }
}

fn emit_doc(doc: &[String], otherwise: &str, indent: &str, out: &mut String) {
    if doc.iter().all(String::is_empty) {
        let _ = writeln!(out, "{indent}/// {otherwise}");
    }
    for line in doc {
        let _ = writeln!(out, "{indent}/// {line}");
    }
}

const DERIVES: &str = "#[derive(Clone, Debug, PartialEq, Eq, Default)]";

/// The enums of all oneofs.
pub(super) fn emit_oneofs(model: &Model, out: &mut String) {
    for oneof in model.oneofs().values() {
        emit_oneof(oneof, out);
    }
}

fn emit_oneof(oneof: &Oneof, out: &mut String) {
    let name = with_lifetime(&oneof.type_name, oneof.borrows, "'a");
    let _ = writeln!(out, "\n/// One of the members of `{}`.", oneof.name);
    let _ = writeln!(out, "#[derive(Clone, Debug, PartialEq, Eq)]\npub enum {name} {{");
    for member in &oneof.members {
        emit_doc(&member.doc, &format!("`{}`.", member.name), "    ", out);
        let _ = writeln!(out, "    {}({}),", camel_case(&member.name), value_type(&member.kind));
    }
    out.push_str("}\n");
    if oneof.borrows {
        emit_oneof_owned(oneof, out);
    }
}

fn emit_oneof_owned(oneof: &Oneof, out: &mut String) {
    let name = &oneof.type_name;
    let _ = writeln!(
        out,
        "\nimpl {name}<'_> {{\n    /// A copy that borrows nothing.\n    #[must_use]\n    \
         pub fn into_owned(self) -> {name}<'static> {{\n        match self {{"
    );
    for member in &oneof.members {
        let variant = camel_case(&member.name);
        let value = owned_value(&member.kind, "value");
        let _ = writeln!(out, "            Self::{variant}(value) => {name}::{variant}({value}),");
    }
    out.push_str("        }\n    }\n}\n");
}

/// The struct, its field numbers and `into_owned`.
pub(super) fn emit_message(message: &Message, out: &mut String) {
    out.push('\n');
    emit_doc(&message.doc, &format!("`{}` of the schema.", message.name), "", out);
    let name = with_lifetime(&message.name, message.borrows, "'a");
    let _ = writeln!(out, "{DERIVES}\npub struct {name} {{");
    for slot in &message.slots {
        match slot {
            Slot::Field(field) => {
                emit_doc(&field.doc, &format!("Field {}.", field.number), "    ", out);
                let _ = writeln!(out, "    pub {}: {},", field.name, field_type(field));
            }
            Slot::Oneof(oneof) => {
                let of = with_lifetime(&oneof.type_name, oneof.borrows, "'a");
                let _ = writeln!(out, "    /// At most one of its members.");
                let _ = writeln!(out, "    pub {}: Option<{of}>,", oneof.name);
            }
        }
    }
    out.push_str("}\n");
    emit_numbers(message, out);
    if message.borrows {
        emit_message_owned(message, out);
    }
}

fn emit_numbers(message: &Message, out: &mut String) {
    if message.slots.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nimpl {} {{", with_lifetime(&message.name, message.borrows, "'_"));
    for field in message.fields() {
        let constant = field.name.to_ascii_uppercase();
        let _ = writeln!(out, "    /// Field number of `{}`.", field.name);
        let _ = writeln!(out, "    pub const {constant}: u32 = {};", field.number);
    }
    out.push_str("}\n");
}

fn emit_message_owned(message: &Message, out: &mut String) {
    let name = &message.name;
    let _ = writeln!(
        out,
        "\nimpl {name}<'_> {{\n    /// A copy that borrows nothing.\n    #[must_use]\n    \
         pub fn into_owned(self) -> {name}<'static> {{\n        {name} {{"
    );
    for slot in &message.slots {
        let (name, value) = match slot {
            Slot::Field(field) => (&field.name, owned_field(field)),
            Slot::Oneof(oneof) if oneof.borrows => {
                (&oneof.name, format!("self.{}.map({}::into_owned)", oneof.name, oneof.type_name))
            }
            Slot::Oneof(oneof) => (&oneof.name, format!("self.{}", oneof.name)),
        };
        let _ = writeln!(out, "            {name}: {value},");
    }
    out.push_str("        }\n    }\n}\n");
}

fn owned_value(kind: &Kind, value: &str) -> String {
    match kind {
        Kind::Str | Kind::Bytes => format!("::std::borrow::Cow::Owned({value}.into_owned())"),
        Kind::Message { borrows: true, .. } => format!("{value}.into_owned()"),
        _ => value.to_owned(),
    }
}

fn owned_field(field: &Field) -> String {
    let value = format!("self.{}", field.name);
    if !field.kind.borrows() {
        return value;
    }
    let each = match &field.kind {
        Kind::Message { name, .. } => format!("{name}::into_owned"),
        kind => format!("|value| {}", owned_value(kind, "value")),
    };
    match (field.label, field.kind.is_message()) {
        (Label::Repeated, _) => format!("{value}.into_iter().map({each}).collect()"),
        (_, true) => format!("{value}.map({each})"),
        (_, false) => owned_value(&field.kind, &value),
    }
}
