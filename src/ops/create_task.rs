//! `create_task`: creates a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::dependencies::refuse_cycle;
use super::request::fields::{non_empty, parse_due, parse_tags};
use super::request::idempotency::{RequestKey, run_once};
use super::request::lookup::{find_parent, find_rows};
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::{Order, Priority};
use crate::model::status::{Complexity, Status, TaskType};
use crate::model::task::Task;
use crate::model::text::{LineText, LongText};
use crate::model::timestamp::Timestamp;
use crate::store::{NewTask, StoreWrite};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// What to do, in a few words
    #[schemars(description = "Title")]
    #[serde(alias = "title")]
    #[arg(long, alias = "title")]
    task_title: LineText,
    /// Type
    #[schemars(description = "Default task")]
    #[serde(rename = "type", default = "task")]
    #[arg(long = "type", default_value = "task")]
    task_type: TaskType,
    /// Not in_progress
    #[schemars(description = "Default active")]
    #[serde(default = "active")]
    #[arg(long, default_value = "active")]
    status: Status,
    /// Project; default: the parent's
    #[schemars(description = "Default: parent's")]
    #[arg(long)]
    project: Option<LineText>,
    /// Parent task id
    #[schemars(description = "Task id")]
    #[arg(long)]
    parent: Option<TaskId>,
    /// Ids that must be done first
    #[schemars(description = "Ids; block it until done")]
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    depends_on: Vec<TaskId>,
    /// Ids that should be done first
    #[schemars(description = "Ids; do not block it")]
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    soft_depends_on: Vec<TaskId>,
    /// Smaller first
    #[serde(default = "first")]
    #[arg(
        long,
        help = "Among tasks of the same priority, smaller numbers first",
        default_value = "0",
        allow_negative_numbers = true
    )]
    order: Order,
    /// 0 (critical) to 4
    #[schemars(description = "0 (critical) to 4, default 2")]
    #[serde(default = "normal")]
    #[arg(long, default_value = "2")]
    priority: Priority,
    /// YYYY-MM-DD or RFC 3339
    #[arg(long)]
    due: Option<LineText>,
    /// Tags
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    tags: Vec<LineText>,
    /// Initial text; `- [ ]` are checkboxes
    #[schemars(description = "Initial text")]
    #[serde(default)]
    #[arg(long, default_value = "", hide_default_value = true)]
    body: LongText,
    /// Worker for the task
    #[schemars(description = "Worker")]
    #[arg(long)]
    assignee: Option<LineText>,
    /// Judgment it needs
    #[schemars(description = "Judgment")]
    #[arg(long, help = "How much judgment the task needs")]
    complexity: Option<Complexity>,
    /// Idempotency key
    #[arg(long, help = "A repeated call with the same key returns the first reply")]
    request_key: Option<LineText>,
}

fn task() -> TaskType {
    TaskType::Task
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
    const DESCRIPTION: &'static str = "Create one task.";
    const EFFECT: Effect = Effect::Write;
    const CREATES_STORE: bool = true;
    const POSITIONAL: &'static str = "task-title";
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let key = RequestKey::new(session, self.request_key.as_ref().map(LineText::as_str), &self)?;
        if self.task_title.non_empty().is_none() {
            return Err(Error::invalid("task_title: it is empty; write in a few words what to do"));
        }
        if self.status == Status::InProgress {
            return Err(Error::invalid(
                "status: 'in_progress' is not allowed for a new task; create it, then claim it",
            ));
        }
        let due = self.due.as_ref().and_then(LineText::non_empty).map(parse_due).transpose()?;
        session.write(move |tx| run_once(tx, key.as_ref(), Self::NAME, |tx| self.insert(tx, due)))
    }
}

impl CreateTask {
    fn insert(&self, tx: &dyn StoreWrite, due: Option<Timestamp>) -> Result<TaskReply> {
        let parent = match &self.parent {
            None => None,
            Some(id) => Some(find_parent(tx, id)?),
        };
        let hard = find_rows(tx, &self.depends_on, "depends_on")?;
        let soft = find_rows(tx, &self.soft_depends_on, "soft_depends_on")?;
        let project = non_empty(&self.project);
        let task = Task {
            task_type: self.task_type,
            status: self.status,
            priority: self.priority.get(),
            order: self.order.get(),
            project: project.or_else(|| parent.as_ref().and_then(|parent| parent.project.clone())),
            parent_row: parent.as_ref().map(|parent| parent.row),
            assignee: non_empty(&self.assignee),
            due,
            tags: parse_tags(&self.tags)?,
            complexity: self.complexity,
            ..Task::new(tx.now(), self.task_title.as_str())
        };
        let row = tx.insert_task(&NewTask { task: &task, initial_text: self.body.as_str() })?;
        tx.set_dependencies(row, &hard, false)?;
        tx.set_dependencies(row, &soft, true)?;
        refuse_cycle(tx, (row, "the new task"), &hard, "depends_on")?;
        refuse_cycle(tx, (row, "the new task"), &soft, "soft_depends_on")?;
        if !hard.is_empty() {
            tx.recount_blockers(row)?;
        }
        let task = tx.task_by_row(row)?;
        Ok(TaskReply::new(format!("Created {}", task.id), Some(TaskView::compact(tx, &task)?)))
    }
}
