//! Adding a server to a JSON file. Comments, order, spacing and numbers in the rest of the file stay as they are.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value};

use super::merged::Merged;
use crate::prompts::SERVER_KEY;

/// The JSON that clients read: with comments and trailing commas, but without other extensions.
const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The text with the server in the object `list`; `None` if the text has the same entry already.
///
/// # Errors
/// Why no server can be added to the text.
pub(super) fn merge(text: &str, list: &str, fields: &Map<String, Value>) -> Result<Option<Merged>, String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let root = CstRootNode::parse(text, &SYNTAX).map_err(|error| format!("it is not JSON ({error})"))?;
    let file = root.object_value_or_create().ok_or("it is not a JSON object")?;
    let servers = match member(&file, list)? {
        Some(servers) => servers.object_value().ok_or_else(|| format!("its {list} is not an object"))?,
        None => file.object_value_or_set(list),
    };
    let Some(entry) = member(&servers, SERVER_KEY)? else {
        servers.append(SERVER_KEY, object(fields));
        return Ok(Some(Merged { text: root.to_string(), previous: None }));
    };
    let old = entry.object_value().ok_or_else(|| format!("its {SERVER_KEY} is not an object"))?;
    for url in ["url", "httpUrl", "serverUrl"] {
        if member(&old, url)?.is_some() {
            return Err(format!("its {SERVER_KEY} is another server, reached by {url}"));
        }
    }
    if old.to_serde_value().is_some_and(|old| old == Value::Object(fields.clone())) {
        return Ok(None);
    }
    let previous = Some(old.to_string());
    entry.set_value(object(fields));
    Ok(Some(Merged { text: root.to_string(), previous }))
}

/// The entry of the server in the object `list`; `None` if there is none.
pub(super) fn entry(text: &str, list: &str) -> Option<Value> {
    let file = CstRootNode::parse(text, &SYNTAX).ok()?.object_value()?;
    let servers = member(&file, list).ok()??.object_value()?;
    member(&servers, SERVER_KEY).ok()??.object_value()?.to_serde_value()
}

/// The member of an object with this name.
fn member(object: &CstObject, name: &str) -> Result<Option<CstObjectProp>, String> {
    let members = object.properties();
    let mut found = members.into_iter().filter(|member| member.decoded_name().as_deref() == Some(name));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(format!("it has {name} twice")),
        (found, _) => Ok(found),
    }
}

fn object(fields: &Map<String, Value>) -> CstInputValue {
    CstInputValue::Object(fields.iter().map(|(key, value)| (key.clone(), input(value))).collect())
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(fields) => object(fields),
    }
}
