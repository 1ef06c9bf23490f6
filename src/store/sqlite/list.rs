//! Lists of tasks: what matches a filter, lane by lane.

use rusqlite::{named_params, params};

use super::rows::{self, task_columns};
use super::tx::Tx;
use crate::error::Result;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::store::{ListPosition, TaskFilter, TaskTotal};

/// How many rows are counted where no tally tells; beyond it a total is "at least".
const COUNTED: u64 = 1_000;

/// The condition that every list shares, after the index has led to a lane.
macro_rules! matching {
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
         AND (:tags IS NULL OR NOT EXISTS (
              SELECT 1 FROM json_each(:tags) wanted
               WHERE wanted.value NOT IN (SELECT value FROM json_each(t.tags))))"
    };
}

/// One lane of a list, led by an index; `$by` is the index's first condition.
macro_rules! lane_sql {
    ($by:literal) => {
        concat!(
            "SELECT ",
            task_columns!(),
            " FROM task t WHERE ",
            $by,
            " t.queue_state = :queue_state
             AND (t.priority, t.position, t.row_id) > (:after_priority, :after_position, :after_row_id) ",
            matching!(),
            " ORDER BY t.priority, t.position, t.row_id LIMIT :limit"
        )
    };
}

impl TaskFilter {
    /// The lanes to look into: a status that is `active` has two, those that are ready come first.
    fn lanes(&self) -> Vec<&'static str> {
        if self.ready {
            return if self.status.is_none_or(|status| status == Status::Active) {
                vec!["ready"]
            } else {
                vec![]
            };
        }
        match self.status {
            Some(Status::Active) => vec!["ready", "not_ready"],
            Some(status) => vec![status.as_str()],
            None => Status::ALL
                .iter()
                .filter(|status| **status != Status::Active)
                .map(|status| status.as_str())
                .chain(["ready", "not_ready"])
                .collect(),
        }
    }

    /// Whether the tally's columns are all that is asked for.
    fn is_tallied(&self) -> bool {
        self.assignee.is_none() && self.parent.is_none() && self.tags.is_empty()
    }
}

impl Tx<'_> {
    fn lane(&self, filter: &TaskFilter, lane: &str, after: ListPosition, limit: usize) -> Result<Vec<Task>> {
        let sql = if filter.parent.is_some() {
            lane_sql!("t.parent = :parent AND")
        } else if filter.assignee.is_some() {
            lane_sql!("t.assignee = :assignee AND")
        } else if filter.project.is_some() {
            lane_sql!("t.project = :project AND")
        } else {
            lane_sql!("")
        };
        self.all(
            sql,
            named_params! {
                ":queue_state": lane,
                ":after_priority": after.0, ":after_position": after.1, ":after_row_id": after.2,
                ":type": filter.kind.map(|kind| kind.as_str()),
                ":priority": filter.priority, ":priority_max": filter.priority_max,
                ":project": filter.project, ":assignee": filter.assignee, ":parent": filter.parent,
                ":free": filter.without_conflicts, ":tags": rows::some_list(&filter.tags),
                ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            rows::task,
        )
    }

    /// A page of a list.
    pub(super) fn listed(
        &self,
        filter: &TaskFilter,
        after: Option<ListPosition>,
        limit: usize,
    ) -> Result<Vec<Task>> {
        let after = after.unwrap_or((i64::MIN, i64::MIN, i64::MIN));
        let mut found = Vec::new();
        for lane in filter.lanes() {
            found.extend(self.lane(filter, lane, after, limit)?);
        }
        found.sort_by_key(|task| (task.priority, task.order, task.row));
        found.truncate(limit);
        Ok(found)
    }

    /// How many there are.
    pub(super) fn counted(&self, filter: &TaskFilter) -> Result<TaskTotal> {
        if filter.is_tallied() && !(filter.without_conflicts && self.anything_held()?) {
            let mut count = 0;
            for lane in filter.lanes() {
                count += self
                    .first(
                        "SELECT ifnull(sum(count), 0) FROM task_count
                          WHERE (?1 IS NULL OR project = ?1) AND queue_state = ?2 AND (?3 IS NULL OR type = ?3)
                            AND (?4 IS NULL OR priority = ?4) AND (?5 IS NULL OR priority <= ?5)",
                        params![
                            filter.project,
                            lane,
                            filter.kind.map(|kind| kind.as_str()),
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
        for lane in filter.lanes() {
            count += self.lane(filter, lane, (i64::MIN, i64::MIN, i64::MIN), limit)?.len() as u64;
            if count >= COUNTED {
                return Ok(TaskTotal { count: COUNTED, at_least: true });
            }
        }
        Ok(TaskTotal { count, at_least: false })
    }

    /// What changed after a change, earliest first.
    pub(super) fn changed(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>> {
        let lanes = serde_json::Value::from(filter.lanes()).to_string();
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_change
                  WHERE t.change_number > :since AND t.queue_state IN (SELECT value FROM json_each(:queue_states)) ",
                matching!(),
                " ORDER BY t.change_number LIMIT :limit"
            ),
            named_params! {
                ":since": since, ":queue_states": lanes,
                ":type": filter.kind.map(|kind| kind.as_str()),
                ":priority": filter.priority, ":priority_max": filter.priority_max,
                ":project": filter.project, ":assignee": filter.assignee, ":parent": filter.parent,
                // What another chunk gives free has not changed itself: it is told here all along.
                ":free": false, ":tags": rows::some_list(&filter.tags),
                ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            },
            rows::task,
        )
    }
}
