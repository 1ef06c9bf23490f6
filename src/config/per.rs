//! What one run of a worker command processes.

use serde::Serialize;

/// What one run of the command processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// One item: its JSON on standard input, the receipt from standard output.
    Item,
    /// One chunk: the worker prompt on standard input, the tools through `TASKTALLY_MCP_CONFIG`.
    Chunk,
}
