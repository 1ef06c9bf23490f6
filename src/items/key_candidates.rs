//! Finds a field that could name the items of a source in which the key's field is missing.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};

use super::item::key_text;
use crate::model::hidden::is_control;

/// The most fields that are compared.
const MAX_FIELDS: usize = 20;
/// The most items that are compared: the values of all of them are kept in memory.
const MAX_ITEMS: u64 = 10_000;
/// The most fields that are proposed.
const MAX_PROPOSED: usize = 3;
/// The longest name of a field that is proposed, in bytes.
const MAX_NAME: usize = 40;

/// The fields that have another value in each item that was added.
#[derive(Debug, Default)]
pub struct KeyCandidates {
    fields: Vec<Candidate>,
    items: u64,
    hasher: RandomState,
}

/// A field, and the hashes of its values so far.
#[derive(Debug)]
struct Candidate {
    name: String,
    values: HashSet<u64>,
}

impl KeyCandidates {
    /// Adds the fields of the next item.
    pub fn add(&mut self, fields: &Map<String, Value>) {
        if self.items == MAX_ITEMS {
            return;
        }
        if self.items == 0 {
            let names = fields.keys().filter(|name| is_plain(name)).take(MAX_FIELDS);
            self.fields =
                names.map(|name| Candidate { name: name.clone(), values: HashSet::new() }).collect();
        }
        self.items += 1;
        let hasher = &self.hasher;
        self.fields.retain_mut(|Candidate { name, values }| {
            let key = fields.get(name).and_then(|value| key_text(value).ok());
            key.is_some_and(|key| values.insert(hasher.hash_one(key)))
        });
    }

    /// How many items were compared.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Whether no more items are compared.
    pub fn is_full(&self) -> bool {
        self.items == MAX_ITEMS
    }

    /// Says which fields could be the key; none if there is no such field, or too few items to compare.
    pub fn proposal(&self) -> Option<String> {
        if self.items < 2 {
            return None;
        }
        let names: Vec<String> = self
            .fields
            .iter()
            .take(MAX_PROPOSED)
            .map(|candidate| format!("key=\"{}\"", candidate.name))
            .collect();
        let (last, others) = names.split_last()?;
        let names = if others.is_empty() {
            format!("{last} is")
        } else {
            format!("{} or {last} would do: each is", others.join(", "))
        };
        let items = if self.items == MAX_ITEMS { "the first" } else { "all" };
        Some(format!("{names} unique in {items} {} items", self.items))
    }
}

/// Whether a name can stand in a message as the value of a parameter, and means a field of the item itself.
fn is_plain(name: &str) -> bool {
    let is_odd = |c: char| is_control(c) || matches!(c, '"' | '\\');
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with(['/', '@']) && !name.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(items: &Value, expected: Option<&str>) {
        let mut candidates = KeyCandidates::default();
        for item in items.as_array().unwrap() {
            candidates.add(item.as_object().unwrap());
        }
        assert_eq!(candidates.proposal().as_deref(), expected, "{items}");
    }

    #[test]
    fn fields_that_are_filled_and_unique_are_proposed() {
        let unique = Some("key=\"id\" is unique in all 2 items");
        check(&json!([{"id": 1, "kind": "a"}, {"id": 2, "kind": "a"}]), unique);
        check(&json!([{"id": 1, "name": "a"}, {"id": 2, "name": " "}]), unique);
        check(&json!([{"id": 1, "name": "a"}, {"id": 2}]), unique);
        check(&json!([{"id": 1, "tags": ["a"]}, {"id": 2, "tags": ["b"]}]), unique);
        check(&json!([{"id": 1, "/x": "a", "@line": 1, "\"": 1}, {"id": 2, "/x": "b", "@line": 2}]), unique);
        check(
            &json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]),
            Some("key=\"id\" or key=\"name\" would do: each is unique in all 2 items"),
        );
    }

    #[test]
    fn no_field_is_proposed_without_items_to_compare() {
        check(&json!([]), None);
        check(&json!([{"id": 1}]), None);
        check(&json!([{"kind": "a"}, {"kind": "a"}]), None);
    }

    #[test]
    fn a_long_source_is_compared_in_part() {
        let items: Vec<Value> = (0..MAX_ITEMS + 5).map(|id| json!({ "id": id })).collect();
        check(&json!(items), Some("key=\"id\" is unique in the first 10000 items"));
    }
}
