//! Lists and counts of tasks, by queue state: each query then follows one index. Lists of batches.

use std::sync::LazyLock;

use rusqlite::{named_params, params};

use super::rows::{self, task_columns};
use super::tx::Tx;
use crate::error::Result;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::stored_texts::some_list;
use crate::store::{ListPosition, TaskFilter, TaskTotal};

/// How many rows are counted if the stored counts do not cover a filter. Beyond it, a total is "at least".
const COUNTED: u64 = 1_000;

/// The conditions of a filter that all queries share.
macro_rules! filter_conditions {
    () => {
        "AND (:type IS NULL OR t.type = :type)
         AND (:priority IS NULL OR t.priority = :priority)
         AND (:priority_max IS NULL OR t.priority <= :priority_max)
         AND (:project IS NULL OR t.project = :project)
         AND (:assignee IS NULL OR t.assignee = :assignee)
         AND (:parent IS NULL OR t.parent = :parent)
         AND (:free = 0 OR t.role <> 'chunk' OR NOT EXISTS (
              SELECT 1 FROM shared_resource mine CROSS JOIN resource_in_use theirs
                    ON theirs.project = mine.project AND theirs.resource_key = mine.resource_key
               WHERE mine.chunk = t.row_id AND theirs.chunk <> t.row_id AND (mine.descendants_only = 0 OR theirs.descendants_only = 0)))
         AND (:childless = 0 OR t.role <> 'task' OR NOT EXISTS (
              SELECT 1 FROM task child
               WHERE child.parent = t.row_id AND child.queue_state IN (SELECT value FROM json_each(:unfinished))
                 AND NOT EXISTS (SELECT 1 FROM dependency d WHERE d.task = child.row_id AND d.depends_on = t.row_id)))
         AND (:tags IS NULL OR NOT EXISTS (
              SELECT 1 FROM json_each(:tags) wanted
               WHERE wanted.value NOT IN (SELECT value FROM json_each(t.tags))))"
    };
}

/// The queue states of tasks that have not ended, as a JSON list.
static UNFINISHED: LazyLock<String> = LazyLock::new(|| {
    let filter = TaskFilter { unfinished: true, ..TaskFilter::default() };
    serde_json::Value::from(filter.queue_states()).to_string()
});

/// The earliest future time in a column of the tasks that match a filter. `$index` contains only tasks with such a
/// time.
macro_rules! earliest_sql {
    ($column:literal, $index:literal, $which:literal) => {
        concat!(
            "SELECT min(t.",
            $column,
            ") FROM task t INDEXED BY ",
            $index,
            " WHERE ",
            $which,
            " AND t.",
            $column,
            " > :now ",
            filter_conditions!()
        )
    };
}

/// The query for one queue state. `$by` is the condition on the first column of the index to use.
macro_rules! queue_state_sql {
    ($by:literal) => {
        concat!(
            "SELECT ",
            task_columns!(),
            " FROM task t WHERE ",
            $by,
            " t.queue_state = :queue_state
             AND (t.priority, t.position, t.row_id) > (:after_priority, :after_position, :after_row_id) ",
            filter_conditions!(),
            " ORDER BY t.priority, t.position, t.row_id LIMIT :limit"
        )
    };
}

