//! Where items come from, as callers write it.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Where a batch's items come from: a JSONL or CSV file, or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Absolute, or relative to the first root.
    pub path: String,
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        Ok(Source { path: path.to_owned() })
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            path: String,
        }
        let path = match Value::deserialize(deserializer)? {
            Value::String(path) => path,
            object => Object::deserialize(object).map_err(serde::de::Error::custom)?.path,
        };
        Ok(Source { path })
    }
}

impl JsonSchema for Source {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {"path": {"type": "string", "description": "JSONL, CSV or a folder"}},
            "required": ["path"],
            "additionalProperties": false
        })
    }
}
