//! Strings: what needs an escape, and what an escape means (RFC 8259 section 7).

use std::borrow::Cow;

use crate::DecodeFault;

const WIDE: usize = 64;

/// Must be escaped in a string: quote, backslash, control.
#[inline]
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes before the first special one. Keys and names end soon; texts may be long.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let near = plain_chunks::<16>(&bytes[..bytes.len().min(WIDE)]);
    let length = if near < WIDE { near } else { near + plain_far(&bytes[near..]) };
    let tail = &bytes[length..];
    length + tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len())
}

/// Whole chunks only. At this length the compiler makes the comparison wide.
fn plain_far(bytes: &[u8]) -> usize {
    let far = plain_chunks::<WIDE>(bytes);
    far + plain_chunks::<16>(&bytes[far..])
}

/// Bytes in the chunks before the first one that holds a special byte.
#[inline]
fn plain_chunks<const LENGTH: usize>(bytes: &[u8]) -> usize {
    let (chunks, _) = bytes.as_chunks::<LENGTH>();
    let is_plain =
        |chunk: &&[u8; LENGTH]| !chunk.iter().fold(false, |any, byte| any | is_special(*byte));
    LENGTH * chunks.iter().take_while(is_plain).count()
}

/// Reads what follows an opening quote: the string, and the bytes consumed, closing quote included.
pub(super) fn unescape(text: &str) -> Result<(Cow<'_, str>, usize), DecodeFault> {
    let plain = plain_len(text.as_bytes());
    if text.as_bytes().get(plain) == Some(&b'"') {
        return Ok((Cow::Borrowed(&text[..plain]), plain + 1));
    }
    unescape_slowly(text, plain)
}

fn unescape_slowly(text: &str, plain: usize) -> Result<(Cow<'_, str>, usize), DecodeFault> {
    let mut owned = String::new();
    let (mut start, mut at) = (0, plain);
    loop {
        owned.push_str(&text[start..at]);
        match text.as_bytes().get(at) {
            Some(b'"') => return Ok((Cow::Owned(owned), at + 1)),
            Some(b'\\') => {
                let (character, length) =
                    escape(&text.as_bytes()[at + 1..]).ok_or(DecodeFault::BadEscape)?;
                owned.push(character);
                start = at + 1 + length;
            }
            Some(_) => return Err(DecodeFault::ControlCharacter),
            None => return Err(DecodeFault::Truncated),
        }
        at = start + plain_len(&text.as_bytes()[start..]);
    }
}

/// What follows a backslash: the character, and the bytes it took.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(&bytes[1..]).map(|(value, length)| (value, length + 1)),
        _ => return None,
    };
    Some((character, 1))
}

/// What follows `\u`: four digits, or a surrogate pair.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let high = hex4(bytes)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).map(|character| (character, 4));
    }
    let low = hex4(bytes[4..].strip_prefix(b"\\u")?)?;
    if !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    let value = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    char::from_u32(value).map(|character| (character, 10))
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..4)?;
    digits
        .iter()
        .try_fold(0, |value, digit| char::from(*digit).to_digit(16).map(|digit| value << 4 | digit))
}

/// Appends `value` in quotes.
pub(super) fn write_quoted(value: &str, out: &mut Vec<u8>) {
    out.reserve(value.len() + 2);
    out.push(b'"');
    let mut rest = value.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        write_escape(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
