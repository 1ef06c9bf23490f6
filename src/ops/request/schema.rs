//! Schemas as small as they can be: every byte is paid for by an agent in tokens.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

fn generate<T: JsonSchema>(output: bool) -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    if output {
        settings = settings.for_serialize();
    }
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    match schema.to_value() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A request's schema: types, defaults and the few words that a model needs; ranges and long lists of
/// words only where they are spelt out.
pub(in crate::ops) fn input<T: JsonSchema>(spell_out: bool) -> Value {
    let mut schema = generate::<T>(false);
    schema.remove("title");
    schema.remove("description");
    let mut value = Value::Object(schema);
    slim(&mut value);
    if let Some(Value::Object(properties)) = value.get_mut("properties") {
        properties.values_mut().for_each(drop_inner_closing);
        if !spell_out {
            properties.values_mut().for_each(drop_bounds);
        }
    }
    value
}

/// More words than these are spelt out in one tool only; a wrong word is refused with the list.
const FEW_WORDS: usize = 4;
/// A range of more values than these is checked but not spelt out: nobody comes near its ends.
const FEW_VALUES: i64 = 10;

/// Leaves a long list of words, and a range, out of a parameter.
pub(crate) fn drop_bounds(field: &mut Value) {
    let Value::Object(field) = field else { return };
    if field.get("enum").and_then(Value::as_array).is_some_and(|words| words.len() > FEW_WORDS) {
        field.remove("enum");
    }
    field.remove("minimum");
    field.remove("maximum");
}

/// A misspelt field inside a parameter is refused by name anyway.
fn drop_inner_closing(field: &mut Value) {
    match field {
        Value::Object(map) => {
            map.remove("additionalProperties");
            map.values_mut().for_each(drop_inner_closing);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_inner_closing),
        _ => {}
    }
}

/// A reply's schema: its own fields that are always there, by their kinds.
pub(in crate::ops) fn output<T: JsonSchema>() -> Value {
    let schema = generate::<T>(true);
    let mut properties = Map::new();
    if let Some(Value::Object(fields)) = schema.get("properties") {
        let always = schema.get("required").and_then(Value::as_array);
        let is_always = |name: &str| always.is_some_and(|names| names.iter().any(|known| known == name));
        for (name, field) in fields.iter().filter(|(name, _)| is_always(name)) {
            let kind = kind_of(field);
            properties.insert(name.clone(), kind.map_or(json!({}), |kind| json!({ "type": kind })));
        }
    }
    json!({ "type": "object", "properties": properties, "required": ["success", "message"] })
}

/// The JSON type of a schema, if it has one besides null.
fn kind_of(schema: &Value) -> Option<&str> {
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        return choices.iter().filter_map(kind_of).find(|kind| *kind != "null");
    }
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// Takes out what no model needs: nullability (null is the same as leaving out), formats, null defaults.
fn slim(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(choices)) = map.get("anyOf") {
                let mut real: Vec<Value> =
                    choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
                if real.len() == 1
                    && let Some(Value::Object(only)) = real.pop()
                {
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if let Some(Value::Array(kinds)) = map.get("type") {
                let real: Vec<Value> = kinds.iter().filter(|kind| *kind != "null").cloned().collect();
                if let [only] = real.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            map.remove("format");
            if map.get("maximum").and_then(Value::as_i64).is_some_and(|most| most > FEW_VALUES) {
                map.remove("maximum");
                map.remove("minimum");
            }
            let nothing = [Value::Null, json!(false), json!([]), json!(""), json!(0)];
            if map.get("default").is_some_and(|default| nothing.contains(default)) {
                map.remove("default");
            }
            for (_, inner) in map.iter_mut() {
                slim(inner);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(slim),
        _ => {}
    }
}
