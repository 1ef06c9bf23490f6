//! An item: its fields, the key that names it, and the place it was read from.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use super::json_syntax::json_error;
use crate::model::exact_json::{compact, parse_exact};
use crate::model::field::{field_list, field_name, lookup, visible_excerpt};
use crate::model::hidden::is_control;

/// The longest key, in characters.
const MAX_KEY: usize = 200;
/// The largest item, in bytes of its JSON: 256 KiB.
const MAX_ITEM: usize = 256 << 10;
/// The key field that stands for an item's number: its line in a file, or its place in a list.
pub(super) const LINE_KEY: &str = "@line";
/// Numbers up to here are exact as floating point; beyond, two keys could become one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One thing to process.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The key that identifies it in its batch.
    pub key: String,
    /// Its fields as one JSON object, as the source has them.
    pub json: String,
    /// The same fields. A number that would lose digits is the string of its digits.
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

/// An entry of a source that is not an item.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct BadItem {
    /// Its place in the source.
    pub place: ItemOrigin,
    /// Why it is not an item, and what to do.
    pub reason: String,
    /// What it means for the source.
    pub effect: BadItemEffect,
    /// The fields of an object in which the key's field is missing.
    pub without_key: Option<Box<Map<String, Value>>>,
}

/// What an entry that is not an item means for its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadItemEffect {
    /// One item is bad.
    Bad,
    /// The rest of the source could not be read: it is unknown how many items are missing.
    RestUnread,
    /// The entry was never meant as an item, such as a symbolic link in a folder. It is reported, and not refused.
    Ignored,
}

impl BadItem {
    /// A bad item.
    pub fn new(place: ItemOrigin, reason: impl Into<String>) -> Self {
        BadItem { place, reason: reason.into(), effect: BadItemEffect::Bad, without_key: None }
    }

    /// A place after which nothing could be read.
    pub(super) fn end(place: ItemOrigin, reason: impl Into<String>) -> Self {
        BadItem { effect: BadItemEffect::RestUnread, ..BadItem::new(place, reason) }
    }

    /// An entry that was never meant as an item.
    pub(super) fn ignored(place: ItemOrigin, reason: impl Into<String>) -> Self {
        BadItem { effect: BadItemEffect::Ignored, ..BadItem::new(place, reason) }
    }
}

impl From<BadItem> for crate::error::Error {
    fn from(bad: BadItem) -> Self {
        crate::error::Error::invalid(bad.to_string())
    }
}

/// An item from the JSON text of an object.
pub(super) fn from_object_text(text: &[u8], key_field: &str, place: ItemOrigin) -> Result<Item, BadItem> {
    let parsed =
        parse(text, "write one object per line, such as {\"key\": \"a\"}").and_then(|(text, value)| {
            match value {
                Value::Object(fields) => Ok((text, fields)),
                other => Err(format!(
                    "{}, not an object; write one object per line, such as {{\"key\": \"a\"}}",
                    kind(&other)
                )),
            }
        });
    match parsed {
        Ok((text, fields)) => from_parts(text, fields, key_field, place),
        Err(reason) => Err(BadItem::new(place, reason)),
    }
}

/// An item from the JSON text of a list's element: an object, the text of an object in a string, or a string or number
/// that is its own key.
pub(super) fn from_list_element(text: &[u8], key_field: &str, place: ItemOrigin) -> Result<Item, BadItem> {
    let (text, value) = match parse(text, "give an object or a string") {
        Ok(parsed) => parsed,
        Err(reason) => return Err(BadItem::new(place, reason)),
    };
    match value {
        Value::Object(fields) => from_parts(text, fields, key_field, place),
        // Models often write an object as its text, which is no useful key.
        Value::String(inner) if inner.trim_start().starts_with('{') => match parse_exact(inner.trim()) {
            Ok(Value::Object(fields)) => from_parts(one_line(inner.trim()), fields, key_field, place),
            Err(error) if is_meant_as_object(&inner) => {
                let reason = format!("the text of an object, but {}", json_error(inner.trim(), &error));
                Err(BadItem::new(place, reason))
            }
            _ => bare(Value::String(inner), key_field, place),
        },
        Value::String(_) | Value::Number(_) => bare(value, key_field, place),
        other => {
            let reason = format!("{}, not an object, a string or a number", kind(&other));
            Err(BadItem::new(place, reason))
        }
    }
}

/// An item made of fields that were not read from JSON.
///
/// # Errors
/// Fields without a usable key, or that are too large.
pub fn from_fields(fields: Map<String, Value>, key_field: &str, place: ItemOrigin) -> Result<Item, BadItem> {
    match serde_json::to_string(&fields) {
        Ok(text) => from_parts(text, fields, key_field, place),
        Err(error) => Err(BadItem::new(place, format!("cannot be written as JSON: {error}"))),
    }
}

