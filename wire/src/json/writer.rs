//! Appends objects to the caller's buffer. As in `protobuf::write`, functions with `_field` leave
//! out the default value. A key comes as it is written: in quotes, with its colon.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Json, text};

/// An object under construction.
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// What comes before the next key.
    opener: u8,
}

impl<'o> Object<'o> {
    /// Starts one.
    #[inline]
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        Self { out, opener: b'{' }
    }

    /// Ends it.
    #[inline]
    pub fn end(self) {
        if self.opener == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    #[inline]
    fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        self.out.push(self.opener);
        self.opener = b',';
        self.out.extend_from_slice(key.as_bytes());
        self.out
    }

    pub(crate) fn uint64(&mut self, key: &'static str, value: u64) {
        let mut digits = itoa::Buffer::new();
        self.key(key).extend_from_slice(digits.format(value).as_bytes());
    }

    pub(crate) fn uint64_field(&mut self, key: &'static str, value: u64) {
        if value != 0 {
            self.uint64(key, value);
        }
    }

    pub(crate) fn uint32_field(&mut self, key: &'static str, value: u32) {
        self.uint64_field(key, value.into());
    }

    pub(crate) fn optional_uint64(&mut self, key: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.uint64(key, value);
        }
    }

    pub(crate) fn boolean_field(&mut self, key: &'static str, value: bool) {
        if value {
            self.key(key).extend_from_slice(b"true");
        }
    }

    pub(crate) fn string(&mut self, key: &'static str, value: &str) {
        text::write_quoted(value, self.key(key));
    }

    pub(crate) fn string_field(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.string(key, value);
        }
    }

    pub(crate) fn bytes(&mut self, key: &'static str, value: &[u8]) {
        let out = self.key(key);
        out.push(b'"');
        // A multiple of three bytes needs no padding, so the pieces join.
        let mut encoded = [0; 1024];
        for piece in value.chunks(768) {
            let length = BASE64.encode_slice(piece, &mut encoded).unwrap_or(0);
            out.extend_from_slice(&encoded[..length]);
        }
        out.push(b'"');
    }

    pub(crate) fn message<'a, M: Json<'a>>(&mut self, key: &'static str, value: &M) {
        value.write_json(self.key(key));
    }

    pub(crate) fn optional_message<'a, M: Json<'a>>(
        &mut self,
        key: &'static str,
        value: Option<&M>,
    ) {
        if let Some(value) = value {
            self.message(key, value);
        }
    }

    pub(crate) fn messages<'a, M: Json<'a>>(&mut self, key: &'static str, values: &[M]) {
        self.array(key, values, M::write_json);
    }

    pub(crate) fn strings(&mut self, key: &'static str, values: &[Cow<'_, str>]) {
        self.array(key, values, |value, out| text::write_quoted(value, out));
    }

    fn array<T>(&mut self, key: &'static str, values: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        if values.is_empty() {
            return;
        }
        let out = self.key(key);
        let mut opener = b'[';
        for value in values {
            out.push(opener);
            opener = b',';
            write(value, out);
        }
        out.push(b']');
    }
}
