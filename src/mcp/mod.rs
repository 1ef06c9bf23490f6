//! The protocol: tools made from the operations, on standard input and output.

mod server;
mod tools;
mod transport;

pub use server::serve;
pub use tools::{Toolset, definitions, refusal};
