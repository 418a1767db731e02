//! A pull parser over one JSON text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Json, text};
use crate::{DecodeError, DecodeFault, limits};

/// Reads values one after the other. `'a` is the input's lifetime, which strings borrow.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    elements_left: usize,
}

fn expected<T>(what: &'static str) -> Result<T, DecodeError> {
    Err(DecodeError::new(DecodeFault::Expected(what)))
}

const WHOLE_NUMBER: &str = "a whole number from 0 to 9007199254740991";

impl<'a> Reader<'a> {
    /// Over a whole text; at most `elements_max` elements of repeated fields are accepted.
    ///
    /// # Errors
    /// Not UTF-8.
    pub fn new(bytes: &'a [u8], elements_max: usize) -> Result<Self, DecodeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::over(text, elements_max)),
            Err(_) => Err(DecodeError::new(DecodeFault::NotUtf8)),
        }
    }

    /// The same over what is known to be UTF-8.
    #[must_use]
    pub fn over(text: &'a str, elements_max: usize) -> Self {
        Self { text, at: 0, elements_left: elements_max }
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn not_json<T>(&self, what: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError::new(DecodeFault::NotJson { at: self.at, expected: what }))
    }

    #[inline]
    fn punctuation(&mut self, byte: u8, what: &'static str) -> Result<(), DecodeError> {
        if self.peek() != Some(byte) {
            return self.not_json(what);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &'static str) -> Result<(), DecodeError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.not_json(word);
        }
        self.at += word.len();
        Ok(())
    }

    /// Nothing but white space may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.not_json("the end"),
        }
    }

    /// Enters an object.
    ///
    /// # Errors
    /// Another value comes next.
    pub fn begin_object(&mut self) -> Result<(), DecodeError> {
        if self.peek() != Some(b'{') {
            return self.expected("an object");
        }
        self.at += 1;
        Ok(())
    }

    /// A type that was not found: if no value at all is there, the text is not JSON.
    fn expected<T>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        match self.peek() {
            Some(b'{' | b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => expected(what),
            _ => self.not_json("a value"),
        }
    }

    /// The next key of an object, its colon consumed; `None` at the object's end. `first` is true
    /// at the first call.
    ///
    /// # Errors
    /// Not JSON.
    #[inline]
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !self.next_in(b'}', "',' or '}'", first)? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return self.not_json("a key in quotes");
        }
        let key = self.string()?;
        self.punctuation(b':', "':'")?;
        Ok(Some(key))
    }

    /// Whether another member follows in an object or array; consumes the comma or the end.
    #[inline]
    fn next_in(
        &mut self,
        end: u8,
        what: &'static str,
        first: &mut bool,
    ) -> Result<bool, DecodeError> {
        let next = self.peek();
        let is_first = std::mem::replace(first, false);
        if next == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.punctuation(b',', what)?;
        }
        Ok(true)
    }

    /// Consumes a `null`, if that comes next.
    ///
    /// # Errors
    /// A misspelt `null`.
    #[inline]
    pub fn null(&mut self) -> Result<bool, DecodeError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null")?;
        Ok(true)
    }

    /// A string.
    ///
    /// # Errors
    /// Another type, or a bad escape.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if self.peek() != Some(b'"') {
            return self.expected("a string");
        }
        self.at += 1;
        match text::unescape(&self.text[self.at..]) {
            Ok((value, consumed)) => {
                self.at += consumed;
                Ok(value)
            }
            Err(fault) => Err(DecodeError::new(fault)),
        }
    }

    /// A string of base64.
    ///
    /// # Errors
    /// Another type, or not base64.
    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let encoded = self.string()?;
        match BASE64.decode(encoded.as_bytes()) {
            Ok(bytes) => Ok(Cow::Owned(bytes)),
            Err(_) => Err(DecodeError::new(DecodeFault::NotBase64)),
        }
    }

    /// A whole number below 2^53.
    ///
    /// # Errors
    /// Another type, a sign, a fraction, an exponent, or too large.
    pub fn uint64(&mut self) -> Result<u64, DecodeError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.expected(WHOLE_NUMBER);
        }
        let start = self.at;
        self.number()?;
        match self.text[start..self.at].parse() {
            Ok(value) if value < limits::JSON_INTEGER_END => Ok(value),
            _ => expected(WHOLE_NUMBER),
        }
    }

    /// A whole number below 2^32.
    ///
    /// # Errors
    /// As [`Reader::uint64`].
    pub fn uint32(&mut self) -> Result<u32, DecodeError> {
        match u32::try_from(self.uint64()?) {
            Ok(value) => Ok(value),
            Err(_) => expected("a whole number from 0 to 4294967295"),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Another type.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.peek() {
            Some(b't') => self.literal("true").map(|()| true),
            Some(b'f') => self.literal("false").map(|()| false),
            _ => self.expected("true or false"),
        }
    }

    /// An object, into `target`.
    ///
    /// # Errors
    /// Whatever is wrong within.
    pub fn message<M: Json<'a>>(&mut self, target: &mut M) -> Result<(), DecodeError> {
        target.read_json(self)
    }

    /// An array of objects.
    ///
    /// # Errors
    /// Another type, too many, or whatever is wrong within.
    pub fn messages<M: Json<'a>>(&mut self, into: &mut Vec<M>) -> Result<(), DecodeError> {
        self.array(|reader| {
            let mut element = M::default();
            element.read_json(reader)?;
            into.push(element);
            Ok(())
        })
    }

    /// An array of strings.
    ///
    /// # Errors
    /// Another type, or too many.
    pub fn strings(&mut self, into: &mut Vec<Cow<'a, str>>) -> Result<(), DecodeError> {
        self.array(|reader| {
            into.push(reader.string()?);
            Ok(())
        })
    }

    fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.peek() != Some(b'[') {
            return self.expected("an array");
        }
        self.at += 1;
        let mut first = true;
        while self.next_in(b']', "',' or ']'", &mut first)? {
            self.elements_left = match self.elements_left.checked_sub(1) {
                Some(left) => left,
                None => return Err(DecodeError::new(DecodeFault::TooManyElements)),
            };
            element(self)?;
        }
        Ok(())
    }

    /// Members of a oneof exclude each other.
    ///
    /// # Errors
    /// One `is_set` already.
    pub fn only_one(&self, is_set: bool, names: &'static str) -> Result<(), DecodeError> {
        if is_set { Err(DecodeError::new(DecodeFault::TwoOf(names))) } else { Ok(()) }
    }

    /// Passes over a value that nobody knows.
    ///
    /// # Errors
    /// Not JSON, or nested deeper than [`limits::JSON_DEPTH_MAX`].
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        self.skip_within(limits::JSON_DEPTH_MAX)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), DecodeError> {
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => Err(DecodeError::new(DecodeFault::TooDeep)),
            Some(b'{') => self.skip_object(depth - 1),
            Some(b'[') => self.skip_array(depth - 1),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.number(),
        }
    }

    fn skip_object(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.at += 1;
        let mut first = true;
        while self.key(&mut first)?.is_some() {
            self.skip_within(depth)?;
        }
        Ok(())
    }

    fn skip_array(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.at += 1;
        let mut first = true;
        while self.next_in(b']', "',' or ']'", &mut first)? {
            self.skip_within(depth)?;
        }
        Ok(())
    }

    /// Passes over a number (RFC 8259 section 6).
    fn number(&mut self) -> Result<(), DecodeError> {
        let bytes = self.text.as_bytes();
        self.at += usize::from(self.peek() == Some(b'-'));
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.not_json("a value");
        }
        self.at += count;
        Ok(())
    }

    /// Whether the value that comes next is an object.
    pub(crate) fn at_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Whether the value that comes next is a number without a sign.
    pub(crate) fn at_digit(&mut self) -> bool {
        matches!(self.peek(), Some(b'0'..=b'9'))
    }
}
