//! Resources: normalized paths that items touch. Different spellings of a path are one resource, and a folder
//! contains the paths inside it.

use serde_json::{Map, Value};

use super::field::{lookup, visible_excerpt};
use super::hidden::is_control;
use super::text::LineText;

/// The field that is read if the batch names none.
pub const DEFAULT_FIELD: &str = "files";
/// The longest path, in bytes: `PATH_MAX` of Linux.
const MAX_BYTES: usize = 4_096;
/// Terminates each part of a key. Paths cannot contain it, and it sorts before every character of a path, so that
/// in sorted order a folder is directly followed by all paths inside it.
const END: char = '\u{1}';

/// A path as a key: its root (`.` or `/`) and its parts, each terminated by U+0001. A resource contains another one
/// if and only if its key is a prefix of the other's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(String);

impl Resource {
    /// Normalizes a path: `./a//b/../c/` is `a/c`. Case is significant.
    ///
    /// # Errors
    /// The reason: the path is too long, contains hidden characters, or leads above its root.
    pub fn parse(path: &str) -> Result<Self, String> {
        if path.len() > MAX_BYTES {
            return Err(format!(
                "'{}' has {} bytes; a resource is a path of at most {MAX_BYTES} bytes",
                visible_excerpt(path, 40),
                path.len()
            ));
        }
        if path.chars().any(is_control) {
            return Err(format!(
                "'{}' contains control or bidirectional characters, which are not allowed in a resource",
                visible_excerpt(path, 80)
            ));
        }
        let absolute = path.starts_with('/');
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() && !absolute => {
                    return Err(format!(
                        "'{}' leads above the folder that paths are relative to; write all paths relative to a common folder, or absolute",
                        visible_excerpt(path, 80)
                    ));
                }
                ".." => {}
                part => parts.push(part),
            }
        }
        let mut key = String::with_capacity(path.len() + 3);
        for part in std::iter::once(if absolute { "/" } else { "." }).chain(parts) {
            key.push_str(part);
            key.push(END);
        }
        Ok(Resource(key))
    }

    /// The key by which resources are sorted, stored and compared.
    pub fn key(&self) -> &str {
        &self.0
    }
}

/// Whether the resource with key `above` is the one with `key` or contains it.
pub fn contains(above: &str, key: &str) -> bool {
    key.starts_with(above)
}

/// The keys of all resources that contain the one with this key, outermost first.
pub fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices(END).map(|(at, end)| &key[..at + end.len()]).filter(|above| above.len() < key.len())
}

/// The upper bound (exclusive) of all keys inside the resource with this key.
pub fn subtree_end(key: &str) -> String {
    format!("{}\u{2}", key.trim_end_matches(END))
}

/// The path of a key, for messages.
pub fn display_path(key: &str) -> String {
    let (root, rest) = key.split_once(END).unwrap_or((key, ""));
    let path = rest.trim_end_matches(END).replace(END, "/");
    match (root, path.is_empty()) {
        ("/", _) => format!("/{path}"),
        (_, true) => ".".to_owned(),
        (_, false) => path,
    }
}

