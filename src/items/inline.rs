//! Items that a request brings itself.

use std::fmt;

use serde::de::{self, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::item::{BadItem, Item, ItemOrigin, from_list_element};
use super::json_values::split_list;
use crate::model::exact_json::parse_exact;
use crate::model::json_limits::refuse_too_many_values;
use crate::model::text::excerpt;

/// The most items of a request.
pub const MAX_INLINE_ITEMS: usize = 100_000;

fn too_many() -> String {
    format!(
        "there are more than {MAX_INLINE_ITEMS} items in the request itself; write them to a file, one JSON object per line, and pass source=…"
    )
}

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
        if let Some(reason) = refuse_too_many_values(text.as_bytes()) {
            return Err(refused(reason));
        }
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| refused(error.to_string()))?;
        let items = split_list(text);
        if items.len() > MAX_INLINE_ITEMS { Err(too_many()) } else { Ok(InlineItems(items)) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for InlineItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = InlineItems;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects or strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<InlineItems, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<Value>()? {
                    if items.len() == MAX_INLINE_ITEMS {
                        return Err(A::Error::custom(too_many()));
                    }
                    items.push(item.to_string());
                }
                Ok(InlineItems(items))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<InlineItems, E> {
                InlineItems::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Items)
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
