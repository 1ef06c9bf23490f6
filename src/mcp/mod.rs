//! The MCP server on standard input and output: the operations as tools, prompts, and resources.

mod client_features;
mod completion;
mod elicitation;
mod in_flight;
mod lone_calls;
mod operation_call;
mod progress;
mod prompts;
mod resources;
mod server;
mod subscriptions;
mod tool_calls;
mod tools;
mod transport;
mod wait_tasks;

pub use server::serve;
pub use tools::{Toolset, definitions, refusal};
