//! Help texts of a command's options, completed from the schema.

use std::fmt::Write as _;

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

/// Sets the usage of the command of an operation: the `unnamed` parameters need no name, which their help says.
pub(in crate::ops) fn with_usage(command: Command, name: &str, unnamed: &[&str]) -> Command {
    let mut usage = format!("tasktally {name} [OPTIONS]");
    for arg in command.get_arguments() {
        let value = arg.get_id().as_str().to_uppercase();
        let is_unnamed = arg.get_long().is_some_and(|long| unnamed.contains(&long));
        // Writing to a string cannot fail.
        let _ = match (is_unnamed, arg.is_required_set()) {
            (true, true) => write!(usage, " <{value}>"),
            (true, false) => write!(usage, " [{value}]"),
            (false, true) => write!(usage, " --{} <{value}>", arg.get_long().unwrap_or_default()),
            (false, false) => Ok(()),
        };
    }
    command.override_usage(usage).mut_args(|arg| match arg.get_long() {
        Some(long) if unnamed.contains(&long) => {
            let help = arg.get_help().map(|help| format!("{help} ")).unwrap_or_default();
            let help = format!("{help}[the name --{long} may be left out]");
            arg.help(help)
        }
        _ => arg,
    })
}
