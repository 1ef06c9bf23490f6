//! Converts argument values to the types of the parameters, without loss.
//!
//! Clients do not always send what a schema asks for: an integer comes as `5.0` or `"5"`, a boolean as `"true"`, a list
//! or an object as its JSON text, and parameters that the model did not set as `null`, `""`, `[]` or `{}`.

use serde_json::{Map, Value};

use crate::model::exact_json::parse_exact;
use crate::model::json_limits::refuse_too_many_values;
use crate::model::limits::whole_number;

/// Some clients add this parameter to every call, to order their own calls.
const IGNORED: &str = "wait_for_previous";

/// Removes arguments that count as absent: `null`, and empty values except those of `clearable` parameters. The same
/// fields of an object are removed.
pub(super) fn remove_absent(arguments: &mut Map<String, Value>, clearable: &[&str]) {
    arguments
        .retain(|name, value| !value.is_null() && (!is_empty(value) || clearable.contains(&name.as_str())));
    arguments.values_mut().filter_map(Value::as_object_mut).for_each(remove_empty);
}

fn remove_empty(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null() && !is_empty(value));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Removes what no operation takes, but clients send.
pub(in crate::ops) fn remove_ignored(arguments: &mut Value) {
    if let Value::Object(arguments) = arguments {
        arguments.remove(IGNORED);
    }
}

/// Converts the arguments of a call as the schema says. The empty text of a `clearable` list is an empty list.
pub(super) fn convert_arguments(arguments: &mut Map<String, Value>, schema: &Value, clearable: &[&str]) {
    let mut cleared = Map::new();
    for name in clearable {
        if let Some(Value::String(text)) = arguments.get(*name)
            && text.is_empty()
        {
            let is_list =
                schema["properties"].get(*name).is_some_and(|schema| type_of(schema) == Some("array"));
            cleared.insert((*name).to_owned(), if is_list { Value::Array(Vec::new()) } else { "".into() });
        }
    }
    convert_fields(arguments, schema);
    arguments.extend(cleared);
}

/// Converts the fields of an object as its schema says; fields that the schema does not know are left alone.
pub(in crate::ops) fn convert_fields(fields: &mut Map<String, Value>, schema: &Value) {
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    for (name, value) in fields.iter_mut() {
        if let Some(schema) = schema["properties"].get(name) {
            convert(value, schema);
            if !is_required(name) && is_zero_below_minimum(value, schema) {
                *value = Value::Null;
            }
        }
    }
    fields.retain(|_, value| !value.is_null());
}

/// Whether a value is 0 where 0 is out of range: some clients fill every parameter that the model left out.
fn is_zero_below_minimum(value: &Value, schema: &Value) -> bool {
    let minimum = without_null(schema)["minimum"].as_f64();
    value.as_f64() == Some(0.0) && minimum.is_some_and(|minimum| minimum > 0.0)
}

/// Converts a value to the type of its schema. A value that cannot be converted without loss is left alone: its type
/// refuses it. A value that counts as absent becomes null.
fn convert(value: &mut Value, schema: &Value) {
    let schema = without_null(schema);
    let Some(wanted) = type_of(schema) else { return };
    let converted = match (wanted, &*value) {
        ("array" | "object" | "integer" | "number" | "boolean", Value::String(text)) => {
            let mut parsed = from_text(wanted, text.trim());
            // An item is an object as well, but none of its fields is known.
            if schema.get("properties").is_some()
                && let Some(fields) = parsed.as_mut().and_then(Value::as_object_mut)
            {
                remove_empty(fields);
                if is_unfilled(fields, schema) {
                    parsed = Some(Value::Null);
                }
            }
            parsed
        }
        ("string", Value::String(text)) if text.is_empty() && schema.get("enum").is_some() => {
            Some(Value::Null)
        }
        ("integer", Value::Number(number)) if number.is_f64() => {
            number.as_f64().and_then(whole_number).map(Value::from)
        }
        ("object", Value::Object(fields)) if is_unfilled(fields, schema) => Some(Value::Null),
        _ => None,
    };
    if let Some(converted) = converted {
        *value = converted;
    }
    match value {
        Value::Array(list) if wanted == "array" => {
            list.iter_mut().for_each(|element| convert(element, &schema["items"]));
        }
        Value::Object(fields) if wanted == "object" => convert_fields(fields, schema),
        _ => {}
    }
}