impl Tx<'_> {
    fn list_queue_state(
        &self,
        filter: &TaskFilter,
        queue_state: &str,
        after: ListPosition,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let sql = if filter.parent.is_some() {
            queue_state_sql!("t.parent = :parent AND")
        } else if filter.assignee.is_some() {
            queue_state_sql!("t.assignee = :assignee AND")
        } else if filter.project.is_some() {
            queue_state_sql!("t.project = :project AND")
        } else {
            queue_state_sql!("")
        };
        self.all(
            sql,
            named_params! {
                ":queue_state": queue_state,
                ":after_priority": after.0, ":after_position": after.1, ":after_row_id": after.2,
                ":type": filter.task_type.map(|kind| kind.as_str()),
                ":priority": filter.priority, ":priority_max": filter.priority_max,
                ":project": filter.project, ":assignee": filter.assignee, ":parent": filter.parent,
                ":free": filter.without_conflicts, ":childless": filter.without_unfinished_children,
                ":unfinished": UNFINISHED.as_str(), ":tags": some_list(&filter.tags),
                ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            |row| rows::task(row),
        )
    }

    /// See [`crate::store::StoreRead::list`].
    pub(super) fn list_tasks(
        &self,
        filter: &TaskFilter,
        after: Option<ListPosition>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let after = after.unwrap_or((i64::MIN, i64::MIN, i64::MIN));
        let mut found = Vec::new();
        for queue_state in filter.queue_states() {
            found.extend(self.list_queue_state(filter, queue_state, after, limit)?);
        }
        found.sort_by_key(|task| (task.priority, task.order, task.row));
        found.truncate(limit);
        Ok(found)
    }

    /// See [`crate::store::StoreRead::next_free`].
    pub(super) fn next_free_time(&self, filter: &TaskFilter) -> Result<Option<Timestamp>> {
        let earliest = |sql: &str| -> Result<Option<i64>> {
            let found = self.first(
                sql,
                named_params! {
                    ":now": self.now.millis(),
                    ":type": filter.task_type.map(|kind| kind.as_str()),
                    ":priority": filter.priority, ":priority_max": filter.priority_max,
                    ":project": filter.project, ":assignee": filter.assignee, ":parent": filter.parent,
                    ":free": false, ":childless": false, ":unfinished": "[]",
                    ":tags": some_list(&filter.tags),
                },
                |row| row.get::<_, Option<i64>>(0),
            )?;
            Ok(found.flatten())
        };
        let lease = earliest(earliest_sql!("expires_at", "task_by_lease", "t.status = 'in_progress'"))?;
        let hold = earliest(earliest_sql!("held_until", "task_by_hold", "t.held_until IS NOT NULL"))?;
        Ok(lease.into_iter().chain(hold).min().map(Timestamp::from_millis))
    }

    /// See [`crate::store::StoreRead::count_tasks`].
    pub(super) fn count_matching(&self, filter: &TaskFilter) -> Result<TaskTotal> {
        if filter.is_counted() && !(filter.without_conflicts && self.is_any_resource_in_use()?) {
            let mut count = 0;
            for queue_state in filter.queue_states() {
                count += self
                    .first(
                        "SELECT ifnull(sum(count), 0) FROM task_count
                          WHERE (?1 IS NULL OR project = ?1) AND queue_state = ?2 AND (?3 IS NULL OR type = ?3)
                            AND (?4 IS NULL OR priority = ?4) AND (?5 IS NULL OR priority <= ?5)",
                        params![
                            filter.project,
                            queue_state,
                            filter.task_type.map(|kind| kind.as_str()),
                            filter.priority,
                            filter.priority_max
                        ],
                        |row| row.get::<_, u64>(0),
                    )?
                    .unwrap_or(0);
            }
            return Ok(TaskTotal { count, at_least: false });
        }
        let limit = usize::try_from(COUNTED).unwrap_or(usize::MAX);
        let mut count = 0;
        for queue_state in filter.queue_states() {
            count += self.list_queue_state(filter, queue_state, (i64::MIN, i64::MIN, i64::MIN), limit)?.len()
                as u64;
            if count >= COUNTED {
                return Ok(TaskTotal { count: COUNTED, at_least: true });
            }
        }
        Ok(TaskTotal { count, at_least: false })
    }

    /// See [`crate::store::StoreRead::tasks_changed_since`].
    pub(super) fn list_changed(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>> {
        let queue_states = serde_json::Value::from(filter.queue_states()).to_string();
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_change
                  WHERE t.change_number > :since AND t.queue_state IN (SELECT value FROM json_each(:queue_states)) ",
                filter_conditions!(),
                " ORDER BY t.change_number LIMIT :limit"
            ),
            named_params! {
                ":since": since, ":queue_states": queue_states,
                ":type": filter.task_type.map(|kind| kind.as_str()),
                ":priority": filter.priority, ":priority_max": filter.priority_max,
                ":project": filter.project, ":assignee": filter.assignee, ":parent": filter.parent,
                // A chunk that becomes free because another one ended has not changed itself, so it is always included.
                ":free": false, ":childless": false, ":unfinished": "[]", ":tags": some_list(&filter.tags),
                ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            |row| rows::task(row),
        )
    }

    /// See [`crate::store::StoreRead::batches`].
    pub(super) fn list_batches(
        &self,
        project: Option<&str>,
        after: Option<RowId>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.row_id = b.task
                  WHERE (?1 IS NULL OR t.project = ?1) AND (?2 IS NULL OR b.task < ?2) ORDER BY b.task DESC LIMIT ?3"
            ),
            params![project, after, limit],
            |row| rows::task(row),
        )
    }

    /// See [`crate::store::StoreRead::failed_batches`].
    pub(super) fn list_failed_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.row_id = b.task
                  WHERE b.chunks_ended >= b.chunks_total AND t.status <> 'cancelled' AND (?1 IS NULL OR t.project = ?1)
                    AND b.items_failed + b.chunks_unsuccessful > b.accepted_failures
                    AND b.items_failed + (SELECT count(*) FROM task c WHERE c.parent = b.task AND c.queue_state = 'failed')
                        > b.accepted_failures
                  ORDER BY t.row_id DESC LIMIT ?2"
            ),
            params![project, limit],
            |row| rows::task(row),
        )
    }
}
