//! An item: its fields, the key that names it, and the place it was read from.

use std::fmt;
use std::io;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::model::field::{field_name, is_hidden, lookup, visible_excerpt};

/// The longest key, in characters.
const MAX_KEY: usize = 200;
/// The largest item, in bytes of its JSON: 256 KiB.
const MAX_ITEM: u64 = 256 << 10;
/// Numbers up to here are exact as floating point; beyond, two keys could become one.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// As many field names are listed when the key's field is missing.
const NAMES_SHOWN: usize = 10;

/// One thing to process.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What names it within its batch.
    pub key: String,
    /// All its fields, the key's among them under its own name, in their order.
    pub fields: Map<String, Value>,
    /// Where it was read from.
    pub origin: ItemOrigin,
}

/// Where an item was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemOrigin {
    /// A line of a file, counted from 1.
    Line(u64),
    /// A file, by its path within the folder.
    File(String),
    /// A place in a list, counted from 1.
    Position(u64),
    /// A task of the store, by its id.
    Task(String),
}

impl fmt::Display for ItemOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ItemOrigin::Line(number) => write!(f, "line {number}"),
            ItemOrigin::File(path) => write!(f, "file {}", visible_excerpt(path, 500)),
            ItemOrigin::Position(number) => write!(f, "item {number}"),
            ItemOrigin::Task(id) => write!(f, "task {id}"),
        }
    }
}

/// Something that cannot be taken as an item.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct BadItem {
    /// Where it lies.
    pub place: ItemOrigin,
    /// Why it cannot be taken, and what to do.
    pub reason: String,
    /// Whether there may be more behind it that could not be read: then it is not one item
    /// that is missing, but nobody knows how many.
    pub rest_unread: bool,
}

impl BadItem {
    /// One item that is bad.
    pub fn new(place: ItemOrigin, reason: impl Into<String>) -> Self {
        BadItem { place, reason: reason.into(), rest_unread: false }
    }

    /// A place behind which nothing could be read.
    pub(super) fn end(place: ItemOrigin, reason: impl Into<String>) -> Self {
        BadItem { rest_unread: true, ..BadItem::new(place, reason) }
    }
}

impl From<BadItem> for crate::error::Error {
    fn from(bad: BadItem) -> Self {
        crate::error::Error::invalid(bad.to_string())
    }
}

/// An item made of an object, or of a bare key.
pub(super) fn from_value(value: Value, key_field: &str, place: ItemOrigin) -> Result<Item, BadItem> {
    let fields = match value {
        Value::Object(fields) => fields,
        bare @ (Value::String(_) | Value::Number(_)) => {
            let key = match key_text(&bare) {
                Ok(key) => key,
                Err(reason) => return Err(BadItem::new(place, reason)),
            };
            let fields = Map::from_iter([(field_name(key_field).into_owned(), bare)]);
            return Ok(Item { key, fields, origin: place });
        }
        other => {
            let reason = format!("{}, not an object, a string or a number", kind(&other));
            return Err(BadItem::new(place, reason));
        }
    };
    from_fields(fields, key_field, place)
}

/// An item made of its fields.
pub(super) fn from_fields(
    fields: Map<String, Value>,
    key_field: &str,
    place: ItemOrigin,
) -> Result<Item, BadItem> {
    match check(&fields, key_field) {
        Ok(key) => Ok(Item { key, fields, origin: place }),
        Err(reason) => Err(BadItem::new(place, reason)),
    }
}

fn check(fields: &Map<String, Value>, key_field: &str) -> Result<String, String> {
    let field = visible_excerpt(key_field, 80);
    let value = lookup(fields, key_field).ok_or_else(|| missing(&field, fields.keys()))?;
    let key = key_text(value).map_err(|reason| format!("field \"{field}\": {reason}"))?;
    let mut size = Size(0);
    // Writing into a counter cannot fail.
    let _ = serde_json::to_writer(&mut size, fields);
    if size.0 > MAX_ITEM {
        return Err(format!(
            "the item has {} bytes; at most {MAX_ITEM} (256 KiB); keep large content in a file and give its path",
            size.0
        ));
    }
    Ok(key)
}

/// Says that the key's field is missing, and which fields there are.
pub(super) fn missing<'a>(field: &str, names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(NAMES_SHOWN).map(|name| visible_excerpt(name, 40)).collect();
    if count > NAMES_SHOWN {
        shown.push(format!("and {} more", count - NAMES_SHOWN));
    }
    let there = if count == 0 {
        "it has no fields".to_owned()
    } else {
        format!("its fields are {}", shown.join(", "))
    };
    format!("no field \"{field}\" to take the key from; {there} (key=… names another)")
}

fn key_text(value: &Value) -> Result<String, String> {
    let key = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|n| n.abs() >= EXACT) => {
            return Err(format!("{number} has too many digits to be an exact key; write it as a string"));
        }
        Value::Number(number) => number.to_string(),
        other => return Err(format!("{} cannot be a key; a key is a string or a number", kind(other))),
    };
    if key.trim().is_empty() {
        return Err("the key is empty; each item needs one of its own (key=… names another field)".to_owned());
    }
    let length = key.chars().count();
    if length > MAX_KEY {
        return Err(format!(
            "the key has {length} characters, at most {MAX_KEY}: \"{}\"; name a shorter field with key=…",
            visible_excerpt(&key, 40)
        ));
    }
    if key.chars().any(is_hidden) {
        return Err(format!(
            "the key \"{}\" holds control or bidirectional characters; remove them, or name another field with key=…",
            visible_excerpt(&key, 80)
        ));
    }
    Ok(key)
}

/// What a value is, for a sentence.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true/false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Counts the bytes that are written to it.
struct Size(u64);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
