//! Generates the JSON schemas of requests and replies. They are kept small: agents pay for every byte of them
//! in tokens.

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

/// A request's schema: types, words and descriptions. The descriptions say what the bounds and defaults are, because many
/// clients drop them from a schema.
pub(in crate::ops) fn input<T: JsonSchema>() -> Value {
    let mut schema = generate::<T>(false);
    schema.remove("title");
    schema.remove("description");
    // Some clients cannot convert a closed root object. The server refuses unknown parameters itself.
    schema.remove("additionalProperties");
    let mut value = Value::Object(schema);
    slim(&mut value);
    if let Some(Value::Object(properties)) = value.get_mut("properties") {
        properties.values_mut().for_each(open_objects);
        properties.values_mut().for_each(drop_default);
    }
    value
}

/// The types of a request's parameters, for the conversion of arguments.
pub(in crate::ops) fn parameter_types<T: JsonSchema>() -> Value {
    Value::Object(generate::<T>(false))
}

/// Removes what closes nested objects: deserialization refuses unknown fields by name anyway.
fn open_objects(field: &mut Value) {
    match field {
        Value::Object(map) => {
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.remove("additionalProperties");
            }
            map.values_mut().for_each(open_objects);
        }
        Value::Array(values) => values.iter_mut().for_each(open_objects),
        _ => {}
    }
}

/// Removes the default of a parameter, which its description says. Fields of objects keep theirs: LangChain makes those
/// without one required for Gemini. AutoGen loses the description of an object that has a default.
fn drop_default(parameter: &mut Value) {
    if let Value::Object(parameter) = parameter {
        parameter.remove("default");
    }
}

/// A reply's schema, without descriptions: models do not read it, and clients check replies against it. Only `success` and
/// `message` are in every reply: an answer such as `nothing_to_claim` has none of the other fields.
pub(in crate::ops) fn output<T: JsonSchema>() -> Value {
    let mut schema = Value::Object(generate::<T>(true));
    drop_comments(&mut schema);
    split_nulls(&mut schema);
    schema["required"] = json!(["success", "message"]);
    schema
}

/// Writes nullability so that every client understands it: a property that is left out instead of null is not nullable,
/// and any other has two branches instead of a list of types.
fn split_nulls(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let required = map.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            for (name, property) in
                map.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
            {
                let not_null = without_null_type(property);
                match not_null {
                    Some(not_null) if required.iter().any(|required| required == name) => {
                        *property = json!({ "anyOf": [not_null, { "type": "null" }] });
                    }
                    Some(not_null) => *property = not_null,
                    None => {}
                }
            }
            map.values_mut().for_each(split_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(split_nulls),
        _ => {}
    }
}

/// The schema of the values other than null; none if null is not allowed.
fn without_null_type(schema: &Value) -> Option<Value> {
    let mut schema = schema.clone();
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        let [only] = types.iter().filter(|name| *name != "null").collect::<Vec<_>>()[..] else { return None };
        schema["type"] = only.clone();
        return Some(schema);
    }
    let choices = schema.get("anyOf").and_then(Value::as_array)?;
    match choices.iter().filter(|choice| choice["type"] != "null").collect::<Vec<_>>()[..] {
        [only] if choices.len() == 2 => Some(only.clone()),
        _ => None,
    }
}

/// Removes what only a reader needs from a schema.
fn drop_comments(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for name in ["$schema", "title", "description", "format", "default"] {
                // A property of that name is a schema, a comment is not.
                if map.get(name).is_some_and(|value| !value.is_object()) {
                    map.remove(name);
                }
            }
            map.values_mut().for_each(drop_comments);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_comments),
        _ => {}
    }
}

/// Removes what a model does not need: nullability (null counts as absent), formats, and bounds, which descriptions say.
fn slim(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(choices)) = map.get("anyOf") {
                let mut not_null: Vec<Value> =
                    choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
                if not_null.len() == 1
                    && let Some(Value::Object(only)) = not_null.pop()
                {
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if let Some(Value::Array(types)) = map.get("type") {
                let not_null: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
                if let [only] = not_null.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            for name in ["format", "minimum", "maximum"] {
                map.remove(name);
            }
            for (name, inner) in map.iter_mut() {
                match inner {
                    // A property may have the name of one of the keywords above.
                    Value::Object(properties) if name == "properties" => {
                        properties.values_mut().for_each(slim);
                    }
                    _ => slim(inner),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(slim),
        _ => {}
    }
}
