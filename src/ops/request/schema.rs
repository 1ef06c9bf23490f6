//! Generates the JSON schemas of requests and replies. They are kept small: agents pay for every byte of them
//! in tokens.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// A list of more words than this is part of the schema only where the operation asks for it; a wrong word is
/// refused with the list.
const FEW_WORDS: usize = 4;
/// A range of more values than this is checked, but not part of the schema: requests rarely come near its ends.
const FEW_VALUES: i64 = 10;

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

/// A request's schema: types, defaults and descriptions. Long lists of words and ranges are left out unless
/// `all_words` is set.
pub(in crate::ops) fn input<T: JsonSchema>(all_words: bool) -> Value {
    let mut schema = generate::<T>(false);
    schema.remove("title");
    schema.remove("description");
    // Some clients cannot convert a closed root object. The server refuses unknown parameters itself.
    schema.remove("additionalProperties");
    let mut value = Value::Object(schema);
    slim(&mut value);
    if let Some(Value::Object(properties)) = value.get_mut("properties") {
        properties.values_mut().for_each(open_objects);
        properties.values_mut().for_each(drop_object_default);
        if !all_words {
            properties.values_mut().for_each(drop_bounds);
        }
    }
    value
}

/// The types of a request's parameters, for the conversion of arguments.
pub(in crate::ops) fn parameter_types<T: JsonSchema>() -> Value {
    Value::Object(generate::<T>(false))
}

/// Removes a long list of words, and a range, from a parameter's schema.
pub(crate) fn drop_bounds(field: &mut Value) {
    let Value::Object(field) = field else { return };
    if field.get("enum").and_then(Value::as_array).is_some_and(|words| words.len() > FEW_WORDS) {
        field.remove("enum");
    }
    field.remove("minimum");
    field.remove("maximum");
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

/// Removes the default of an object. AutoGen loses the description of an object that has one.
fn drop_object_default(field: &mut Value) {
    if let Value::Object(field) = field
        && field.get("default").is_some_and(Value::is_object)
    {
        field.remove("default");
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

/// Removes what a model does not need: nullability (null counts as absent), formats, and defaults that equal
/// leaving the parameter out.
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
            map.remove("format");
            if map.get("maximum").and_then(Value::as_i64).is_some_and(|maximum| maximum > FEW_VALUES) {
                map.remove("maximum");
                map.remove("minimum");
            }
            let as_absent = [Value::Null, json!(false), json!([]), json!(""), json!(0)];
            if map.get("default").is_some_and(|default| as_absent.contains(default)) {
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
