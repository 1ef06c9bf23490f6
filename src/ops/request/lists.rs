//! Lists on the command line: words separated by commas, or a JSON array.

use std::ffi::OsString;

use clap::Command;

use crate::model::exact_json::parse_exact;

/// Separates the elements of a list once the command line has been read. It never occurs in an element: text with
/// control characters is refused.
pub const LIST_SEPARATOR: char = '\u{1f}';

/// Rewrites the values of a command's list options: their elements are separated by [`LIST_SEPARATOR`]. clap would
/// split a JSON array at its commas, and an element that contains a comma could not be written at all.
pub fn separate_lists(arguments: &mut [OsString], command: &Command) {
    let lists: Vec<String> = command
        .get_arguments()
        .filter(|arg| arg.get_value_delimiter() == Some(LIST_SEPARATOR))
        .filter_map(|arg| arg.get_long().map(|name| format!("--{name}")))
        .collect();
    let mut is_value = false;
    for argument in arguments {
        let Some(text) = argument.to_str() else { continue };
        if text == "--" && !is_value {
            return;
        }
        if is_value {
            *argument = separate(text).into();
            is_value = false;
        } else if let Some((name, value)) = text.split_once('=')
            && lists.iter().any(|list| list == name)
        {
            *argument = format!("{name}={}", separate(value)).into();
        } else {
            is_value = lists.iter().any(|list| list == text);
        }
    }
}

/// The elements of a list, separated by [`LIST_SEPARATOR`].
fn separate(value: &str) -> String {
    let elements = match parse_exact(value) {
        Ok(serde_json::Value::Array(elements)) => elements.iter().map(element).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    match elements {
        Some(elements) => elements.join(&LIST_SEPARATOR.to_string()),
        None => value.replace(',', &LIST_SEPARATOR.to_string()),
    }
}

fn element(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_json_array_or_words_separated_by_commas() {
        for (written, elements) in [
            ("a,b", &["a", "b"][..]),
            ("a", &["a"]),
            (r#"["x","y"]"#, &["x", "y"]),
            (r#" ["x, y", 5] "#, &["x, y", "5"]),
            ("[wip]", &["[wip]"]),
            (r#"[{"a":1}]"#, &[r#"[{"a":1}]"#]),
        ] {
            let separated = separate(written);
            let found: Vec<&str> = separated.split(LIST_SEPARATOR).collect();
            assert_eq!(found, elements, "{written}");
        }
    }
}