/// An item that is its own key.
fn bare(value: Value, key_field: &str, place: ItemOrigin) -> Result<Item, BadItem> {
    let (name, key) = match key_field {
        LINE_KEY => (Cow::Borrowed("value"), number_of(&place)),
        _ => (field_name(key_field), key_text(&value)),
    };
    let fields = Map::from_iter([(name.into_owned(), value)]);
    match key {
        Ok(key) => Ok(Item { key, json: Value::Object(fields.clone()).to_string(), fields, origin: place }),
        Err(reason) => Err(BadItem::new(place, reason)),
    }
}

fn from_parts(
    json: String,
    fields: Map<String, Value>,
    key_field: &str,
    place: ItemOrigin,
) -> Result<Item, BadItem> {
    let reason = match check(&json, &fields, key_field, &place) {
        Ok(key) => return Ok(Item { key, json, fields, origin: place }),
        Err(reason) => reason,
    };
    let is_without_key = key_field != LINE_KEY && lookup(&fields, key_field).is_none();
    let without_key = is_without_key.then(|| Box::new(fields));
    Err(BadItem { without_key, ..BadItem::new(place, reason) })
}

fn check(
    json: &str,
    fields: &Map<String, Value>,
    key_field: &str,
    place: &ItemOrigin,
) -> Result<String, String> {
    let key = if key_field == LINE_KEY {
        number_of(place)?
    } else {
        let field = visible_excerpt(key_field, 80);
        let value = lookup(fields, key_field).ok_or_else(|| missing_key(&field, fields))?;
        key_text(value).map_err(|reason| format!("field \"{field}\": {reason}"))?
    };
    if json.len() > MAX_ITEM {
        return Err(format!(
            "the item has {} bytes; at most {MAX_ITEM} (256 KiB); keep large content in a file and give its path",
            json.len()
        ));
    }
    Ok(key)
}

/// The key of an item that is named by its number.
fn number_of(place: &ItemOrigin) -> Result<String, String> {
    match place {
        ItemOrigin::Line(number) | ItemOrigin::Position(number) => Ok(number.to_string()),
        ItemOrigin::File(_) | ItemOrigin::Task(_) => {
            Err(format!("key=\"{LINE_KEY}\" numbers lines and elements of a list only; leave it out here"))
        }
    }
}

/// Parses a JSON text, and returns the text on one line.
fn parse(text: &[u8], remedy: &str) -> Result<(String, Value), String> {
    let text = str::from_utf8(text.trim_ascii())
        .map_err(|e| format!("not UTF-8 at byte {}; save the file as UTF-8", e.valid_up_to() + 1))?;
    match parse_exact(text) {
        Ok(value) => Ok((one_line(text), value)),
        Err(error) => Err(format!("{}; {remedy}", json_error(text, &error))),
    }
}

/// A JSON text without line ends between its tokens: a worker command may read its input by the line.
fn one_line(text: &str) -> String {
    if text.contains(['\n', '\r']) { compact(text) } else { text.to_owned() }
}

/// Whether a text that begins with a brace was meant as a JSON object: a key may begin with a brace, too.
fn is_meant_as_object(text: &str) -> bool {
    let inside = text.trim_start().trim_start_matches('{').trim_start();
    inside.starts_with('"') && inside.contains(':')
}

/// Says that the key's field is missing, which fields there are, and what may be meant.
fn missing_key(field: &str, fields: &Map<String, Value>) -> String {
    let reason = missing(field, fields.keys());
    let is_list_of_items =
        |value: &Value| value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
    match fields.iter().find(|(_, value)| is_list_of_items(value)) {
        Some((name, _)) => {
            let name = visible_excerpt(name, 40);
            format!(
                "{reason}. If the items are the list in \"{name}\", extract it: jq -c '.[\"{name}\"][]' FILE"
            )
        }
        None => reason,
    }
}

/// Says that the key's field is missing, and which fields there are.
pub(super) fn missing<'a>(field: &str, names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let there = field_list(names);
    format!(
        "no field \"{field}\" to take the key from; {there} (key=… names another, key=\"{LINE_KEY}\" numbers them)"
    )
}

/// The key that a value is.
///
/// # Errors
/// Why it cannot be one.
pub(super) fn key_text(value: &Value) -> Result<String, String> {
    let key = match value {
        Value::String(text) => text.clone(),
        // The value was read as a double, so another number may have been written.
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
    if key.chars().any(is_control) {
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