/// Whether an object that has required fields contains nothing, or only what clients put into fields that the model left
/// out.
fn is_unfilled(fields: &Map<String, Value>, schema: &Value) -> bool {
    schema.get("required").is_some()
        && fields.values().all(|value| *value == Value::Bool(false) || value.as_f64() == Some(0.0))
}

/// The value that a text stands for, if it is of the wanted type.
fn from_text(wanted: &str, text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Null);
    }
    match wanted {
        // A text with too many values stays a text, which is refused as one.
        "array" | "object" if refuse_too_many_values(text.as_bytes()).is_some() => None,
        "array" => text.starts_with('[').then(|| parse_exact(text).ok())?,
        "object" => text.starts_with('{').then(|| parse_exact(text).ok())?,
        "integer" => {
            let integer = text.parse::<i64>().ok();
            integer.or_else(|| text.parse().ok().and_then(whole_number)).map(Value::from)
        }
        "number" => text.parse::<serde_json::Number>().ok().map(Value::from),
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ => None,
        },
        _ => None,
    }
}

/// The schema of the values other than null.
fn without_null(schema: &Value) -> &Value {
    let Some(choices) = schema["anyOf"].as_array() else { return schema };
    let mut choices = choices.iter().filter(|choice| choice["type"] != "null");
    match (choices.next(), choices.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

fn type_of(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_converted_without_loss_or_left_alone() {
        fn check(schema: Value, value: Value, expected: Value) {
            let mut converted = value.clone();
            convert(&mut converted, &schema);
            assert_eq!(converted, expected, "{value} as {schema}");
        }
        let integer = json!({"type": ["integer", "null"]});
        check(integer.clone(), json!(5.0), json!(5));
        check(integer.clone(), json!(" 5 "), json!(5));
        check(integer.clone(), json!("5.0"), json!(5));
        check(integer.clone(), json!(""), Value::Null);
        for kept in [json!(5.5), json!("5.5"), json!("five"), json!(1e300), json!(true), json!([5])] {
            check(integer.clone(), kept.clone(), kept);
        }
        let boolean = json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]});
        check(boolean.clone(), json!("True"), json!(true));
        check(boolean.clone(), json!("false"), json!(false));
        check(boolean, json!("yes"), json!("yes"));
        let list = json!({"type": "array", "items": {"type": "integer"}});
        check(list.clone(), json!("[\"1\", 2.0]"), json!([1, 2]));
        check(list.clone(), json!("1"), json!("1"));
        check(list, json!("[1"), json!("[1"));
        let object = json!({"type": "object", "required": ["path"],
            "properties": {"path": {"type": "string"}, "ready": {"type": "boolean"}}});
        check(
            object.clone(),
            json!("{\"path\": \"a\", \"ready\": \"true\"}"),
            json!({"path": "a", "ready": true}),
        );
        check(object.clone(), json!({"path": "5", "ready": null}), json!({"path": "5"}));
        check(object.clone(), json!({}), Value::Null);
        check(object.clone(), json!("{\"path\": \"\", \"ready\": false}"), Value::Null);
        check(object, json!("a.jsonl"), json!("a.jsonl"));
        check(json!({"type": "object"}), json!("{\"note\": \"\"}"), json!({"note": ""}));
        check(json!({"type": "string"}), json!(5), json!(5));
        check(json!({"type": "string", "enum": ["a"]}), json!(""), Value::Null);
        let either = json!({"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "string"}]}});
        check(either, json!([{"n": "5"}, "5"]), json!([{"n": "5"}, "5"]));
    }
}
