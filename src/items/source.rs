//! Where items come from, as callers write it.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::roots::shown;
use crate::error::{Error, Result};

/// Where a batch's items come from: a JSONL or CSV file, or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
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

impl From<Object> for Source {
    fn from(Object { path, glob }: Object) -> Self {
        Source { path, glob }
    }
}

impl FromStr for Source {
    type Err = Error;

    /// Reads a path, or the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with('{') {
            let object: Object = serde_json::from_str(text).map_err(|error| {
                Error::invalid(format!(
                    "source: {} is not {{\"path\", \"glob\"}}: {error}; a path that begins with {{ is written ./{{…",
                    shown(text)
                ))
            })?;
            return Ok(object.into());
        }
        Ok(Source { path: text.to_owned(), glob: None })
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(path) => Ok(Source { path, glob: None }),
            object => Object::deserialize(object).map(Source::from).map_err(serde::de::Error::custom),
        }
    }
}

schema_of!(Source, {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "JSONL, CSV or a folder"},
        "glob": {"type": "string", "description": "**/*.eml"}
    },
    "required": ["path"],
    "additionalProperties": false
});
