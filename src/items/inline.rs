//! Items that a request brings itself.

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::item::{BadItem, Item, ItemOrigin, from_list_element};
use super::json_values::split_list;
use crate::model::exact_json::parse_exact;
use crate::model::text::excerpt;

/// The items of a request, each as its JSON text, so that numbers keep their digits.
#[derive(Debug, Clone)]
pub struct InlineItems(Vec<String>);

impl InlineItems {
    /// Parses a JSON array.
    ///
    /// # Errors
    /// The reason why the text is not one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = |reason: String| format!("not a JSON array of objects or strings: {reason}");
        let text = text.trim();
        if !text.starts_with('[') {
            return Err(refused(format!("'{}'", excerpt(text))));
        }
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| refused(error.to_string()))?;
        Ok(InlineItems(split_list(text)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for InlineItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(items) => Ok(InlineItems(items.iter().map(Value::to_string).collect())),
            Value::String(text) => InlineItems::parse(&text).map_err(D::Error::custom),
            other => Err(D::Error::custom(format!(
                "'{}' is not a list; give a list of objects or strings",
                excerpt(&other.to_string())
            ))),
        }
    }
}

impl Serialize for InlineItems {
    /// Writes the items as values: this is part of the fingerprint by which a repeated request is recognised.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values: Result<Vec<Value>, _> = self.0.iter().map(|text| parse_exact(text)).collect();
        match values {
            Ok(values) => values.serialize(serializer),
            // An item that repeats a key is refused later, with its place.
            Err(_) => self.0.serialize(serializer),
        }
    }
}

/// Reads the items: objects, the JSON text of objects, or bare strings and numbers that are their own keys.
pub fn inline_items(
    items: &InlineItems,
    key_field: &str,
) -> impl Iterator<Item = Result<Item, BadItem>> + Send + use<> {
    let key_field = key_field.to_owned();
    (1..)
        .map(ItemOrigin::Position)
        .zip(items.0.clone())
        .map(move |(place, text)| from_list_element(text.as_bytes(), &key_field, place))
}
