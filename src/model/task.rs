//! A task as the rules see it.

use super::claim::Claim;
use super::id::TaskId;
use super::status::{Complexity, Status, TaskType};
use super::timestamp::Timestamp;

/// The row number the store gives a task: the order of creation.
pub type RowId = i64;

/// A unit of work, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The store's number for it.
    pub row: RowId,
    /// Its id.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// What sort of thing it is.
    pub task_type: TaskType,
    /// Where it stands.
    pub status: Status,
    /// 0 (critical) to 4.
    pub priority: i64,
    /// Where it stands among its siblings.
    pub order: i64,
    /// The project it belongs to.
    pub project: Option<String>,
    /// The task it is part of.
    pub parent: Option<TaskId>,
    /// The parent's row.
    pub parent_row: Option<RowId>,
    /// Who works or worked on it.
    pub assignee: Option<String>,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How much work it is thought to be.
    pub effort: Option<String>,
    /// Where or with what it is done.
    pub context: Option<String>,
    /// How much judgment it takes.
    pub complexity: Option<Complexity>,
    /// When it was made.
    pub created: Timestamp,
    /// When anything of it last changed.
    pub updated: Timestamp,
    /// The number of that change in the store's one sequence.
    pub change_number: u64,
    /// How many receipts it has.
    pub receipt_count: u64,
    /// Whether it depends on other tasks, hard or soft.
    pub has_dependencies: bool,
    /// What keeps it from being claimed beside its dependencies: a pause, a rest after a failed attempt.
    pub hold_count: i64,
    /// When one of these ends by itself.
    pub backoff_until: Option<Timestamp>,
    /// How many of its dependencies are not done, and its holds.
    pub blocker_count: i64,
    /// Whether its body ever held `- [ ]`.
    pub has_checkbox: bool,
    /// Whether it is a chunk of a batch.
    pub is_chunk: bool,
    /// Whether it is a batch.
    pub is_batch: bool,
    /// Grows with every claim; a write made under an older one is refused.
    pub generation: u64,
    /// Its latest claim, live or not.
    pub claim: Option<Claim>,
}

impl Task {
    /// A task with a new id and nothing set but its title.
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

    /// The row of the batch that it is, or is a chunk of.
    pub fn batch_row(&self) -> Option<RowId> {
        if self.is_batch { Some(self.row) } else { self.parent_row.filter(|_| self.is_chunk) }
    }

    /// The claim that holds now, if any.
    pub fn live_claim(&self, now: Timestamp) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| self.status == Status::InProgress && claim.is_live(now))
    }
}
