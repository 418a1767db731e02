//! The JSON mapping of the client schema (RFC 8259, I-JSON's range of numbers).
//!
//! One object for each message, field names as in the schema. 64-bit integers are JSON numbers
//! below 2^53, `bytes` are base64 with padding (RFC 4648 section 4), a oneof member is a key of the
//! enclosing object. Absent, `null` and the default are the same; defaults are not written, fields
//! with presence (`id`, messages, oneof members) are written whenever they are set. Unknown keys
//! are ignored; a known key given twice and two members of a oneof are errors.
//!
//! Strings without escapes are borrowed from the input. What reading guarantees whatever the input
//! is: no panic, memory in proportion to the limited number of elements and the input's length,
//! depth bounded by the schema and, within unknown values, by a limit.

mod reader;
mod text;
mod writer;

pub use reader::Reader;
pub use writer::Object;

use crate::{DecodeError, DecodeFault, Protobuf};

/// A message of a schema in its JSON mapping. Implemented by generated code only.
pub trait Json<'a>: Protobuf<'a> {
    /// Number of the field that has this name; 0 if unknown.
    fn field_number(name: &str) -> u32;

    /// Reads the value that comes next into the field `number`. The value is not `null`.
    ///
    /// # Errors
    /// The value is not of the field's type, or a sibling of its oneof was given before.
    fn read_field(&mut self, number: u32, reader: &mut Reader<'a>) -> Result<(), DecodeError>;

    /// Writes every field that is set.
    fn write_fields(&self, object: &mut Object<'_>);

    /// Reads one object.
    ///
    /// # Errors
    /// As [`Json::from_json`].
    fn read_json(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        reader.begin_object()?;
        let mut seen = 0_u64;
        let mut first = true;
        while let Some(key) = reader.key(&mut first)? {
            let number = Self::field_number(&key);
            if number == 0 {
                reader.skip()?;
                continue;
            }
            let within = |error: DecodeError| error.within(Self::field_name(number));
            if seen & 1 << number != 0 {
                return Err(within(DecodeError::new(DecodeFault::Duplicate)));
            }
            seen |= 1 << number;
            if !reader.null()? {
                self.read_field(number, reader).map_err(within)?;
            }
        }
        Ok(())
    }

    /// Reads a whole JSON text; strings without escapes are borrowed from `bytes`.
    ///
    /// # Errors
    /// Not UTF-8, not JSON, or not of the message's shape; the error names field and reason.
    fn from_json(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        read_whole(Reader::new(bytes, Self::ELEMENTS_MAX)?)
    }

    /// The same from what is known to be UTF-8.
    ///
    /// # Errors
    /// As [`Json::from_json`].
    fn from_json_str(text: &'a str) -> Result<Self, DecodeError> {
        read_whole(Reader::over(text, Self::ELEMENTS_MAX))
    }

    /// Appends the JSON text.
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        self.write_fields(&mut object);
        object.end();
    }
}

fn read_whole<'a, M: Json<'a>>(mut reader: Reader<'a>) -> Result<M, DecodeError> {
    let mut message = M::default();
    message.read_json(&mut reader)?;
    reader.end()?;
    Ok(message)
}
