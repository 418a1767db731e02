//! Numbers that are checked while they are read, so that what is out of range is told with its
//! flag, or with the file's line.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A number from `MIN` to `MAX`, both of which a `T` can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within<T, const MIN: u64, const MAX: u64>(pub(super) T);

impl<T: TryFrom<u64>, const MIN: u64, const MAX: u64> Within<T, MIN, MAX> {
    fn check(number: u64) -> Result<Self, String> {
        let inside = (MIN..=MAX).contains(&number).then(|| T::try_from(number).ok()).flatten();
        inside.map(Self).ok_or_else(Self::range)
    }

    fn range() -> String {
        match MAX {
            u64::MAX => format!("must be a whole number of at least {MIN}"),
            _ => format!("must be a whole number from {MIN} to {MAX}"),
        }
    }
}

impl<T: TryFrom<u64>, const MIN: u64, const MAX: u64> FromStr for Within<T, MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_err(|_| Self::range()).and_then(Self::check)
    }
}

impl<'de, T: TryFrom<u64>, const MIN: u64, const MAX: u64> Deserialize<'de>
    for Within<T, MIN, MAX>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused = |why: &dyn Display| de::Error::custom(why);
        let number = i64::deserialize(deserializer)?;
        let number = u64::try_from(number).map_err(|_| refused(&Self::range()))?;
        Self::check(number).map_err(|why| refused(&why))
    }
}
