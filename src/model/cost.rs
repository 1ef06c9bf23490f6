//! The cost of work, as reported by receipts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::text::excerpt;

bounded_integer!(
    /// A number of tokens that a model read or wrote.
    Tokens, 0..=1_000_000_000_000, "0 to 1000000000000"
);

/// The highest cost of one receipt.
const MAX_COST: f64 = 1_000_000_000.0;

/// An amount in the caller's own currency, kept in millionths so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i64);

impl Money {
    /// An amount in millionths, as it is stored.
    pub fn from_millionths(millionths: i64) -> Self {
        Money(millionths)
    }

    /// The amount in millionths.
    pub fn millionths(self) -> i64 {
        self.0
    }

    #[expect(clippy::cast_precision_loss, reason = "shown, not summed; exact below 2^53 millionths")]
    fn amount(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.amount())
    }
}

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_COST")]
            Ok(amount) if (0.0..=MAX_COST).contains(&amount) => Ok(Money((amount * 1e6).round() as i64)),
            _ => Err(format!("'{}' is not a cost; allowed: a number from 0 to {MAX_COST}", excerpt(text))),
        }
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.amount())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

inline_schema!(Money, { "type": "number" });

/// The cost that a receipt reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// The model that did the work.
    pub model: Option<String>,
    /// Input tokens.
    pub tokens_in: Option<i64>,
    /// Output tokens.
    pub tokens_out: Option<i64>,
    /// The amount of money.
    pub cost: Option<Money>,
}

impl Cost {
    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        *self == Cost::default()
    }

    /// Whether it reports nothing but zeros, which clients send that fill every parameter.
    pub fn is_zero(&self) -> bool {
        let is_zero = |count: Option<i64>| count.unwrap_or(0) == 0;
        self.model.is_none()
            && is_zero(self.tokens_in)
            && is_zero(self.tokens_out)
            && self.cost.is_none_or(|cost| cost.amount() == 0.0)
    }

    /// The cost as a sum of one.
    pub fn as_sum(&self) -> CostSum {
        CostSum {
            tokens_in: self.tokens_in.unwrap_or(0),
            tokens_out: self.tokens_out.unwrap_or(0),
            cost: self.cost.unwrap_or(Money(0)),
        }
    }
}

/// A sum of costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CostSum {
    /// Tokens read.
    pub tokens_in: i64,
    /// Tokens written.
    pub tokens_out: i64,
    /// What they cost.
    pub cost: Money,
}

impl CostSum {
    /// Both sums together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        CostSum {
            tokens_in: self.tokens_in + other.tokens_in,
            tokens_out: self.tokens_out + other.tokens_out,
            cost: Money(self.cost.0 + other.cost.0),
        }
    }
}

word_enum!(
    /// What a sum of costs covers.
    CostGroup, "kind of sum" {
        /// A whole chunk or batch.
        All = "all",
        /// The receipts of one author.
        Worker = "worker",
        /// The items of one category.
        Category = "category",
        /// The work of one model.
        Model = "model",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_a_millionth() {
        let cost = |text: &str| text.parse::<Money>();
        assert_eq!(cost("0.0123"), Ok(Money(12_300)));
        assert_eq!(cost("0.1").map(|a| Money(a.0 * 3)).map(|m| m.to_string()), Ok("0.3".into()));
        for bad in ["-1", "NaN", "inf", "1e12", "x", ""] {
            assert!(cost(bad).is_err(), "{bad}");
        }
    }
}
