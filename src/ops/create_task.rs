//! `create_task`: a new task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::idempotency::{RequestKey, once};
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::{MOST_IDS, Order, Priority};
use crate::model::status::{Complexity, Kind, Status};
use crate::model::task::{Row, Task};
use crate::model::text::{Line, Long};
use crate::model::timestamp::Timestamp;
use crate::store::{NewTask, Read};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    #[serde(alias = "title")]
    #[arg(long, alias = "title", help = "what is to be done")]
    task_title: Line,
    #[serde(rename = "type", default = "task")]
    #[arg(long = "type", default_value = "task")]
    kind: Kind,
    #[serde(default = "active")]
    #[arg(long, default_value = "active")]
    status: Status,
    #[arg(long)]
    project: Option<Line>,
    #[arg(long, help = "the id of the task it is part of")]
    parent: Option<TaskId>,
    #[serde(default)]
    #[arg(long, value_delimiter = ',', help = "ids that have to be done before")]
    depends_on: Vec<TaskId>,
    #[serde(default)]
    #[arg(long, value_delimiter = ',', help = "ids that are better done before")]
    soft_depends_on: Vec<TaskId>,
    #[serde(default = "first")]
    #[arg(long, default_value = "0", allow_negative_numbers = true)]
    order: Order,
    #[serde(default = "normal")]
    #[arg(long, default_value = "2")]
    priority: Priority,
    #[arg(long, help = "a date, or RFC 3339")]
    due: Option<Line>,
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    tags: Vec<Line>,
    #[serde(default)]
    #[arg(long, default_value = "", hide_default_value = true)]
    body: Long,
    #[arg(long)]
    assignee: Option<Line>,
    #[arg(long)]
    complexity: Option<Complexity>,
    /// Repeating it returns the first answer.
    #[schemars(description = "")]
    #[arg(long)]
    request_key: Option<Line>,
}

fn task() -> Kind {
    Kind::Task
}
fn active() -> Status {
    Status::Active
}
fn first() -> Order {
    Order::of(0)
}
fn normal() -> Priority {
    Priority::of(2)
}

impl Operation for CreateTask {
    const NAME: &'static str = "create_task";
    const TITLE: &'static str = "Create a task";
    const DESCRIPTION: &'static str = "Create a task. parent and depends_on must exist.";
    const EFFECT: Effect = Effect::Write;
    const FIRST: &'static str = "task-title";
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let key = RequestKey::of(self.request_key.as_ref().map(Line::as_str), &self)?;
        if self.task_title.non_empty().is_none() {
            return Err(Error::invalid("task_title: it is empty; say in a few words what is to be done"));
        }
        if self.status == Status::InProgress {
            return Err(Error::invalid("status: a new task cannot be in_progress; create it, then claim it"));
        }
        let due = self.due.as_ref().and_then(Line::non_empty).map(parse_due).transpose()?;
        session.write(move |tx| {
            once(tx, key.as_ref(), Self::NAME, |tx| {
                let parent = match &self.parent {
                    None => None,
                    Some(id) => Some(possible_parent(tx, id)?),
                };
                let hard = existing_all(tx, &self.depends_on, "depends_on")?;
                let soft = existing_all(tx, &self.soft_depends_on, "soft_depends_on")?;
                let mut task = Task::blank(tx.now(), self.task_title.as_str());
                task.kind = self.kind;
                task.status = self.status;
                task.priority = self.priority.get();
                task.order = self.order.get();
                task.project =
                    text(&self.project).or_else(|| parent.as_ref().and_then(|parent| parent.project.clone()));
                task.parent_row = parent.as_ref().map(|parent| parent.row);
                task.assignee = text(&self.assignee);
                task.due = due;
                task.tags = tags(&self.tags)?;
                task.complexity = self.complexity;
                let row = tx.insert_task(&NewTask { task: &task, opening: self.body.as_str() })?;
                tx.set_dependencies(row, &hard, false)?;
                tx.set_dependencies(row, &soft, true)?;
                if !hard.is_empty() {
                    tx.count_blockers(row)?;
                }
                let task = tx.task_at(row)?;
                Ok(TaskReply::new(format!("Created {}", task.id), Some(TaskView::compact(tx, &task)?)))
            })
        })
    }
}

/// The text of a field, or nothing where it is empty.
pub(super) fn text(line: &Option<Line>) -> Option<String> {
    line.as_ref().and_then(Line::non_empty).map(str::to_owned)
}

/// Tags as they are stored.
pub(super) fn tags(tags: &[Line]) -> Result<Vec<String>> {
    if tags.len() > 50 {
        return Err(Error::invalid(format!("tags: {} of them; at most 50", tags.len())));
    }
    Ok(tags.iter().filter_map(Line::non_empty).map(str::to_owned).collect())
}

/// When a task is due.
pub(super) fn parse_due(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text).map_err(|error| Error::invalid(format!("due: {}", error.message)))
}

/// A task that a request refers to.
pub(super) fn existing(tx: &dyn Read, id: &TaskId, field: &str) -> Result<Task> {
    tx.task(id).map_err(|error| Error::new(error.code, format!("{field}: {}", error.message)))
}

/// A task that others may be made part of.
pub(super) fn possible_parent(tx: &dyn Read, id: &TaskId) -> Result<Task> {
    let parent = existing(tx, id, "parent")?;
    if parent.is_batch || parent.is_chunk {
        return Err(Error::invalid(format!(
            "parent: {id} belongs to a batch, which holds its chunks and nothing else"
        )));
    }
    Ok(parent)
}

/// The rows of tasks that a request refers to.
pub(super) fn existing_all(tx: &dyn Read, ids: &[TaskId], field: &str) -> Result<Vec<Row>> {
    if ids.len() > MOST_IDS {
        return Err(Error::invalid(format!("{field}: {} ids; at most {MOST_IDS}", ids.len())));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        let row = existing(tx, id, field)?.row;
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Ok(rows)
}
