//! Lists and counts of tasks, by queue state: each part of a query then follows one index. Lists of batches.

use super::tx::{Tx, now};
use super::value::{ToValue, Value, values};
use crate::error::Result;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::rows::{self, StoredRow as _, task_columns};
use crate::store::{ListPosition, TaskFilter, TaskTotal};

/// How many rows are counted if the stored counts do not cover a filter. Beyond it, a total is "at least".
const COUNTED: u64 = 1_000;

/// The conditions of a query and their parameters.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a parameter and returns its name in SQL.
    fn parameter(&mut self, value: impl ToValue) -> String {
        self.values.push(value.to_value());
        format!("${}", self.values.len())
    }

    /// Adds a condition with a parameter for each `?`.
    fn add(&mut self, condition: &str, value: impl ToValue) {
        let parameter = self.parameter(value);
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace('?', &parameter));
    }

    /// What a filter asks for besides the queue state.
    fn of(filter: &TaskFilter) -> Self {
        let mut conditions = Conditions::default();
        if let Some(kind) = filter.task_type {
            conditions.add("t.type = ?", kind.as_str());
        }
        if let Some(priority) = filter.priority {
            conditions.add("t.priority = ?", priority);
        }
        if let Some(priority) = filter.priority_max {
            conditions.add("t.priority <= ?", priority);
        }
        if let Some(project) = &filter.project {
            conditions.add("t.project = ?", project);
        }
        if let Some(assignee) = &filter.assignee {
            conditions.add("t.assignee = ?", assignee);
        }
        if let Some(parent) = filter.parent {
            conditions.add("t.parent = ?", parent);
        }
        if !filter.tags.is_empty() {
            conditions.add("jsonb_exists_all(t.tags::jsonb, ?)", filter.tags.as_slice());
        }
        conditions
    }

    /// The same, and what depends on other tasks.
    fn with_others(filter: &TaskFilter) -> Self {
        let mut conditions = Conditions::of(filter);
        if filter.without_conflicts {
            conditions.sql.push_str(
                " AND (t.role <> 'chunk' OR NOT EXISTS (
                    SELECT 1 FROM shared_resource mine JOIN resource_in_use theirs
                           ON theirs.project = mine.project AND theirs.resource_key = mine.resource_key
                     WHERE mine.chunk = t.row_id AND theirs.chunk <> t.row_id
                       AND (mine.descendants_only = 0 OR theirs.descendants_only = 0)))",
            );
        }
        if filter.without_unfinished_children {
            let unfinished = TaskFilter { unfinished: true, ..TaskFilter::default() }.queue_states();
            conditions.add(
                "(t.role <> 'task' OR NOT EXISTS (
                    SELECT 1 FROM task child WHERE child.parent = t.row_id AND child.queue_state = ANY(?)
                       AND NOT EXISTS (
                           SELECT 1 FROM dependency d WHERE d.task = child.row_id AND d.depends_on = t.row_id)))",
                names(unfinished),
            );
        }
        conditions
    }
}

fn names(queue_states: Vec<&'static str>) -> Vec<String> {
    queue_states.into_iter().map(str::to_owned).collect()
}

/// A query for `columns` of the tasks of each wanted queue state, at most `limit` of each, after a position.
fn by_queue_state(
    columns: &str,
    filter: &TaskFilter,
    after: ListPosition,
    limit: usize,
) -> (String, Vec<Value>) {
    let mut conditions = Conditions::with_others(filter);
    conditions.add("(t.priority, t.position, t.row_id) > (?, ", after.0);
    let position = conditions.parameter(after.1);
    let row = conditions.parameter(after.2);
    let states = conditions.parameter(names(filter.queue_states()));
    let limit = conditions.parameter(limit);
    let Conditions { sql, values } = conditions;
    let sql = format!(
        "SELECT found.* FROM unnest({states}) state CROSS JOIN LATERAL (
             SELECT {columns} FROM task t WHERE t.queue_state = state{sql}{position}, {row})
              ORDER BY t.priority, t.position, t.row_id LIMIT {limit}) found"
    );
    (sql, values)
}

