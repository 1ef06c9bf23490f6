//! Errors of serde in the words of the caller: serde names types of Rust.

use serde_json::Value;

use crate::model::text::excerpt;

/// A known parameter is suggested for an unknown one if their Jaro-Winkler similarity is above this.
const SIMILAR: f64 = 0.7;
/// A longer name is compared with no known one. The comparison takes quadratic time.
const MAX_COMPARED: usize = 100;

/// The reason for a refused value. Only serde's message about a wrong type is changed.
pub(in crate::ops) fn in_plain_words(reason: &str, value: Option<&Value>) -> String {
    let (Some(message), Some(value)) = (reason.strip_prefix("invalid type: "), value) else {
        return reason.to_owned();
    };
    let Some((_, expected)) = message.rsplit_once(", expected ") else { return reason.to_owned() };
    let allowed = match expected {
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list, such as [\"a\"]",
        "a map" => "a JSON object",
        _ if expected.starts_with("struct ") => "a JSON object",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "f64" => "a number",
        other => other,
    };
    format!("'{}' is not allowed here; allowed: {allowed}", shown(value))
}

/// A value as a message quotes it.
pub(in crate::ops) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text),
        other => excerpt(&other.to_string()),
    }
}

/// An unknown name, the sentence that suggests a known one, and all known ones, from serde's message after
/// "unknown field `".
pub(in crate::ops) fn unknown_name(unknown: &str) -> (&str, String, Vec<&str>) {
    let (name, rest) = unknown.split_once('`').unwrap_or((unknown, ""));
    let allowed: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let suggestion = allowed
        .iter()
        .filter(|_| name.len() <= MAX_COMPARED)
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, candidate)| format!(" Did you mean '{candidate}'?"));
    (name, suggestion, allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_type_is_named_with_the_value_and_what_is_allowed() {
        fn check(reason: &str, value: Value, expected: &str) {
            assert_eq!(in_plain_words(reason, Some(&value)), expected);
        }
        let reason = "invalid type: string \"maybe\", expected a boolean";
        check(reason, json!("maybe"), "'maybe' is not allowed here; allowed: true or false");
        let reason = "invalid type: sequence, expected a string";
        check(reason, json!(["a"]), "'[\"a\"]' is not allowed here; allowed: a text");
        let reason = "invalid type: integer `7`, expected a sequence";
        check(reason, json!(7), "'7' is not allowed here; allowed: a list, such as [\"a\"]");
        check("'x' is not a valid status", json!("x"), "'x' is not a valid status");
    }
}
