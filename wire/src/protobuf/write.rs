//! Appends fields to the caller's buffer. Functions with `_field` leave out the default value, as
//! proto3 does for fields without presence.

use std::borrow::Cow;

use super::{Protobuf, length};

/// A varint.
#[inline]
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn tag(number: u32, wire_type: u64, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | wire_type, out);
}

/// What stands before `length` bytes of a length-delimited field.
#[inline]
pub fn delimiter(number: u32, length: usize, out: &mut Vec<u8>) {
    tag(number, 2, out);
    varint(length as u64, out);
}

/// A `uint64`, whatever its value.
#[inline]
pub fn uint64(number: u32, value: u64, out: &mut Vec<u8>) {
    tag(number, 0, out);
    varint(value, out);
}

#[inline]
pub(crate) fn uint64_field(number: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        uint64(number, value, out);
    }
}

#[inline]
pub(crate) fn uint32_field(number: u32, value: u32, out: &mut Vec<u8>) {
    uint64_field(number, value.into(), out);
}

#[inline]
pub(crate) fn boolean_field(number: u32, value: bool, out: &mut Vec<u8>) {
    uint64_field(number, value.into(), out);
}

#[inline]
pub(crate) fn fixed64_field(number: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        tag(number, 1, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[inline]
pub(crate) fn optional_uint64(number: u32, value: Option<u64>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        uint64(number, value, out);
    }
}

#[inline]
pub(crate) fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    delimiter(number, value.len(), out);
    out.extend_from_slice(value);
}

#[inline]
pub(crate) fn bytes_field(number: u32, value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        bytes(number, value, out);
    }
}

#[inline]
pub(crate) fn string(number: u32, value: &str, out: &mut Vec<u8>) {
    bytes(number, value.as_bytes(), out);
}

#[inline]
pub(crate) fn string_field(number: u32, value: &str, out: &mut Vec<u8>) {
    bytes_field(number, value.as_bytes(), out);
}

pub(crate) fn message<'a, M: Protobuf<'a>>(number: u32, value: &M, out: &mut Vec<u8>) {
    delimiter(number, value.encoded_len(), out);
    value.encode(out);
}

pub(crate) fn optional_message<'a, M: Protobuf<'a>>(
    number: u32,
    value: Option<&M>,
    out: &mut Vec<u8>,
) {
    if let Some(value) = value {
        message(number, value, out);
    }
}

pub(crate) fn messages<'a, M: Protobuf<'a>>(number: u32, values: &[M], out: &mut Vec<u8>) {
    for value in values {
        message(number, value, out);
    }
}

pub(crate) fn strings(number: u32, values: &[Cow<'_, str>], out: &mut Vec<u8>) {
    for value in values {
        string(number, value, out);
    }
}

pub(crate) fn uint32s(number: u32, values: &[u32], out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    delimiter(number, length::packed(values), out);
    for value in values {
        varint(u64::from(*value), out);
    }
}