impl Tx<'_> {
    /// See [`crate::store::StoreRead::list`].
    pub(super) fn list_tasks(
        &self,
        filter: &TaskFilter,
        after: Option<ListPosition>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let after = after.unwrap_or((i64::MIN, i64::MIN, i64::MIN));
        let (sql, values) = by_queue_state(task_columns!(), filter, after, limit);
        let mut found = self.all(sql, values, |row| rows::task(row))?;
        found.sort_by_key(|task| (task.priority, task.order, task.row));
        found.truncate(limit);
        Ok(found)
    }

    /// See [`crate::store::StoreRead::next_free`].
    pub(super) fn next_free_time(&self, filter: &TaskFilter) -> Result<Option<Timestamp>> {
        let Conditions { sql, values } = Conditions::of(filter);
        let now = now!();
        let sql = format!(
            "SELECT least(
                (SELECT min(t.expires_at) FROM task t WHERE t.status = 'in_progress' AND t.expires_at > {now}{sql}),
                (SELECT min(t.held_until) FROM task t WHERE t.held_until IS NOT NULL AND t.held_until > {now}{sql}))"
        );
        let found = self.first(sql, values, |row| row.get::<Option<i64>>(0))?;
        Ok(found.flatten().map(Timestamp::from_millis))
    }

    /// See [`crate::store::StoreRead::count_tasks`].
    pub(super) fn count_matching(&self, filter: &TaskFilter) -> Result<TaskTotal> {
        if filter.is_counted() && !(filter.without_conflicts && self.is_any_resource_in_use()?) {
            let count = self.first(
                "SELECT coalesce(sum(count), 0)::bigint FROM task_count
                  WHERE ($1 IS NULL OR project = $1) AND queue_state = ANY($2) AND ($3 IS NULL OR type = $3)
                    AND ($4 IS NULL OR priority = $4) AND ($5 IS NULL OR priority <= $5)",
                values![
                    &filter.project,
                    names(filter.queue_states()),
                    filter.task_type.map(|kind| kind.as_str()),
                    filter.priority,
                    filter.priority_max
                ],
                |row| row.get::<u64>(0),
            )?;
            return Ok(TaskTotal { count: count.unwrap_or(0), at_least: false });
        }
        let limit = usize::try_from(COUNTED).unwrap_or(usize::MAX);
        let (sql, values) = by_queue_state("t.row_id", filter, (i64::MIN, i64::MIN, i64::MIN), limit);
        let count =
            self.first(format!("SELECT count(*) FROM ({sql}) counted"), values, |row| row.get::<u64>(0))?;
        let count = count.unwrap_or(0);
        Ok(TaskTotal { count: count.min(COUNTED), at_least: count >= COUNTED })
    }

    /// See [`crate::store::StoreRead::tasks_changed_since`].
    pub(super) fn list_changed(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>> {
        // A chunk that becomes free because another one ended has not changed itself, so conflicts are not a condition.
        let mut conditions = Conditions::of(filter);
        conditions.add("t.change_number > ?", since);
        conditions.add("t.queue_state = ANY(?)", names(filter.queue_states()));
        let limit = conditions.parameter(limit);
        let Conditions { sql, values } = conditions;
        let sql = format!(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t WHERE true{} ORDER BY t.change_number LIMIT {}"
            ),
            sql, limit
        );
        self.all(sql, values, |row| rows::task(row))
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
                  WHERE ($1 IS NULL OR t.project = $1) AND ($2 IS NULL OR b.task < $2) ORDER BY b.task DESC LIMIT $3"
            ),
            values![project, after, limit],
            |row| rows::task(row),
        )
    }

    /// See [`crate::store::StoreRead::failed_batches`].
    pub(super) fn list_failed_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.row_id = b.task
                  WHERE b.chunks_ended >= b.chunks_total AND t.status <> 'cancelled' AND ($1 IS NULL OR t.project = $1)
                    AND b.items_failed + b.chunks_unsuccessful > b.accepted_failures
                    AND b.items_failed + (SELECT count(*) FROM task c WHERE c.parent = b.task AND c.queue_state = 'failed')
                        > b.accepted_failures
                  ORDER BY t.row_id DESC LIMIT $2"
            ),
            values![project, limit],
            |row| rows::task(row),
        )
    }
}
