//! What agents are told: prompts that a client can offer, a command prints and replies carry.
//!
//! Text and arguments only, over `model`. The one list is [`ALL`]; MCP, the command line and the
//! manifest are made from it.

mod arguments;
mod supervise_batch;
mod work_chunk;

pub use arguments::{Argument, Completes, Given};
pub use work_chunk::work_chunk;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// The key of Tasktally's server in a client's configuration: agents call `mcp__task_manager__…`.
pub const SERVER_KEY: &str = "task_manager";

/// A prompt with arguments.
pub struct Prompt {
    /// Its name.
    pub name: &'static str,
    /// A few words for a person.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it takes, in order.
    pub arguments: &'static [Argument],
    /// Whether a background worker has a use for it.
    pub worker: bool,
    text: fn(&Given) -> String,
}

/// Every prompt.
pub static ALL: &[Prompt] = &[supervise_batch::PROMPT, work_chunk::PROMPT];

impl Prompt {
    /// The prompt's text for these arguments.
    ///
    /// # Errors
    /// `invalid_argument`, naming the argument and what the prompt takes.
    pub fn render(&self, arguments: &Map<String, Value>) -> Result<String> {
        arguments::read(self, arguments).map(|given| (self.text)(&given))
    }

    /// The text with `${arguments.NAME}` where an argument that it needs belongs.
    pub fn template(&self) -> String {
        let needed = self.arguments.iter().filter(|argument| argument.required);
        (self.text)(&Given::of(
            needed.map(|argument| (argument.name, format!("${{arguments.{}}}", argument.name))),
        ))
    }
}

/// The prompt of a name, among those offered.
///
/// # Errors
/// `not_found`, naming what there is.
pub fn named<'a>(offered: impl Iterator<Item = &'a Prompt> + Clone, name: &str) -> Result<&'a Prompt> {
    offered.clone().find(|prompt| prompt.name == name).ok_or_else(|| {
        let names: Vec<&str> = offered.map(|prompt| prompt.name).collect();
        Error::not_found(format!("Unknown prompt '{}'; there are {}", excerpt(name), names.join(", ")))
    })
}
