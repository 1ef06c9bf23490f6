//! Deserializes the arguments of a tool call, with refusals that name the field, the value and what is allowed.

use serde_json::Value;

use super::schema::parameter_types;
use super::serde_errors::{in_plain_words, shown, unknown_name};
use super::types::{convert_arguments, remove_absent};
use crate::error::{Code, Error, Result};
use crate::model::text::{excerpt, is_too_large};
use crate::ops::Operation;

/// Deserializes the arguments, after converting values that clients send in other types. `null` counts as absent, and
/// so do empty values except those that the operation can clear.
///
/// # Errors
/// `invalid_argument` or `too_large`, naming the field.
pub fn parse<O: Operation>(arguments: Value) -> Result<O> {
    let mut arguments = match arguments {
        Value::Null => serde_json::Map::new(),
        Value::Object(map) => map,
        other => {
            return Err(Error::invalid(format!(
                "{}: arguments must be an object, not {}",
                O::NAME,
                json_excerpt(&other)
            )));
        }
    };
    remove_absent(&mut arguments, O::CLEARABLE);
    let as_sent = Value::Object(arguments);
    // Generating a schema takes longer than most operations, and most calls need no conversion.
    if let Ok(request) = O::deserialize(&as_sent) {
        return Ok(request);
    }
    let mut arguments = as_sent.clone();
    if let Value::Object(arguments) = &mut arguments {
        convert_arguments(arguments, &parameter_types::<O>(), O::CLEARABLE);
    }
    serde_path_to_error::deserialize(&arguments).map_err(|error| {
        let path = error.path().to_string();
        refusal(O::NAME, &as_sent, &path, &error.into_inner().to_string())
    })
}

/// The refusal for a deserialization error at a path.
fn refusal(tool: &str, arguments: &Value, path: &str, reason: &str) -> Error {
    if let Some(unknown) = reason.strip_prefix("unknown field `") {
        return unknown_field(tool, arguments, path, unknown);
    }
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let value = arguments.pointer(&pointer);
    let field = if path == "." { tool } else { path };
    let code = if is_too_large(reason) { Code::TooLarge } else { Code::InvalidArgument };
    let reason = in_plain_words(reason, value);
    match value {
        Some(value)
            if !reason.contains(&shown(value))
                && !value.is_object()
                && !value.is_array()
                && code == Code::InvalidArgument =>
        {
            Error::new(code, format!("{field}: {reason} (given: {})", json_excerpt(value)))
        }
        _ => Error::new(code, format!("{field}: {reason}")),
    }
}

/// The refusal of an unknown field; `unknown` is serde's message after "unknown field `".
fn unknown_field(tool: &str, arguments: &Value, path: &str, unknown: &str) -> Error {
    let (name, suggestion, allowed) = unknown_name(unknown);
    let outer = path.split(['.', '[']).next().unwrap_or(path);
    let subject = if outer != name && arguments.get(outer).is_some() {
        format!("{outer} has no field")
    } else {
        format!("{tool} has no parameter")
    };
    Error::invalid(format!("{subject} '{}'.{suggestion} Allowed: {}", excerpt(name), allowed.join(", ")))
}

fn json_excerpt(value: &Value) -> String {
    excerpt(&value.to_string())
}
