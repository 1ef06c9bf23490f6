//! The protocol: tools made from the operations, prompts and resources beside them, on standard
//! input and output.

mod completion;
mod prompts;
mod resources;
mod server;
mod tools;
mod transport;

pub use server::serve;
pub use tools::{Toolset, definitions, refusal};
