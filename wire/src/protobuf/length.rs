//! How many bytes `write` appends for a field. Same names, same rules.

use std::borrow::Cow;

use super::Protobuf;

/// Of a varint.
#[inline]
#[must_use]
pub const fn varint(value: u64) -> usize {
    // Seven bits a byte: (bits * 9 + 64) / 64 is ceil(bits / 7) for 1 to 64 bits.
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

#[inline]
pub(super) const fn tag(number: u32) -> usize {
    varint((number as u64) << 3)
}

/// Of a length-delimited field of `length` bytes.
#[inline]
#[must_use]
pub const fn delimited(number: u32, length: usize) -> usize {
    tag(number) + varint(length as u64) + length
}

#[inline]
pub(crate) fn uint64(number: u32, value: u64) -> usize {
    tag(number) + varint(value)
}

#[inline]
pub(crate) fn uint64_field(number: u32, value: u64) -> usize {
    if value == 0 { 0 } else { uint64(number, value) }
}

#[inline]
pub(crate) fn uint32_field(number: u32, value: u32) -> usize {
    uint64_field(number, value.into())
}

#[inline]
pub(crate) fn boolean_field(number: u32, value: bool) -> usize {
    uint64_field(number, value.into())
}

#[inline]
pub(crate) fn fixed64_field(number: u32, value: u64) -> usize {
    if value == 0 { 0 } else { tag(number) + 8 }
}

#[inline]
pub(crate) fn optional_uint64(number: u32, value: Option<u64>) -> usize {
    value.map_or(0, |value| uint64(number, value))
}

#[inline]
pub(crate) fn bytes(number: u32, value: &[u8]) -> usize {
    delimited(number, value.len())
}

#[inline]
pub(crate) fn bytes_field(number: u32, value: &[u8]) -> usize {
    if value.is_empty() { 0 } else { bytes(number, value) }
}

#[inline]
pub(crate) fn string(number: u32, value: &str) -> usize {
    bytes(number, value.as_bytes())
}

#[inline]
pub(crate) fn string_field(number: u32, value: &str) -> usize {
    bytes_field(number, value.as_bytes())
}

#[inline]
pub(crate) fn message<'a, M: Protobuf<'a>>(number: u32, value: &M) -> usize {
    delimited(number, value.encoded_len())
}

#[inline]
pub(crate) fn optional_message<'a, M: Protobuf<'a>>(number: u32, value: Option<&M>) -> usize {
    value.map_or(0, |value| message(number, value))
}

pub(crate) fn messages<'a, M: Protobuf<'a>>(number: u32, values: &[M]) -> usize {
    values.iter().map(|value| message(number, value)).sum()
}

pub(crate) fn strings(number: u32, values: &[Cow<'_, str>]) -> usize {
    values.iter().map(|value| string(number, value)).sum()
}

pub(super) fn packed(values: &[u32]) -> usize {
    values.iter().map(|value| varint(u64::from(*value))).sum()
}

pub(crate) fn uint32s(number: u32, values: &[u32]) -> usize {
    if values.is_empty() { 0 } else { delimited(number, packed(values)) }
}