/// The resources of an item, from the named fields (`files` if none is named), sorted and without duplicates.
/// Sets `seen` for each named field that the item has.
///
/// # Errors
/// The reason, naming field and value.
pub fn item_resources(
    item: &Map<String, Value>,
    fields: &[LineText],
    seen: &mut [bool],
) -> Result<Vec<Resource>, String> {
    let mut found = Vec::new();
    let mut add = |name: &str, value: &Value| -> Result<(), String> {
        let refused = |reason: String| {
            format!(
                "field '{}': {reason}; create_batch(on_conflict=\"allow\") does not check resources",
                visible_excerpt(name, 80)
            )
        };
        match value {
            Value::Null => Ok(()),
            Value::String(path) if path.trim().is_empty() => Ok(()),
            Value::String(path) => {
                found.push(Resource::parse(path).map_err(refused)?);
                Ok(())
            }
            other => Err(refused(format!(
                "{} is not a resource; allowed: a path, as text, or a list of paths",
                visible_excerpt(&other.to_string(), 40)
            ))),
        }
    };
    let default = [DEFAULT_FIELD];
    let names = fields.iter().map(LineText::as_str).chain(default.into_iter().filter(|_| fields.is_empty()));
    for (place, name) in names.enumerate() {
        let Some(value) = lookup(item, name) else { continue };
        if let Some(seen) = seen.get_mut(place) {
            *seen = true;
        }
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| add(name, value))?,
            value => add(name, value)?,
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn spellings_of_one_path_are_one_resource() {
        fn check(path: &str, expected: &str) {
            let resource = Resource::parse(path).unwrap();
            assert_eq!(display_path(resource.key()), expected, "{path}");
            assert_eq!(Resource::parse(expected).unwrap(), resource, "{path}");
        }
        check("./a//b/../c", "a/c");
        check("a/c/", "a/c");
        check("A/c", "A/c");
        check(".", ".");
        check("a/..", ".");
        check("/", "/");
        check("/../a/./b/", "/a/b");
        check("https://host/a", "https:/host/a");
        check("...", "...");
        check("a b/ü", "a b/ü");
    }

    #[test]
    fn an_invalid_path_is_refused_with_the_reason() {
        for (path, reason) in [
            ("../a", "above the folder"),
            ("a/../../b", "above the folder"),
            ("a\nb", "control"),
            ("a\u{1}b", "control"),
            (&"x".repeat(4_097), "4097 bytes; a resource is a path of at most 4096 bytes"),
        ] {
            let refusal = Resource::parse(path).unwrap_err();
            assert!(refusal.contains(reason), "{refusal}");
        }
    }

    #[test]
    fn a_folder_contains_itself_and_the_paths_inside_it() {
        fn check(above: &str, path: &str, expected: bool) {
            let (one, other) = (Resource::parse(above).unwrap(), Resource::parse(path).unwrap());
            assert_eq!(contains(one.key(), other.key()), expected, "{above} {path}");
        }
        check("a", "a", true);
        check("a", "a/b/c", true);
        check("a/b", "a", false);
        check("a", "ab", false);
        check("a", "a-b", false);
        check("A", "a", false);
        check(".", "a", true);
        check(".", "/a", false);
        check("/", "/a", true);
        check("/", "a", false);
    }

    #[test]
    fn an_item_names_its_resources_as_text_or_a_list() {
        fn check(item: Value, fields: &[&str], expected: Result<&[&str], &str>) {
            let names: Vec<LineText> = fields.iter().map(|name| name.parse().unwrap()).collect();
            let found = item_resources(item.as_object().unwrap(), &names, &mut []);
            match expected {
                Ok(paths) => {
                    let found: Vec<String> =
                        found.unwrap().iter().map(|resource| display_path(resource.key())).collect();
                    assert_eq!(found, paths, "{item}");
                }
                Err(reason) => {
                    let refusal = found.unwrap_err();
                    assert!(refusal.contains(reason), "{refusal}");
                }
            }
        }
        check(json!({"files": ["b", "./a", "a/"]}), &[], Ok(&["a", "b"]));
        check(json!({"files": "a"}), &[], Ok(&["a"]));
        check(json!({"key": "a"}), &[], Ok(&[]));
        check(json!({"files": null, "x": ""}), &["files", "x"], Ok(&[]));
        check(json!({"files": "a", "x": "b", "y": ["c"]}), &["x", "/y/0"], Ok(&["b", "c"]));
        check(json!({"files": 3}), &[], Err("field 'files': 3 is not a resource"));
        check(json!({"files": [["a"]]}), &[], Err("[\"a\"] is not a resource"));
    }

    proptest! {
        #[test]
        fn in_sorted_order_a_folder_is_directly_followed_by_the_paths_inside_it(
            paths in prop::collection::vec("[a-c./ -]{0,8}", 0..40),
        ) {
            let mut keys: Vec<Resource> = paths.iter().filter_map(|path| Resource::parse(path).ok()).collect();
            keys.sort();
            for (at, folder) in keys.iter().enumerate() {
                let beneath = keys[at..].iter().take_while(|key| contains(folder.key(), key.key())).count();
                let all = keys.iter().filter(|key| contains(folder.key(), key.key())).count();
                let equal_before = keys[..at].iter().filter(|key| *key == folder).count();
                prop_assert_eq!(beneath + equal_before, all);
                for above in ancestors(folder.key()) {
                    prop_assert!(contains(above, folder.key()) && above < folder.key());
                }
            }
        }
    }
}
