//! What can be wrong with encoded bytes, in words that a client author understands.

use std::fmt;

/// The kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The input ends within a value.
    #[error("the input ends too early")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a number of more than 64 bits")]
    BadVarint,
    /// Field number 0 or too high, or a wire type that does not exist.
    #[error("not a Protobuf field")]
    BadTag,
    /// Groups are not supported.
    #[error("Protobuf groups are not supported")]
    Group,
    /// The field is known, its wire type is another.
    #[error("another Protobuf wire type than the schema's")]
    WrongWireType,
    /// A string that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// More elements of repeated fields than the limit.
    #[error("too many elements")]
    TooManyElements,
    /// Not JSON, from this byte on.
    #[error("not JSON: expected {expected} at byte {at}")]
    NotJson {
        /// Distance from the start, bytes.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A JSON value of another type.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A JSON key given twice.
    #[error("given twice")]
    Duplicate,
    /// Members of a oneof together.
    #[error("only one of {0} may be given")]
    TwoOf(&'static str),
    /// An escape that JSON does not have, or half of a surrogate pair.
    #[error("a bad escape in a string")]
    BadEscape,
    /// A raw control character in a JSON string.
    #[error("a control character in a string must be escaped")]
    ControlCharacter,
    /// `bytes` that are not base64 with padding.
    #[error("expected base64 with padding")]
    NotBase64,
    /// An unknown JSON value nested too deeply.
    #[error("nested too deeply")]
    TooDeep,
}

/// Bytes that are not what they should be: where, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Detail>);

/// Boxed, so that the result of a success stays small.
#[derive(Clone, PartialEq, Eq)]
struct Detail {
    fault: DecodeFault,
    /// Innermost first.
    path: Vec<&'static str>,
}

impl DecodeError {
    pub(crate) fn new(fault: DecodeFault) -> Self {
        Self(Box::new(Detail { fault, path: Vec::new() }))
    }

    /// The same, seen from the message that has the field `name`.
    pub(crate) fn within(mut self, name: &'static str) -> Self {
        if !name.is_empty() {
            self.0.path.push(name);
        }
        self
    }

    /// The kind of fault.
    #[must_use]
    pub fn fault(&self) -> DecodeFault {
        self.0.fault
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.path.iter().rev().enumerate() {
            f.write_str(if index == 0 { "" } else { "." })?;
            f.write_str(name)?;
        }
        let separator = if self.0.path.is_empty() { "" } else { ": " };
        write!(f, "{separator}{}", self.0.fault)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl std::error::Error for DecodeError {}
