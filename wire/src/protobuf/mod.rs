//! The Protobuf wire format (protobuf.dev, "Encoding"), as far as the schemas use it.
//!
//! Decoding borrows strings and bytes from the input. What it guarantees whatever the bytes are: no
//! panic; memory in proportion to the number of elements, which is limited before each is made;
//! depth bounded by the schema, as no message contains itself and unknown fields are skipped by
//! their length. Unknown fields are skipped, groups refused, a singular field given twice takes the
//! last value, a message field given twice is merged.

pub mod length;
mod reader;
pub mod write;

pub use reader::{Reader, Tag, WireType};

use crate::{DecodeError, limits};

/// A message of a schema in its Protobuf encoding. Implemented by generated code only.
pub trait Protobuf<'a>: Default {
    /// Elements of repeated fields, at all depths together, that [`Protobuf::decode`] accepts.
    const ELEMENTS_MAX: usize = limits::ELEMENTS_MAX;

    /// Name of a field, for errors; empty if unknown.
    fn field_name(number: u32) -> &'static str;

    /// Reads the value that follows `tag` into its field.
    ///
    /// # Errors
    /// The bytes are not the field's encoding.
    fn merge_field(&mut self, tag: Tag, reader: &mut Reader<'a>) -> Result<(), DecodeError>;

    /// Bytes that [`Protobuf::encode`] will append.
    fn encoded_len(&self) -> usize;

    /// Appends the encoding, fields in ascending order, defaults left out.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads all fields that are left in `reader`.
    ///
    /// # Errors
    /// As [`Protobuf::decode`].
    fn merge(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        while let Some(tag) = reader.tag()? {
            self.merge_field(tag, reader)
                .map_err(|error| error.within(Self::field_name(tag.number)))?;
        }
        Ok(())
    }

    /// Decodes a whole message; strings and bytes are borrowed from `bytes`.
    ///
    /// # Errors
    /// The bytes are not an encoding of this message; the error names field and reason.
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        message.merge(&mut Reader::new(bytes, Self::ELEMENTS_MAX))?;
        Ok(message)
    }

    /// The encoding in a vector of its own.
    fn encode_to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out
    }
}
