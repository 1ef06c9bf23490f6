//! Arguments of a tool call into a request, or a sentence that names field, value and what is allowed.

use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;
use crate::ops::Operation;

/// Reads the arguments; `null` is the same as leaving a field out.
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
                shown(&other)
            )));
        }
    };
    arguments.retain(|_, value| !value.is_null());
    if let Some(later) = O::LATER.iter().find(|name| arguments.contains_key(**name)) {
        return Err(Error::invalid(format!(
            "{later}: {} does not support it yet in tasktally {}; leave it out",
            O::NAME,
            env!("CARGO_PKG_VERSION")
        )));
    }
    let copy = Value::Object(arguments);
    serde_path_to_error::deserialize(&copy).map_err(|error| {
        let path = error.path().to_string();
        explain(O::NAME, &copy, &path, &error.into_inner().to_string())
    })
}

fn explain(tool: &str, arguments: &Value, path: &str, reason: &str) -> Error {
    if let Some(unknown) = reason.strip_prefix("unknown field `") {
        let (name, rest) = unknown.split_once('`').unwrap_or((unknown, ""));
        let allowed: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let near = allowed
            .iter()
            .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
            .filter(|(nearness, _)| *nearness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(_, candidate)| format!("; did you mean `{candidate}`?"));
        let outer = path.split(['.', '[']).next().unwrap_or(path);
        let whose = if outer != name && arguments.get(outer).is_some() {
            format!("{outer} has no field")
        } else {
            format!("{tool} has no parameter")
        };
        return Error::invalid(format!("{whose} `{}`{near} It takes {}", excerpt(name), allowed.join(", ")));
    }
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let value = arguments.pointer(&pointer);
    let field = if path == "." { tool } else { path };
    let code = if reason.starts_with("too large") { Code::TooLarge } else { Code::InvalidArgument };
    match value {
        Some(value)
            if !reason.contains(&shown(value))
                && !value.is_object()
                && !value.is_array()
                && code == Code::InvalidArgument =>
        {
            Error::new(code, format!("{field}: {reason} (given: {})", shown(value)))
        }
        _ => Error::new(code, format!("{field}: {reason}")),
    }
}

fn shown(value: &Value) -> String {
    excerpt(&value.to_string())
}
