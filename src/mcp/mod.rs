//! The protocol: tools made from the operations, prompts and resources beside them, on standard
//! input and output.

mod calls;
mod completion;
mod eras;
mod handles;
mod in_flight;
mod lone_calls;
mod person;
mod progress;
mod prompts;
mod resources;
mod server;
mod subscriptions;
mod tools;
mod transport;

pub use server::serve;
pub use tools::{Toolset, definitions, refusal};
