//! Which tasks a list returns, and in which order.

use crate::model::status::{Status, TaskType};
use crate::model::task::RowId;

/// Conditions of a task list. A field that is not set matches every task.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Tasks of this project.
    pub project: Option<String>,
    /// Tasks with this status.
    pub status: Option<Status>,
    /// Tasks of this type.
    pub task_type: Option<TaskType>,
    /// Tasks of exactly this priority.
    pub priority: Option<i64>,
    /// Tasks of this priority or a more urgent one (a smaller number).
    pub priority_max: Option<i64>,
    /// Tasks assigned to this worker.
    pub assignee: Option<String>,
    /// Children of this task. A batch's children are its chunks.
    pub parent: Option<RowId>,
    /// Only tasks that can be claimed now.
    pub ready: bool,
    /// Leaves out chunks that share a resource with a chunk in progress.
    pub without_conflicts: bool,
    /// Only tasks that have not ended.
    pub unfinished: bool,
    /// Leaves out tasks with a child that has not ended and does not depend on its parent.
    pub without_unfinished_children: bool,
    /// Only tasks with all of these tags.
    pub tags: Vec<String>,
}

impl TaskFilter {
    /// The children of a task.
    pub fn children_of(parent: RowId) -> TaskFilter {
        TaskFilter { parent: Some(parent), ..TaskFilter::default() }
    }

    /// Only those with this status.
    pub fn with_status(self, status: Status) -> TaskFilter {
        TaskFilter { status: Some(status), ..self }
    }

    /// The queue states that match. An active task is `ready` if it can be claimed and `not_ready` if a dependency
    /// or a hold blocks it. The queue state of any other task is its status.
    pub(super) fn queue_states(&self) -> Vec<&'static str> {
        const ACTIVE: [&str; 2] = ["ready", "not_ready"];
        let wanted =
            |status: &&Status| **status != Status::Active && !(self.unfinished && status.is_terminal());
        match (self.ready, self.status) {
            (_, Some(status)) if self.unfinished && status.is_terminal() => Vec::new(),
            (true, None | Some(Status::Active)) => vec![ACTIVE[0]],
            (true, Some(_)) => Vec::new(),
            (false, Some(Status::Active)) => ACTIVE.to_vec(),
            (false, Some(status)) => vec![status.as_str()],
            (false, None) => {
                let others = Status::ALL.iter().filter(wanted);
                others.map(|status| status.as_str()).chain(ACTIVE).collect()
            }
        }
    }

    /// Whether the stored task counts (by project, queue state, type and priority) answer a count of this filter.
    pub(super) fn is_counted(&self) -> bool {
        self.assignee.is_none()
            && self.parent.is_none()
            && self.tags.is_empty()
            && !self.without_unfinished_children
    }
}

/// The last task of a page: priority, order, row. The next page starts after it.
pub type ListPosition = (i64, i64, RowId);

/// How many tasks match a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskTotal {
    /// The number of tasks.
    pub count: u64,
    /// Whether there may be more: the store stopped counting.
    pub at_least: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_task_is_in_one_of_two_queue_states() {
        fn check(ready: bool, status: Option<Status>, expected: &[&str]) {
            assert_eq!(TaskFilter { ready, status, ..TaskFilter::default() }.queue_states(), expected);
        }
        check(true, None, &["ready"]);
        check(true, Some(Status::Active), &["ready"]);
        check(true, Some(Status::Done), &[]);
        check(false, Some(Status::Active), &["ready", "not_ready"]);
        check(false, Some(Status::Done), &["done"]);
        let all = TaskFilter::default().queue_states();
        assert_eq!(all.len(), Status::ALL.len() + 1);
        assert!(!all.contains(&"active"));
        let unfinished = TaskFilter { unfinished: true, ..TaskFilter::default() }.queue_states();
        assert!(unfinished.contains(&"not_ready") && unfinished.contains(&"blocked"), "{unfinished:?}");
        assert!(!unfinished.contains(&"done") && !unfinished.contains(&"rejected"), "{unfinished:?}");
    }
}
