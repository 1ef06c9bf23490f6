//! Arguments of a prompt: what it takes, and reading what was given.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Prompt;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::{LineText, LongText, excerpt};

/// What a client may suggest while an argument is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completes {
    /// Nothing.
    Nothing,
    /// The ids of batches.
    Batches,
    /// These words.
    Words(&'static [&'static str]),
}

/// An argument of a prompt.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is, for a person.
    pub about: &'static str,
    /// Whether the prompt makes no sense without it.
    pub required: bool,
    /// What may be suggested for it.
    pub completes: Completes,
    /// Why a value is refused.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// The arguments that were given, each as its argument allows.
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// Values by name.
    pub(super) fn of(values: impl Iterator<Item = (&'static str, String)>) -> Self {
        Given(values.collect())
    }

    /// The value of an argument, if it was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of an argument that the prompt needs.
    pub(super) fn needed(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// One line of text.
pub(super) fn line(value: &str) -> Result<(), String> {
    value.parse::<LineText>().map(|_| ())
}

/// Text of any number of lines.
pub(super) fn lines(value: &str) -> Result<(), String> {
    value.parse::<LongText>().map(|_| ())
}

/// A batch's id.
pub(super) fn id(value: &str) -> Result<(), String> {
    value.parse::<TaskId>().map(|_| ())
}

/// A number of workers.
pub(super) fn workers(value: &str) -> Result<(), String> {
    match value.parse::<u8>() {
        Ok(1..=8) => Ok(()),
        _ => Err(format!("'{}' is no number of workers; allowed: 1 to 8", excerpt(value))),
    }
}

/// A value as JSON writes it: in quotation marks, as an argument of a tool.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Holds what was given to what the prompt takes; what is empty or null was not given.
pub(super) fn read(prompt: &Prompt, arguments: &Map<String, Value>) -> Result<Given> {
    let takes = || {
        let names: Vec<String> = prompt
            .arguments
            .iter()
            .map(|argument| {
                let need = if argument.required { "required" } else { "optional" };
                format!("{} ({need}: {})", argument.name, argument.about)
            })
            .collect();
        format!("{} takes {}", prompt.name, names.join(", "))
    };
    let mut given = BTreeMap::new();
    for (name, value) in arguments {
        let Some(argument) = prompt.arguments.iter().find(|argument| argument.name == name) else {
            return Err(Error::invalid(format!(
                "{} has no argument '{}'; {}",
                prompt.name,
                excerpt(name),
                takes()
            )));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.trim().is_empty() => continue,
            Value::String(text) => text,
            other => {
                let other = excerpt(&other.to_string());
                return Err(Error::invalid(format!(
                    "{}: a prompt's argument is a string, not {other}",
                    argument.name
                )));
            }
        };
        (argument.check)(text)
            .map_err(|reason| Error::invalid(format!("{}: {reason}; {}", argument.name, takes())))?;
        given.insert(argument.name, text.trim().to_owned());
    }
    match prompt.arguments.iter().find(|argument| argument.required && !given.contains_key(argument.name)) {
        Some(missing) => {
            Err(Error::invalid(format!("{} needs the argument '{}'; {}", prompt.name, missing.name, takes())))
        }
        None => Ok(Given(given)),
    }
}
