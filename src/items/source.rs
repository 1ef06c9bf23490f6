//! Where items come from, as callers write it.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::csv::Delimiter;
use super::roots::quoted_path;
use crate::error::{Error, Result};

word_enum!(
    /// The format of a file of items.
    SourceFormat, "format" {
        /// One JSON object per line.
        Jsonl = "jsonl" | "ndjson",
        /// A JSON list.
        Json = "json",
        /// A header and rows.
        Csv = "csv",
        /// CSV with tabs.
        Tsv = "tsv",
    }
);

/// Where a batch's items come from: a file, or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemSource {
    /// Absolute, or relative to the first root.
    pub path: String,
    /// Which files of a folder: `*.eml`, or `**/*.eml` also for those in its subfolders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// The format of a file; none: recognised by its name and its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// The delimiter of a CSV file; none: recognised by its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
}

impl ItemSource {
    /// A source whose format is recognised.
    pub fn at(path: impl Into<String>) -> Self {
        ItemSource { path: path.into(), glob: None, format: None, delimiter: None }
    }
}

/// The object form, in requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    path: String,
    #[serde(default, deserialize_with = "non_empty")]
    glob: Option<String>,
    #[serde(default, deserialize_with = "non_empty")]
    format: Option<SourceFormat>,
    #[serde(default, deserialize_with = "non_empty")]
    delimiter: Option<Delimiter>,
}

/// An optional word; an empty one counts as absent.
fn non_empty<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?.filter(|word| !word.is_empty());
    word.map(|word| word.parse().map_err(serde::de::Error::custom)).transpose()
}

impl From<Object> for ItemSource {
    fn from(Object { path, glob, format, delimiter }: Object) -> Self {
        ItemSource { path, glob, format, delimiter }
    }
}

impl FromStr for ItemSource {
    type Err = Error;

    /// Reads a path, or the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with('{') {
            let object: Object = serde_json::from_str(text).map_err(|error| {
                Error::invalid(format!(
                    "source: {} is not {{\"path\", \"glob\", \"format\", \"delimiter\"}}: {error}; a path that begins with {{ is written ./{{…",
                    quoted_path(text)
                ))
            })?;
            return Ok(object.into());
        }
        Ok(ItemSource::at(text))
    }
}

impl<'de> Deserialize<'de> for ItemSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => {
                text.parse().map_err(|error: Error| serde::de::Error::custom(error.message))
            }
            object => Object::deserialize(object).map(ItemSource::from).map_err(serde::de::Error::custom),
        }
    }
}

impl Serialize for Delimiter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

inline_schema!(ItemSource, {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "glob": {"type": "string"},
        "format": {"type": "string"},
        "delimiter": {"type": "string"}
    },
    "required": ["path"],
    "additionalProperties": false
});
