//! The arguments of a prompt: their definitions, and how values are checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Prompt;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::{LineText, LongText, excerpt};

/// Which values a client may suggest while a person types an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggestions {
    /// Nothing.
    Nothing,
    /// The ids of batches.
    Batches,
    /// Fixed words.
    Words(&'static [&'static str]),
}

/// An argument of a prompt.
#[derive(Debug)]
pub struct Argument {
    /// The name.
    pub name: &'static str,
    /// A short description for a person.
    pub about: &'static str,
    /// Whether the prompt needs the argument.
    pub required: bool,
    /// The values that a client may suggest.
    pub suggestions: Suggestions,
    /// Checks a value; an error is the reason why it is refused.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// The checked values of a prompt's arguments.
pub struct ArgumentValues(BTreeMap<&'static str, String>);

impl ArgumentValues {
    /// Values by name.
    pub(super) fn of(values: impl Iterator<Item = (&'static str, String)>) -> Self {
        ArgumentValues(values.collect())
    }

    /// The value of an argument, if it has one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a required argument.
    pub(super) fn required(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// Accepts one line of text.
pub(super) fn check_line(value: &str) -> Result<(), String> {
    value.parse::<LineText>().map(|_| ())
}

/// Accepts text of any number of lines.
pub(super) fn check_text(value: &str) -> Result<(), String> {
    value.parse::<LongText>().map(|_| ())
}

/// Accepts the id of a batch.
pub(super) fn check_id(value: &str) -> Result<(), String> {
    value.parse::<TaskId>().map(|_| ())
}

/// Accepts a number of workers.
pub(super) fn check_workers(value: &str) -> Result<(), String> {
    match value.parse::<u8>() {
        Ok(1..=8) => Ok(()),
        _ => Err(format!("'{}' is not allowed; allowed: 1 to 8", excerpt(value))),
    }
}

/// A text as a JSON string, for an argument of a tool call.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Checks the values for a prompt's arguments. A value that is null or empty counts as absent.
pub(super) fn check_arguments(prompt: &Prompt, arguments: &Map<String, Value>) -> Result<ArgumentValues> {
    let allowed = || {
        let names: Vec<String> = prompt
            .arguments
            .iter()
            .map(|argument| {
                let need = if argument.required { "required" } else { "optional" };
                format!("{} ({need}: {})", argument.name, argument.about)
            })
            .collect();
        format!("the arguments of {} are {}", prompt.name, names.join(", "))
    };
    let mut values = BTreeMap::new();
    for (name, value) in arguments {
        let Some(argument) = prompt.arguments.iter().find(|argument| argument.name == name) else {
            return Err(Error::invalid(format!(
                "{} has no argument '{}'; {}",
                prompt.name,
                excerpt(name),
                allowed()
            )));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.trim().is_empty() => continue,
            Value::String(text) => text,
            other => {
                let other = excerpt(&other.to_string());
                return Err(Error::invalid(format!(
                    "{}: '{other}' is not a string; every argument of a prompt is one",
                    argument.name
                )));
            }
        };
        (argument.check)(text).map_err(|reason| Error::invalid(format!("{}: {reason}", argument.name)))?;
        values.insert(argument.name, text.trim().to_owned());
    }
    match prompt.arguments.iter().find(|argument| argument.required && !values.contains_key(argument.name)) {
        Some(missing) => Err(Error::invalid(format!(
            "{} needs the argument '{}'; {}",
            prompt.name,
            missing.name,
            allowed()
        ))),
        None => Ok(ArgumentValues(values)),
    }
}
