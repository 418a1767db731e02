//! Values as the kernel means them, whatever they look like.
//!
//! `4096\t16384  4194304\n` and `4096 16384 4194304` are the same value, as are `1M` and `1048576`
//! where units are allowed, and every way to say "without limit". A value is a row of words.

use std::cmp::Ordering;
use std::fmt;

/// One word of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A number.
    Number(u64),
    /// `unlimited`, `infinity`, `max`, -1, or the largest number of 32 or 64 bits.
    Unlimited,
    /// Anything else.
    Text(String),
}

/// A row of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(pub Vec<Word>);

impl Word {
    /// Reads one word; never fails, as everything is at least text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "unlimited" | "infinity" | "max" | "-1" => return Self::Unlimited,
            _ => {}
        }
        match text.parse() {
            Ok(number) => Self::number(number),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    fn number(number: u64) -> Self {
        let unlimited = number == u64::MAX || number == u64::from(u32::MAX);
        if unlimited { Self::Unlimited } else { Self::Number(number) }
    }

    /// The order of two words; `None` if one of them is text and they differ.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (Self::Unlimited, Self::Number(_)) => Some(Ordering::Greater),
            (Self::Number(_), Self::Unlimited) => Some(Ordering::Less),
            (a, b) => (a == b).then_some(Ordering::Equal),
        }
    }

    /// As a number; `None` for text, the largest number for no limit.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Unlimited => Some(u64::MAX),
            Self::Text(_) => None,
        }
    }
}

impl Value {
    /// Reads a value as /proc/sys and sysctl.d write it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(Word::parse).collect())
    }

    /// Reads a file that lists choices and marks the chosen one: `always [madvise] never`.
    #[must_use]
    pub fn parse_choice(text: &str) -> Self {
        let marked = text.split_whitespace().find_map(|word| word.strip_prefix('['));
        match marked.and_then(|word| word.strip_suffix(']')) {
            Some(word) => Self(vec![Word::parse(word)]),
            None => Self::parse(text),
        }
    }

    /// A value of numbers.
    #[must_use]
    pub fn numbers(numbers: &[u64]) -> Self {
        Self(numbers.iter().copied().map(Word::number).collect())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Unlimited => f.write_str("unlimited"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{word}")?;
        }
        Ok(())
    }
}

/// Reads a number of bytes with a binary unit: `64G`, `512MiB`, `8388608`.
///
/// # Errors
/// It is not a whole number with one of the units K, M, G, T, or does not fit 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        unit => return Err(format!("unknown unit {unit}: K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a number of bytes"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} does not fit 64 bits"))
}

/// A number with its thousands apart: `1,048,576`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_do_not_matter() {
        assert_eq!(
            Value::parse("4096\t16384\t 4194304\n"),
            Value::numbers(&[4096, 16384, 4_194_304])
        );
        assert_eq!(Value::parse("4294967295"), Value::parse("-1"));
        assert_eq!(Value::parse("unlimited"), Value::parse("18446744073709551615"));
        assert_ne!(Value::parse("4294967294"), Value::parse("-1"));
        assert_eq!(Value::parse_choice("always [madvise] never\n"), Value::parse("madvise"));
        assert_eq!(Value::parse_choice("tsc\n"), Value::parse("tsc"));
    }

    #[test]
    fn no_limit_is_above_every_number() {
        let order = |a: &str, b: &str| Word::parse(a).order(&Word::parse(b));
        assert_eq!(order("unlimited", "4294967294"), Some(Ordering::Greater));
        assert_eq!(order("1", "infinity"), Some(Ordering::Less));
        assert_eq!(order("cubic", "bbr"), None);
        assert_eq!(order("cubic", "cubic"), Some(Ordering::Equal));
    }

    #[test]
    fn bytes_have_binary_units() {
        assert_eq!(parse_bytes("64G"), Ok(64 << 30));
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("16777215T"), Ok(16_777_215 << 40));
        assert!(parse_bytes("16777216T").is_err());
        assert!(parse_bytes("G").is_err());
        assert!(parse_bytes("1X").is_err());
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_048_576), "1,048,576");
    }
}
