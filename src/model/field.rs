//! Fields of an item: lookup by name or JSON pointer, and safe display of values in messages.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::hidden::with_hidden;

/// The value at `field`: a top-level name, or a JSON pointer if it starts with `/`.
pub fn lookup<'a>(fields: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    let Some(pointer) = field.strip_prefix('/') else {
        return fields.get(field);
    };
    match pointer.split_once('/') {
        None => fields.get(&*segment(pointer)),
        Some((first, _)) => fields.get(&*segment(first))?.pointer(&pointer[first.len()..]),
    }
}

/// The field's plain name: the last segment of a pointer, or the name itself.
pub fn field_name(field: &str) -> Cow<'_, str> {
    match field.strip_prefix('/') {
        None => Cow::Borrowed(field),
        Some(pointer) => segment(pointer.rsplit('/').next().unwrap_or(pointer)),
    }
}

fn segment(escaped: &str) -> Cow<'_, str> {
    if escaped.contains('~') {
        Cow::Owned(escaped.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(escaped)
    }
}

/// What begins the list of an item's fields in a reason.
pub const FIELDS_ARE: &str = "its fields are ";
/// The most fields that are listed.
const FIELDS_LISTED: usize = 10;

/// Says which fields an item has, for a reason that one is missing.
pub fn field_list<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    if count == 0 {
        return "it has no fields".to_owned();
    }
    let mut shown: Vec<String> = names.take(FIELDS_LISTED).map(|name| visible_excerpt(name, 40)).collect();
    if count > FIELDS_LISTED {
        shown.push(format!("and {} more", count - FIELDS_LISTED));
    }
    format!("{FIELDS_ARE}{}", shown.join(", "))
}

/// The first `max` characters of the text, with hidden characters escaped.
pub fn visible_excerpt(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (n, (c, is_hidden)) in with_hidden(text).enumerate() {
        if n == max {
            shown.push('…');
            break;
        }
        if is_hidden {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_by_name_or_json_pointer() {
        let item = json!({"a": {"b": [1, {"c": 2}]}, "x/y": 3, "t~": 4, "": 5});
        let fields = item.as_object().unwrap();
        let check =
            |field: &str, found: Option<Value>| assert_eq!(lookup(fields, field).cloned(), found, "{field}");
        check("/a/b/0", Some(json!(1)));
        check("/a/b/1/c", Some(json!(2)));
        check("/a/none", None);
        check("/none/b", None);
        check("a", Some(item["a"].clone()));
        check("a/b", None);
        check("x/y", Some(json!(3)));
        check("/x~1y", Some(json!(3)));
        check("/t~0", Some(json!(4)));
        check("/", Some(json!(5)));
        assert_eq!(field_name("/a/x~1y"), "x/y");
        assert_eq!(field_name("id"), "id");
    }

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(visible_excerpt("a\nb\u{202e}c", 10), "a\\u{a}b\\u{202e}c");
        assert_eq!(visible_excerpt("abcdef", 3), "abc…");
        assert_eq!(visible_excerpt("abc", 3), "abc");
    }
}
