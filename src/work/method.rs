//! How workers are started: by a command that a person gave, or by a profile of the operator's.

use std::time::Duration;

use super::command::RETRY;
use super::keeper::Trade;

/// How long a worker that was asked to end may take for it.
const GRACE: Duration = Duration::from_secs(5);
/// How much is kept of each output of a chunk's attempt, in bytes.
const OUTPUT_LIMIT: u64 = 1024 * 1024;

/// How workers are started, and what their ends mean.
pub(super) struct Method {
    /// What a keeper is told.
    pub(super) trade: Trade,
    /// The exit codes that ask for another try.
    pub(super) retry: Vec<i32>,
}

impl Method {
    /// A command that is run once an item, with the environment of whoever gave it.
    pub(super) fn of_command(command: &[String]) -> Self {
        Method {
            trade: Trade {
                command: command.to_vec(),
                environment: None,
                timeout: None,
                grace: GRACE,
                memory: None,
                output_limit: OUTPUT_LIMIT,
            },
            retry: vec![RETRY],
        }
    }
}
