//! The task.

use super::claim::Claim;
use super::id::TaskId;
use super::status::{Complexity, Status, TaskType};
use super::timestamp::Timestamp;

/// A task's row number in the store; numbers ascend in the order of creation.
pub type RowId = i64;

/// A unit of work, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its row in the store.
    pub row: RowId,
    /// Its id.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// Its type.
    pub task_type: TaskType,
    /// Its status.
    pub status: Status,
    /// 0 (critical) to 4.
    pub priority: i64,
    /// Its position among its siblings.
    pub order: i64,
    /// The project it belongs to.
    pub project: Option<String>,
    /// The task it is part of.
    pub parent: Option<TaskId>,
    /// The parent's row.
    pub parent_row: Option<RowId>,
    /// The last worker or person that it was assigned to.
    pub assignee: Option<String>,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The estimated effort, as the caller wrote it.
    pub effort: Option<String>,
    /// The context of the work (place, tool), as the caller wrote it.
    pub context: Option<String>,
    /// How much judgment it requires.
    pub complexity: Option<Complexity>,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// The number of that change; changes of all tasks share one sequence.
    pub change_number: u64,
    /// The number of its receipts.
    pub receipt_count: u64,
    /// Whether it has dependencies, hard or soft.
    pub has_dependencies: bool,
    /// The number of holds: reasons other than a dependency why it cannot be claimed (a paused batch, a backoff).
    pub hold_count: i64,
    /// When the backoff after a failed attempt ends.
    pub backoff_until: Option<Timestamp>,
    /// The number of unfinished hard dependencies, plus the holds.
    pub blocker_count: i64,
    /// Whether its initial text, or a receipt of an earlier version, contains `- [ ]`.
    pub has_checkbox: bool,
    /// Whether it is a chunk of a batch.
    pub is_chunk: bool,
    /// Whether it is a batch.
    pub is_batch: bool,
    /// Increases with each claim; a write under an older generation is refused.
    pub generation: u64,
    /// Its latest claim, live or not.
    pub claim: Option<Claim>,
}

impl Task {
    /// A task with a new id and this title; everything else has its default.
    pub fn new(now: Timestamp, title: &str) -> Self {
        Task {
            row: 0,
            id: TaskId::random(),
            title: title.to_owned(),
            task_type: TaskType::Task,
            status: Status::Active,
            priority: 2,
            order: 0,
            project: None,
            parent: None,
            parent_row: None,
            assignee: None,
            due: None,
            tags: Vec::new(),
            effort: None,
            context: None,
            complexity: None,
            created: now,
            updated: now,
            change_number: 0,
            receipt_count: 0,
            has_dependencies: false,
            hold_count: 0,
            backoff_until: None,
            blocker_count: 0,
            has_checkbox: false,
            is_chunk: false,
            is_batch: false,
            generation: 0,
            claim: None,
        }
    }

    /// The row of its batch: itself if it is a batch, its parent if it is a chunk.
    pub fn batch_row(&self) -> Option<RowId> {
        if self.is_batch { Some(self.row) } else { self.parent_row.filter(|_| self.is_chunk) }
    }

    /// The claim whose lease has not expired, if any.
    pub fn live_claim(&self, now: Timestamp) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| self.status == Status::InProgress && claim.is_live(now))
    }
}
