//! The schema as the emitters see it: checked, flattened, in field order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prost_types::field_descriptor_proto::{Label as ProtoLabel, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

/// Why a schema cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaError(String);

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SchemaError {}

fn refuse<T>(reason: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError(reason.into()))
}

/// Highest field number: one bit each in the word that remembers the fields seen.
const FIELD_NUMBER_MAX: u32 = 63;

/// All messages of one file.
#[derive(Debug)]
pub(crate) struct Model {
    pub(super) messages: Vec<Message>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) doc: Vec<String>,
    /// In the order of their (first) field number.
    pub(super) slots: Vec<Slot>,
    /// Holds, at whatever depth, a string or bytes.
    pub(super) borrows: bool,
}

/// One member of the Rust struct.
#[derive(Debug)]
pub(super) enum Slot {
    Field(Field),
    Oneof(Oneof),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) label: Label,
    pub(super) doc: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Oneof {
    pub(super) name: String,
    /// Name of the enum. Oneofs with the same name and members share one.
    pub(super) type_name: String,
    pub(super) members: Vec<Field>,
    pub(super) borrows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Singular,
    Optional,
    Repeated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U32,
    U64,
    Fixed64,
    Bool,
    Str,
    Bytes,
    Message { name: String, borrows: bool },
}

impl Kind {
    pub(super) fn borrows(&self) -> bool {
        match self {
            Self::Str | Self::Bytes => true,
            Self::Message { borrows, .. } => *borrows,
            _ => false,
        }
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self, Self::Message { .. })
    }
}

impl Message {
    /// Every field, those of oneofs included.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.slots.iter().flat_map(|slot| match slot {
            Slot::Field(field) => std::slice::from_ref(field),
            Slot::Oneof(oneof) => oneof.members.as_slice(),
        })
    }
}

impl Model {
    /// Reads one file's descriptor. Nested messages are flattened: their own name must be unique.
    ///
    /// # Errors
    /// The schema uses what the generator refuses; the text names the message and field.
    pub(crate) fn new(file: &FileDescriptorProto) -> Result<Self, SchemaError> {
        let comments = Comments::new(file);
        let mut found = Vec::new();
        for (index, message) in file.message_type.iter().enumerate() {
            collect(message, vec![4, index as i32], &mut found);
        }
        let names = unique_names(&found)?;
        let borrowing = borrowing(&found, &names)?;
        let messages = found
            .iter()
            .map(|(message, path)| build(message, path, &comments, &borrowing))
            .collect::<Result<Vec<_>, _>>()?;
        let model = Self { messages };
        model.check_shared_oneofs()?;
        Ok(model)
    }

    /// Oneofs that share an enum, once each.
    pub(super) fn oneofs(&self) -> BTreeMap<&str, &Oneof> {
        let mut distinct = BTreeMap::new();
        for oneof in self.all_oneofs() {
            distinct.entry(oneof.type_name.as_str()).or_insert(oneof);
        }
        distinct
    }

    fn all_oneofs(&self) -> impl Iterator<Item = &Oneof> {
        self.messages.iter().flat_map(|message| &message.slots).filter_map(|slot| match slot {
            Slot::Oneof(oneof) => Some(oneof),
            Slot::Field(_) => None,
        })
    }

    fn check_shared_oneofs(&self) -> Result<(), SchemaError> {
        let distinct = self.oneofs();
        for oneof in self.all_oneofs() {
            let first = distinct[oneof.type_name.as_str()];
            let same = first.members.len() == oneof.members.len()
                && first
                    .members
                    .iter()
                    .zip(&oneof.members)
                    .all(|(a, b)| a.name == b.name && a.kind == b.kind);
            if !same {
                return refuse(format!("two oneofs `{}` differ in their members", oneof.name));
            }
            if self.messages.iter().any(|message| message.name == oneof.type_name) {
                return refuse(format!("oneof `{}` is named like a message", oneof.name));
            }
        }
        Ok(())
    }
}

type Found<'a> = (&'a DescriptorProto, Vec<i32>);

fn collect<'a>(message: &'a DescriptorProto, path: Vec<i32>, into: &mut Vec<Found<'a>>) {
    for (index, nested) in message.nested_type.iter().enumerate() {
        let mut nested_path = path.clone();
        nested_path.extend([3, index as i32]);
        collect(nested, nested_path, into);
    }
    into.push((message, path));
}

fn unique_names<'a>(
    found: &[Found<'a>],
) -> Result<BTreeMap<&'a str, &'a DescriptorProto>, SchemaError> {
    let mut names = BTreeMap::new();
    for (message, _) in found {
        if names.insert(message.name(), *message).is_some() {
            return refuse(format!("two messages are named `{}`", message.name()));
        }
    }
    Ok(names)
}

