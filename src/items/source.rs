//! Where items come from, as callers write it.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::roots::quoted_path;
use crate::error::{Error, Result};

/// Where a batch's items come from: a JSONL or CSV file, or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemSource {
    /// Absolute, or relative to the first root.
    pub path: String,
    /// Which files of a folder: `*.eml`, or `**/*.eml` for those in its subfolders, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
}

/// The object form, on the way in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    path: String,
    #[serde(default)]
    glob: Option<String>,
}

impl From<Object> for ItemSource {
    fn from(Object { path, glob }: Object) -> Self {
        ItemSource { path, glob }
    }
}

impl FromStr for ItemSource {
    type Err = Error;

    /// Reads a path, or the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with('{') {
            let object: Object = serde_json::from_str(text).map_err(|error| {
                Error::invalid(format!(
                    "source: {} is not {{\"path\", \"glob\"}}: {error}; a path that begins with {{ is written ./{{…",
                    quoted_path(text)
                ))
            })?;
            return Ok(object.into());
        }
        Ok(ItemSource { path: text.to_owned(), glob: None })
    }
}

impl<'de> Deserialize<'de> for ItemSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(path) => Ok(ItemSource { path, glob: None }),
            object => Object::deserialize(object).map(ItemSource::from).map_err(serde::de::Error::custom),
        }
    }
}

inline_schema!(ItemSource, {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "JSONL, CSV or a folder"},
        "glob": {"type": "string", "description": "**/*.eml"}
    },
    "required": ["path"],
    "additionalProperties": false
});
