//! Help texts of a command's options, completed from the schema.

use clap::Command;
use serde_json::Value;

use super::lists::LIST_SEPARATOR;

/// Adds the allowed words of each parameter to its help, and lets values begin with a hyphen: an item's
/// key is data and may look like an option.
pub(in crate::ops) fn complete_help(command: Command, schema: &Value) -> Command {
    command.mut_args(|arg| {
        let arg = if arg.get_action().takes_values() { arg.allow_hyphen_values(true) } else { arg };
        let arg = if arg.get_value_delimiter().is_some() { arg.value_delimiter(LIST_SEPARATOR) } else { arg };
        let name = arg.get_long().unwrap_or_default().replace('-', "_");
        let field = &schema["properties"][name];
        let Some(words) = field["enum"].as_array().or_else(|| field["items"]["enum"].as_array()) else {
            return arg;
        };
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let help = arg.get_help().map(|help| format!("{help} ")).unwrap_or_default();
        arg.help(format!("{help}[one of: {}]", words.join(", ")))
    })
}
