//! The prompts for agents. An MCP client can offer them, `tasktally prompt` prints them, and replies contain them.
//!
//! The folder holds texts and arguments only. The MCP server, the command line and the manifest use the list [`ALL`].

mod arguments;
mod needs;
mod supervise_batch;
mod work_chunk;

pub use arguments::{Argument, ArgumentValues, Suggestions};
pub use needs::WorkerNeeds;
pub use work_chunk::{brief_work_chunk, work_chunk};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;

/// The name of Tasktally's server in a client's configuration. Clients derive a prefix of the tools' names from it, each
/// in its own way, so prompts name tools without one.
pub const SERVER_KEY: &str = "task_manager";

/// What is known about the batch and the client that a prompt is for.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What workers of the batch need, for a prompt about a batch.
    pub worker: WorkerNeeds,
    /// Whether the client runs a tool call as a task in the background, and wakes the model with its result.
    pub has_tasks: bool,
}

impl Facts {
    /// Nothing is known.
    pub const NONE: Facts = Facts { worker: WorkerNeeds::UNKNOWN, has_tasks: false };
}

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
    text: fn(&ArgumentValues, &Facts) -> String,
}

/// Every prompt.
pub static ALL: &[Prompt] = &[supervise_batch::PROMPT, work_chunk::PROMPT];

impl Prompt {
    /// The prompt's text with these arguments, as the facts require.
    ///
    /// # Errors
    /// `invalid_argument`, with the argument and what the prompt allows.
    pub fn render(&self, arguments: &Map<String, Value>, facts: &Facts) -> Result<String> {
        arguments::check_arguments(self, arguments).map(|values| (self.text)(&values, facts))
    }

    /// The batch that the arguments name, if the prompt is about a batch.
    pub fn batch(&self, arguments: &Map<String, Value>) -> Option<TaskId> {
        let argument = self.arguments.iter().find(|argument| argument.suggestions == Suggestions::Batches)?;
        arguments.get(argument.name)?.as_str()?.trim().parse().ok()
    }

    /// The text with `${arguments.NAME}` in place of each required argument.
    pub fn template(&self) -> String {
        let required = self.arguments.iter().filter(|argument| argument.required);
        let values = required.map(|argument| (argument.name, format!("${{arguments.{}}}", argument.name)));
        (self.text)(&ArgumentValues::of(values), &Facts::NONE)
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
