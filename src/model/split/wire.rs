//! The written forms of a split: a JSON object, or a shorthand such as `month:date`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Period, Split};
use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;

const SHORTHANDS: &str = "write size, category:FIELD, or day:FIELD, week:FIELD, month:FIELD, quarter:FIELD, year:FIELD; month+undated:FIELD puts items without a date into chunks of their own";

/// A split as a JSON object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitObject {
    by: SplitBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undated: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SplitBy {
    Size,
    Time,
    Category,
}

impl TryFrom<SplitObject> for Split {
    type Error = Error;

    fn try_from(SplitObject { by, field, period, undated }: SplitObject) -> Result<Self> {
        let needed = |kind: &str| match &field {
            Some(field) if !field.trim().is_empty() => Ok(field.trim().to_owned()),
            _ => Err(Error::invalid(format!(
                "A split by {kind} needs `field`, the name of the field that contains the {kind} of an item"
            ))),
        };
        match by {
            SplitBy::Size if field.is_some() => Err(Error::invalid(
                "A split by size has no `field`; leave it out, or split by time or category",
            )),
            SplitBy::Size | SplitBy::Category if period.is_some() => {
                Err(Error::invalid("`period` is only for a split by time; leave it out, or set `by` to time"))
            }
            SplitBy::Size | SplitBy::Category if undated => Err(Error::invalid(
                "`undated` is only for a split by time; leave it out, or set `by` to time",
            )),
            SplitBy::Size => Ok(Split::Size),
            SplitBy::Time => {
                Ok(Split::Time { field: needed("time")?, period: period.unwrap_or_default(), undated })
            }
            SplitBy::Category => Ok(Split::Category { field: needed("category")? }),
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads the shorthand (`size`, `month:date`, `time:date`, `category:kind`) or
    /// the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let unknown =
            || Error::invalid(format!("'{}' is not a split; {SHORTHANDS}", visible_excerpt(text, 80)));
        if text.starts_with('{') {
            let object: SplitObject = serde_json::from_str(text).map_err(|e| {
                Error::invalid(format!("'{}' is not a split: {e}; {SHORTHANDS}", visible_excerpt(text, 80)))
            })?;
            return object.try_into();
        }
        let (kind, field) = match text.split_once(':') {
            Some((kind, field)) => (kind.trim(), Some(field.to_owned())),
            None => (text, None),
        };
        let (kind, undated) = kind.strip_suffix("+undated").map_or((kind, false), |kind| (kind, true));
        let (by, period) = match kind {
            "size" => (SplitBy::Size, None),
            "category" => (SplitBy::Category, None),
            "time" => (SplitBy::Time, None),
            "day" => (SplitBy::Time, Some(Period::Day)),
            "week" => (SplitBy::Time, Some(Period::Week)),
            "month" => (SplitBy::Time, Some(Period::Month)),
            "quarter" => (SplitBy::Time, Some(Period::Quarter)),
            "year" => (SplitBy::Time, Some(Period::Year)),
            _ => return Err(unknown()),
        };
        SplitObject { by, field, period, undated }.try_into().map_err(|error: Error| {
            Error::invalid(format!("'{}': {}; {SHORTHANDS}", visible_excerpt(text, 80), error.message))
        })
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::Size => f.write_str("size"),
            Split::Time { field, period, undated: false } => write!(f, "{period}:{field}"),
            Split::Time { field, period, undated: true } => write!(f, "{period}+undated:{field}"),
            Split::Category { field } => write!(f, "category:{field}"),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Quarter => "quarter",
            Period::Year => "year",
        })
    }
}

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = |by, field| SplitObject { by, field, period: None, undated: false };
        let object = match self.clone() {
            Split::Size => object(SplitBy::Size, None),
            Split::Time { field, period, undated } => {
                SplitObject { period: Some(period), undated, ..object(SplitBy::Time, Some(field)) }
            }
            Split::Category { field } => object(SplitBy::Category, Some(field)),
        };
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through `Value`: an untagged enum would report a misspelt field as "did not match any variant".
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map_err(D::Error::custom),
            object => SplitObject::deserialize(object)
                .map_err(D::Error::custom)?
                .try_into()
                .map_err(D::Error::custom),
        }
    }
}

inline_schema!(Split, {
    "type": "object",
    "properties": {
        "by": {"type": "string", "enum": ["size", "time", "category"]},
        "field": {"type": "string"},
        "period": {"type": "string", "enum": ["day", "week", "month", "quarter", "year"], "default": "month"},
        "undated": {"type": "boolean"}
    },
    "required": ["by"],
    "additionalProperties": false
});
