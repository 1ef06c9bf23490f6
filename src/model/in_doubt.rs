//! Items in doubt: a worker reported `started` and never reported an outcome, so the action may have happened.

use super::task::Task;
use super::timestamp::Timestamp;

word_enum!(
    /// What happens to an item in doubt.
    InDoubtPolicy, "in_doubt" {
        /// The next worker gets the item, marked as in doubt.
        Retry = "retry",
        /// The server skips the item and records this in a receipt.
        Skip = "skip",
        /// The chunk waits for a person.
        Ask = "ask",
    }
);

/// A `started` report on an item that has no outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedReport {
    /// The number of the receipt with the report.
    pub receipt: u64,
    /// The generation of the claim under which the item was started.
    pub generation: u64,
}

impl StartedReport {
    /// Whether the claim under which the item was started is no longer the live claim of the chunk's `task`.
    pub fn is_in_doubt(self, task: &Task, now: Timestamp) -> bool {
        task.live_claim(now).is_none() || self.generation != task.generation
    }
}
