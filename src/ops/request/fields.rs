//! Request fields that several operations read in the same way.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::model::text::LineText;
use crate::model::timestamp::Timestamp;

/// The most tags of a task.
const MAX_TAGS: usize = 50;

/// A new value, or none to clear the old one: written as the value, or as `""`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(transparent)]
pub struct Clearable<T>(pub Option<T>);

impl<T: FromStr> FromStr for Clearable<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Clearable(None)) } else { text.parse().map(|value| Clearable(Some(value))) }
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Clearable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Clearable<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The text of an optional field; `None` if the field is missing or empty.
pub(in crate::ops) fn non_empty(field: &Option<LineText>) -> Option<String> {
    field.as_ref().and_then(LineText::non_empty).map(str::to_owned)
}

/// Checks the number of tags and drops empty ones.
///
/// # Errors
/// `invalid_argument` if there are more than 50.
pub(in crate::ops) fn parse_tags(tags: &[LineText]) -> Result<Vec<String>> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!("tags: {} given, at most {MAX_TAGS} allowed", tags.len())));
    }
    Ok(tags.iter().filter_map(LineText::non_empty).map(str::to_owned).collect())
}

/// Parses the date or time of `due`.
///
/// # Errors
/// `invalid_argument` with the allowed formats.
pub(in crate::ops) fn parse_due(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text).map_err(|error| Error::invalid(format!("due: {}", error.message)))
}
