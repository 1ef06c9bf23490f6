//! The names of the parts of a task that a reply may leave out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::model::id::TaskId;
use crate::model::text::excerpt;

/// What a part may be, for a refusal.
const ALLOWED: &str = "initial_text, instructions, receipt N, item KEY, depends_on, soft_depends_on or tags";

/// Which part of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) enum Part {
    /// The text with which the task was created.
    InitialText,
    /// What the workers of a chunk are asked to do.
    Instructions,
    /// The text of the receipt with this number.
    Receipt(u64),
    /// The item of a chunk with this key, as JSON.
    Item(String),
    /// A list of the task, as JSON.
    List(&'static str),
}

impl Part {
    /// The call that returns the part, for a reply.
    pub(in crate::ops) fn call(&self, task: &TaskId) -> String {
        // JSON quotes a key as the caller has to write it.
        format!("get_task(id=\"{task}\", part={})", Value::String(self.to_string()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::InitialText => f.write_str("initial_text"),
            Part::Instructions => f.write_str("instructions"),
            Part::Receipt(number) => write!(f, "receipt {number}"),
            Part::Item(key) => write!(f, "item {key}"),
            Part::List(name) => f.write_str(name),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "initial_text" => return Ok(Part::InitialText),
            "instructions" => return Ok(Part::Instructions),
            "depends_on" => return Ok(Part::List("depends_on")),
            "soft_depends_on" => return Ok(Part::List("soft_depends_on")),
            "tags" => return Ok(Part::List("tags")),
            _ => {}
        }
        if let Some(key) = text.strip_prefix("item ") {
            return Ok(Part::Item(key.to_owned()));
        }
        let number = text.strip_prefix("receipt ").and_then(|number| number.parse().ok());
        number
            .map(Part::Receipt)
            .ok_or_else(|| format!("'{}' is not a part of a task; allowed: {ALLOWED}", excerpt(text)))
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

inline_schema!(Part, { "type": "string" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_written_as_it_is_parsed() {
        for text in
            ["initial_text", "instructions", "receipt 7", "item a \"b\" 3", "item ", "tags", "depends_on"]
        {
            assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
        }
        for text in ["", "body", "receipt", "receipt x", "receipt -1", "items"] {
            assert!(text.parse::<Part>().is_err(), "{text:?}");
        }
        let call = Part::Item("a \"b\"".into()).call(&TaskId::stored("t".into()));
        assert_eq!(call, "get_task(id=\"t\", part=\"item a \\\"b\\\"\")");
    }
}
