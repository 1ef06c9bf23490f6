//! Items that may have happened: begun by a worker that never said what became of them.

use super::batch::StoredItem;
use super::task::Task;
use super::timestamp::Timestamp;

word_enum!(
    /// What becomes of an item in doubt.
    InDoubtPolicy, "in_doubt" {
        /// The next worker gets it, and is told.
        Retry = "retry",
        /// It is skipped, with a receipt that says so.
        Skip = "skip",
        /// Its chunk waits for a person.
        Ask = "ask",
    }
);

/// That an item was begun, while nothing settles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedReport {
    /// The number of the receipt that says so.
    pub receipt: u64,
    /// The generation of the claim that it was begun under.
    pub generation: u64,
}

/// Whether an item of a chunk's `task` was begun, and not by who holds the chunk now.
pub fn is_in_doubt(item: &StoredItem, task: &Task, now: Timestamp) -> bool {
    item.started
        .is_some_and(|started| task.live_claim(now).is_none() || started.generation != task.generation)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::model::claim::Claim;
    use crate::model::status::Status;

    #[test]
    fn an_item_is_in_doubt_once_nobody_holds_the_claim_it_was_begun_under() {
        let now = Timestamp::from_millis(1_000_000);
        let mut task = Task::new(now, "chunk");
        task.status = Status::InProgress;
        task.generation = 2;
        task.claim = Some(Claim::new("w", None, now, 60));
        let begun = |generation: Option<u64>| StoredItem {
            chunk_row: 1,
            position: 1,
            key: "k".into(),
            fields: Map::new(),
            settled: None,
            step: 0,
            started: generation.map(|generation| StartedReport { receipt: 1, generation }),
        };
        assert!(!is_in_doubt(&begun(None), &task, now), "never begun");
        assert!(!is_in_doubt(&begun(Some(2)), &task, now), "in hand");
        assert!(is_in_doubt(&begun(Some(1)), &task, now), "begun by the holder before");
        assert!(is_in_doubt(&begun(Some(2)), &task, now.saturating_add_secs(61)), "the lease ran out");
        task.status = Status::Active;
        assert!(is_in_doubt(&begun(Some(2)), &task, now), "given back");
    }
}
