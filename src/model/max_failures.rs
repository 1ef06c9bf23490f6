//! The number of failures at which a batch is paused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::text::excerpt;

/// A number of items, or a percentage of the batch's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFailures {
    /// A number of items.
    Items(u64),
    /// A percentage of the items.
    Percent(u64),
}

impl MaxFailures {
    /// Whether `failed` of `total` items exceed the limit.
    pub fn is_exceeded(self, failed: u64, total: u64) -> bool {
        match self {
            MaxFailures::Items(most) => failed > most,
            MaxFailures::Percent(most) => failed.saturating_mul(100) > most.saturating_mul(total),
        }
    }
}

impl fmt::Display for MaxFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxFailures::Items(most) => write!(f, "{most}"),
            MaxFailures::Percent(most) => write!(f, "{most}%"),
        }
    }
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, percent) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim(), true),
            None => (text.trim(), false),
        };
        match (number.parse::<u64>(), percent) {
            (Ok(most), false) if most <= 1_000_000 => Ok(MaxFailures::Items(most)),
            (Ok(most), true) if most <= 100 => Ok(MaxFailures::Percent(most)),
            _ => Err(format!(
                "'{}' is not a limit of failures; allowed: a number of items from 0 to 1000000, or a percentage from 0% to 100%",
                excerpt(text)
            )),
        }
    }
}

impl Serialize for MaxFailures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MaxFailures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

inline_schema!(MaxFailures, { "type": "string" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_percentage() {
        let limit = |text: &str| text.parse::<MaxFailures>();
        assert!(limit("5").unwrap().is_exceeded(6, 1_000) && !limit("5").unwrap().is_exceeded(5, 1_000));
        assert!(limit("5%").unwrap().is_exceeded(6, 100) && !limit("5 %").unwrap().is_exceeded(5, 100));
        for bad in ["", "-1", "101%", "five", "1.5"] {
            assert!(limit(bad).unwrap_err().contains("limit of failures"), "{bad}");
        }
    }
}
