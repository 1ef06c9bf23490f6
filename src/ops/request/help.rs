//! The words that a parameter takes, for the help of a command.

use clap::Command;
use serde_json::Value;

/// Adds to the help of each parameter the words that it is one of, as the schema has them.
pub(in crate::ops) fn spell_out(command: Command, schema: &Value) -> Command {
    command.mut_args(|arg| {
        // Items are data: what begins with a hyphen is a value all the same.
        let arg = if arg.get_action().takes_values() { arg.allow_hyphen_values(true) } else { arg };
        let name = arg.get_long().unwrap_or_default().replace('-', "_");
        let field = &schema["properties"][name];
        let Some(words) = field["enum"].as_array().or_else(|| field["items"]["enum"].as_array()) else {
            return arg;
        };
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let said = arg.get_help().map(|help| format!("{help} ")).unwrap_or_default();
        arg.help(format!("{said}[one of: {}]", words.join(", ")))
    })
}
