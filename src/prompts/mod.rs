//! The prompts for agents. An MCP client can offer them, `tasktally prompt` prints them, and replies contain them.
//!
//! The folder holds texts and arguments only. The MCP server, the command line and the manifest use the list [`ALL`].

mod arguments;
mod supervise_batch;
mod work_chunk;

pub use arguments::{Argument, ArgumentValues, Suggestions};
pub use work_chunk::work_chunk;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;

/// The name of Tasktally's server in a client's configuration: agents call `mcp__task_manager__…`.
pub const SERVER_KEY: &str = "task_manager";

/// A prompt with arguments.
pub struct Prompt {
    /// The name.
    pub name: &'static str,
    /// The title, a few words for a person.
    pub title: &'static str,
    /// What the prompt is for.
    pub about: &'static str,
    /// The arguments, in order.
    pub arguments: &'static [Argument],
    /// Whether the worker toolset offers the prompt.
    pub for_workers: bool,
    text: fn(&ArgumentValues) -> String,
}

/// Every prompt.
pub static ALL: &[Prompt] = &[supervise_batch::PROMPT, work_chunk::PROMPT];

impl Prompt {
    /// The prompt's text with these arguments.
    ///
    /// # Errors
    /// `invalid_argument`, with the argument and what the prompt allows.
    pub fn render(&self, arguments: &Map<String, Value>) -> Result<String> {
        arguments::check_arguments(self, arguments).map(|values| (self.text)(&values))
    }

    /// The batch that the arguments name, if the prompt is about a batch.
    pub fn batch(&self, arguments: &Map<String, Value>) -> Option<TaskId> {
        let argument = self.arguments.iter().find(|argument| argument.suggestions == Suggestions::Batches)?;
        arguments.get(argument.name)?.as_str()?.trim().parse().ok()
    }

    /// The text with `${arguments.NAME}` in place of each required argument.
    pub fn template(&self) -> String {
        let required = self.arguments.iter().filter(|argument| argument.required);
        (self.text)(&ArgumentValues::of(
            required.map(|argument| (argument.name, format!("${{arguments.{}}}", argument.name))),
        ))
    }
}

/// Finds a prompt by name among the offered ones.
///
/// # Errors
/// `not_found`, with the names of the offered prompts.
pub fn find_prompt<'a>(offered: impl Iterator<Item = &'a Prompt> + Clone, name: &str) -> Result<&'a Prompt> {
    offered.clone().find(|prompt| prompt.name == name).ok_or_else(|| {
        let names: Vec<&str> = offered.map(|prompt| prompt.name).collect();
        Error::not_found(format!("Unknown prompt '{}'; the prompts are {}", excerpt(name), names.join(", ")))
    })
}