/// Names of the messages that hold a string or bytes at whatever depth.
fn borrowing(
    found: &[Found<'_>],
    names: &BTreeMap<&str, &DescriptorProto>,
) -> Result<BTreeSet<String>, SchemaError> {
    let mut borrowing = BTreeSet::new();
    for (message, _) in found {
        if borrows(message, names, &mut Vec::new())? {
            borrowing.insert(message.name().to_owned());
        }
    }
    Ok(borrowing)
}

fn borrows<'a>(
    message: &'a DescriptorProto,
    names: &BTreeMap<&str, &'a DescriptorProto>,
    within: &mut Vec<&'a str>,
) -> Result<bool, SchemaError> {
    if within.contains(&message.name()) {
        return refuse(format!("message `{}` contains itself", message.name()));
    }
    within.push(message.name());
    let mut result = false;
    for field in &message.field {
        result |= match field.r#type() {
            Type::String | Type::Bytes => true,
            Type::Message => match names.get(last_name(field.type_name())) {
                Some(inner) => borrows(inner, names, within)?,
                None => return refuse(format!("`{}` is not in this file", field.type_name())),
            },
            _ => false,
        };
    }
    within.pop();
    Ok(result)
}

fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn build(
    message: &DescriptorProto,
    path: &[i32],
    comments: &Comments,
    borrowing: &BTreeSet<String>,
) -> Result<Message, SchemaError> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut fields: Vec<(usize, &FieldDescriptorProto)> =
        message.field.iter().enumerate().collect();
    fields.sort_by_key(|(_, field)| field.number());
    for (index, descriptor) in fields {
        let mut field_path = path.to_vec();
        field_path.extend([2, index as i32]);
        let field = build_field(message, descriptor, comments.of(&field_path), borrowing)?;
        match oneof_of(message, descriptor) {
            None => slots.push(Slot::Field(field)),
            Some(name) => push_member(&mut slots, name, field),
        }
    }
    Ok(Message {
        name: message.name().to_owned(),
        doc: comments.of(path),
        slots,
        borrows: borrowing.contains(message.name()),
    })
}

/// Name of the oneof a field belongs to. proto3 `optional` is written as a oneof of one: not that.
fn oneof_of<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a str> {
    if field.proto3_optional() {
        return None;
    }
    let index = usize::try_from(field.oneof_index?).ok()?;
    Some(message.oneof_decl[index].name())
}

fn push_member(slots: &mut Vec<Slot>, name: &str, field: Field) {
    let existing = slots.iter_mut().find_map(|slot| match slot {
        Slot::Oneof(oneof) if oneof.name == name => Some(oneof),
        _ => None,
    });
    match existing {
        Some(oneof) => {
            oneof.borrows |= field.kind.borrows();
            oneof.members.push(field);
        }
        None => slots.push(Slot::Oneof(Oneof {
            name: name.to_owned(),
            type_name: camel_case(name),
            borrows: field.kind.borrows(),
            members: vec![field],
        })),
    }
}

fn build_field(
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
    doc: Vec<String>,
    borrowing: &BTreeSet<String>,
) -> Result<Field, SchemaError> {
    let place = format!("{}.{}", message.name(), field.name());
    let number = field.number().unsigned_abs();
    if number > FIELD_NUMBER_MAX {
        return refuse(format!("{place}: field numbers end at {FIELD_NUMBER_MAX}"));
    }
    let label = match field.label() {
        ProtoLabel::Repeated => Label::Repeated,
        _ if field.proto3_optional() => Label::Optional,
        _ => Label::Singular,
    };
    let kind = match field.r#type() {
        Type::Uint32 => Kind::U32,
        Type::Uint64 => Kind::U64,
        Type::Fixed64 => Kind::Fixed64,
        Type::Bool => Kind::Bool,
        Type::String => Kind::Str,
        Type::Bytes => Kind::Bytes,
        Type::Message => {
            let name = last_name(field.type_name()).to_owned();
            Kind::Message { borrows: borrowing.contains(&name), name }
        }
        other => return refuse(format!("{place}: type {other:?} is not supported")),
    };
    check_combination(&place, label, &kind)?;
    Ok(Field { name: field.name().to_owned(), number, kind, label, doc })
}

fn check_combination(place: &str, label: Label, kind: &Kind) -> Result<(), SchemaError> {
    match (label, kind) {
        (Label::Singular, _)
        | (Label::Optional, Kind::U32 | Kind::U64 | Kind::Bool)
        | (Label::Repeated, Kind::U32 | Kind::Str | Kind::Message { .. }) => Ok(()),
        _ => refuse(format!("{place}: {label:?} {kind:?} is not supported")),
    }
}

/// `create_group` to `CreateGroup`.
pub(super) fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}

/// Comments of the schema by descriptor path; they become the documentation of the Rust types.
struct Comments(BTreeMap<Vec<i32>, Vec<String>>);

impl Comments {
    fn new(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let texts = locations.map(|location| {
            let lines =
                location.leading_comments().lines().chain(location.trailing_comments().lines());
            let text = lines.map(|line| line.trim().replace('[', "\\[").replace('<', "\\<"));
            (location.path.clone(), text.filter(|line| !line.starts_with("-----")).collect())
        });
        Self(texts.collect())
    }

    fn of(&self, path: &[i32]) -> Vec<String> {
        self.0.get(path).cloned().unwrap_or_default()
    }
}
