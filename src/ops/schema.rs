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

/// A request's schema: types, bounds, defaults and the few words that a model needs.
pub(super) fn input<T: JsonSchema>() -> Value {
    let mut schema = generate::<T>(false);
    schema.remove("title");
    schema.remove("description");
    let mut value = Value::Object(schema);
    slim(&mut value);
    value
}

/// A reply's schema: its own fields; what lies inside them is only named by its kind.
pub(super) fn output<T: JsonSchema>() -> Value {
    let schema = generate::<T>(true);
    let mut properties = Map::new();
    if let Some(Value::Object(fields)) = schema.get("properties") {
        for (name, field) in fields {
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
            if map
                .get("default")
                .is_some_and(|default| default.is_null() || *default == json!(false) || *default == json!([]))
            {
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
