//! Bytes of keys and values: big-endian keys, LEB128 integers, length-prefixed strings.
//!
//! Reading never panics and never allocates more than the input's length. There is no checksum
//! here: the engine keeps one over every block of its tables and every batch of its journal, and
//! checks it at every read.

use thiserror::Error;

/// The bytes are not what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Appends an unsigned integer, seven bits to the byte, low bits first.
pub(super) fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as its difference from `near`: small for numbers that run together, exact for
/// any two.
pub(super) fn put_near(out: &mut Vec<u8>, value: u64, near: u64) {
    let difference = value.wrapping_sub(near) as i64;
    put_uint(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// Appends the length, then the bytes.
pub(super) fn put_str(out: &mut Vec<u8>, value: &str) {
    put_uint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// Takes values off the front of a byte string.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads a `what`, which errors name.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn malformed(&self) -> Malformed {
        Malformed(self.what)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.malformed())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn uint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    pub(super) fn uint32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.uint()?).map_err(|_| self.malformed())
    }

    pub(super) fn near(&mut self, near: u64) -> Result<u64, Malformed> {
        let bits = self.uint()?;
        Ok(near.wrapping_add((bits >> 1) ^ (bits & 1).wrapping_neg()))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed()),
        }
    }

    pub(super) fn str(&mut self) -> Result<String, Malformed> {
        let length = usize::try_from(self.uint()?).map_err(|_| self.malformed())?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(self.malformed())?;
        self.rest = rest;
        str::from_utf8(head).map(str::to_owned).map_err(|_| self.malformed())
    }

    /// All that is left.
    pub(super) fn remainder(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(value: u64, near: u64) {
            let mut bytes = Vec::new();
            put_uint(&mut bytes, value);
            put_near(&mut bytes, value, near);
            let mut reader = Reader::new(&bytes, "test");
            prop_assert_eq!(reader.uint(), Ok(value));
            prop_assert_eq!(reader.near(near), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn garbage_is_an_error_or_a_value(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes, "test");
            while reader.uint().and_then(|_| reader.str()).is_ok() {}
        }
    }

    #[test]
    fn the_largest_integer_fits_and_one_bit_more_does_not() {
        let mut largest = vec![0xff; 9];
        largest.push(0x01);
        assert_eq!(Reader::new(&largest, "test").uint(), Ok(u64::MAX));
        largest[9] = 0x02;
        assert_eq!(Reader::new(&largest, "test").uint(), Err(Malformed("test")));
    }
}
