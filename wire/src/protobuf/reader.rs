//! A cursor over encoded fields.

use std::borrow::Cow;

use super::Protobuf;
use crate::{DecodeError, DecodeFault};

/// How a field's value is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// Base-128 number.
    Varint,
    /// Eight bytes, little-endian.
    Fixed64,
    /// A varint length, then as many bytes.
    Bytes,
    /// Four bytes, little-endian. No schema of ours has one: only skipped.
    Fixed32,
}

/// What stands before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Field number, at least 1.
    pub number: u32,
    /// How the value is delimited.
    pub wire_type: WireType,
}

impl Tag {
    fn expect(self, wire_type: WireType) -> Result<(), DecodeError> {
        if self.wire_type == wire_type { Ok(()) } else { fail(DecodeFault::WrongWireType) }
    }
}

fn fail<T>(fault: DecodeFault) -> Result<T, DecodeError> {
    Err(DecodeError::new(fault))
}

/// Reads fields one after the other. `'a` is the input's lifetime, which values borrow.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    elements_left: usize,
}

impl<'a> Reader<'a> {
    /// Over `bytes`; at most `elements_max` elements of repeated fields are accepted.
    #[must_use]
    pub fn new(bytes: &'a [u8], elements_max: usize) -> Self {
        Self { rest: bytes, elements_left: elements_max }
    }

    /// The next field's tag; `None` at the end.
    ///
    /// # Errors
    /// Not a tag, or a group's.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<Tag>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 | 4 => return fail(DecodeFault::Group),
            5 => WireType::Fixed32,
            _ => return fail(DecodeFault::BadTag),
        };
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok(Some(Tag { number, wire_type })),
            _ => fail(DecodeFault::BadTag),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                if index == 9 && *byte > 1 {
                    return fail(DecodeFault::BadVarint);
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        fail(if self.rest.len() < 10 { DecodeFault::Truncated } else { DecodeFault::BadVarint })
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => fail(DecodeFault::Truncated),
        }
    }

    #[inline]
    fn delimited(&mut self, tag: Tag) -> Result<&'a [u8], DecodeError> {
        tag.expect(WireType::Bytes)?;
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn count_element(&mut self) -> Result<(), DecodeError> {
        match self.elements_left.checked_sub(1) {
            Some(left) => {
                self.elements_left = left;
                Ok(())
            }
            None => fail(DecodeFault::TooManyElements),
        }
    }

    /// Passes over the value of a field that nobody knows.
    ///
    /// # Errors
    /// The value is cut off.
    pub fn skip(&mut self, tag: Tag) -> Result<(), DecodeError> {
        match tag.wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Bytes => self.delimited(tag).map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
        }
    }

    /// A `uint64`.
    ///
    /// # Errors
    /// Not a varint.
    #[inline]
    pub fn uint64(&mut self, tag: Tag) -> Result<u64, DecodeError> {
        tag.expect(WireType::Varint)?;
        self.varint()
    }

    /// A `uint32`: the low 32 bits, as the specification wants it.
    ///
    /// # Errors
    /// Not a varint.
    #[inline]
    pub fn uint32(&mut self, tag: Tag) -> Result<u32, DecodeError> {
        self.uint64(tag).map(|value| value as u32)
    }

    /// A `bool`.
    ///
    /// # Errors
    /// Not a varint.
    #[inline]
    pub fn boolean(&mut self, tag: Tag) -> Result<bool, DecodeError> {
        self.uint64(tag).map(|value| value != 0)
    }

    /// A `fixed64`.
    ///
    /// # Errors
    /// Cut off, or of another wire type.
    pub fn fixed64(&mut self, tag: Tag) -> Result<u64, DecodeError> {
        tag.expect(WireType::Fixed64)?;
        let taken = self.take(8)?;
        Ok(taken.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// A `bytes`.
    ///
    /// # Errors
    /// Cut off, or of another wire type.
    #[inline]
    pub fn bytes(&mut self, tag: Tag) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.delimited(tag).map(Cow::Borrowed)
    }

    /// A `string`.
    ///
    /// # Errors
    /// Cut off, of another wire type, or not UTF-8.
    #[inline]
    pub fn string(&mut self, tag: Tag) -> Result<Cow<'a, str>, DecodeError> {
        match std::str::from_utf8(self.delimited(tag)?) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => fail(DecodeFault::NotUtf8),
        }
    }

    /// A message, merged into `target`.
    ///
    /// # Errors
    /// Whatever is wrong within.
    pub fn message<M: Protobuf<'a>>(
        &mut self,
        tag: Tag,
        target: &mut M,
    ) -> Result<(), DecodeError> {
        let bytes = self.delimited(tag)?;
        let mut inner = Reader::new(bytes, self.elements_left);
        target.merge(&mut inner)?;
        self.elements_left = inner.elements_left;
        Ok(())
    }

    /// One more message of a repeated field.
    ///
    /// # Errors
    /// Too many, or whatever is wrong within.
    pub fn message_element<M: Protobuf<'a>>(
        &mut self,
        tag: Tag,
        into: &mut Vec<M>,
    ) -> Result<(), DecodeError> {
        self.count_element()?;
        let mut element = M::default();
        self.message(tag, &mut element)?;
        into.push(element);
        Ok(())
    }

    /// One more string of a repeated field.
    ///
    /// # Errors
    /// Too many, or as [`Reader::string`].
    pub fn string_element(
        &mut self,
        tag: Tag,
        into: &mut Vec<Cow<'a, str>>,
    ) -> Result<(), DecodeError> {
        self.count_element()?;
        into.push(self.string(tag)?);
        Ok(())
    }

    /// One or (packed) more numbers of a repeated field.
    ///
    /// # Errors
    /// Too many, or not varints.
    pub fn uint32s(&mut self, tag: Tag, into: &mut Vec<u32>) -> Result<(), DecodeError> {
        if tag.wire_type == WireType::Varint {
            self.count_element()?;
            into.push(self.uint32(tag)?);
            return Ok(());
        }
        let mut packed = Reader::new(self.delimited(tag)?, self.elements_left);
        while !packed.rest.is_empty() {
            packed.count_element()?;
            into.push(packed.varint()? as u32);
        }
        self.elements_left = packed.elements_left;
        Ok(())
    }
}
