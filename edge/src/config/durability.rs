//! `durability`: when a message counts as written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use throng_store::embedded::Durability;

use crate::limits;

/// When a message counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilitySetting {
    /// fdatasync before every acknowledgement.
    Sync,
    /// The operating system decides.
    Os,
    /// Synced this often, milliseconds: 1 to a day.
    IntervalMs(u64),
}

const EXPECTED: &str = "say sync, os, or a number of milliseconds from 1 to 86400000";
const INTERVAL_MS_MAX: u64 = limits::DURATION_CEILING.as_millis() as u64;

impl DurabilitySetting {
    fn interval(ms: u64) -> Result<Self, &'static str> {
        if (1..=INTERVAL_MS_MAX).contains(&ms) { Ok(Self::IntervalMs(ms)) } else { Err(EXPECTED) }
    }
}

impl FromStr for DurabilitySetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sync" => Ok(Self::Sync),
            "os" => Ok(Self::Os),
            number => number.parse().map_err(|_| EXPECTED).and_then(Self::interval),
        }
    }
}

impl fmt::Display for DurabilitySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Os => f.write_str("os"),
            Self::IntervalMs(ms) => write!(f, "{ms}"),
        }
    }
}

/// A word, or a number with or without quotes.
struct WordOrNumber;

impl de::Visitor<'_> for WordOrNumber {
    type Value = DurabilitySetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sync, os, or a number of milliseconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Self::Value, E> {
        let ms = u64::try_from(ms).map_err(|_| E::custom(EXPECTED))?;
        DurabilitySetting::interval(ms).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for DurabilitySetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrNumber)
    }
}

impl Serialize for DurabilitySetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::IntervalMs(ms) => serializer.serialize_u64(*ms),
            Self::Sync | Self::Os => serializer.collect_str(self),
        }
    }
}

impl From<DurabilitySetting> for Durability {
    fn from(setting: DurabilitySetting) -> Self {
        match setting {
            DurabilitySetting::Sync => Self::Sync,
            DurabilitySetting::Os => Self::Os,
            DurabilitySetting::IntervalMs(ms) => Self::Interval(Duration::from_millis(ms)),
        }
    }
}
