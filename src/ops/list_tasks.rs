//! `list_tasks`: tasks by priority, order and creation; with `since` the tasks that changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::fields::non_empty;
use super::request::lookup::find_task;
use super::request::since::{parse_since, poll_from};
use super::views::page_bytes::cut_to_page;
use super::views::task::{TaskView, left_out_note};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::{Limit, PAGE_ROWS, Priority};
use crate::model::status::{Status, TaskType};
use crate::model::task::Task;
use crate::model::text::{LineText, agreeing, counted, excerpt};
use crate::model::worker_scope::WorkerScope;
use crate::store::{ListPosition, StoreRead, TaskFilter};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ListTasks {
    /// Only this project
    #[schemars(description = "Project")]
    #[arg(long)]
    project: Option<LineText>,
    /// Only this status
    #[schemars(description = "Status")]
    #[arg(long)]
    status: Option<Status>,
    /// Only this type
    #[schemars(description = "Type")]
    #[serde(rename = "type")]
    #[arg(long = "type")]
    task_type: Option<TaskType>,
    /// 0 (critical) to 4
    #[schemars(description = "0 to 4")]
    #[arg(long)]
    priority: Option<Priority>,
    /// This priority or more urgent
    #[schemars(description = "0 to 4; or more urgent")]
    #[arg(long)]
    priority_max: Option<Priority>,
    /// Only tasks of this worker
    #[schemars(description = "Worker")]
    #[arg(long)]
    assignee: Option<LineText>,
    /// Only chunks of this batch id
    #[schemars(description = "Chunks of this batch")]
    #[arg(long)]
    batch: Option<TaskId>,
    /// Only children of this task id
    #[schemars(description = "Its children")]
    #[arg(long)]
    parent: Option<TaskId>,
    /// Only tasks that can be claimed now
    #[schemars(description = "Only claimable")]
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    ready: bool,
    /// since of an earlier reply: only changes
    #[schemars(description = "Last since: changes only")]
    #[arg(long)]
    since: Option<LineText>,
    /// next_cursor of the last reply
    #[schemars(description = "Last next_cursor")]
    #[arg(long)]
    cursor: Option<LineText>,
    /// Rows per page; 0 means 200
    #[schemars(description = "Rows, to 1000; 0: 200; default 5")]
    #[serde(default = "five")]
    #[arg(long, default_value = "5", allow_negative_numbers = true)]
    limit: Limit,
}

fn five() -> Limit {
    Limit::of(5)
}

/// A poll counts at most this many changes beyond its page.
const MAX_COUNTED: usize = 1_000;

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListTasksReply {
    success: bool,
    message: String,
    tasks: Vec<TaskView>,
    count: u64,
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    since: String,
}

impl Operation for ListTasks {
    const NAME: &'static str = "list_tasks";
    const TITLE: &'static str = "List tasks";
    const DESCRIPTION: &'static str = "Find tasks, by priority, order, creation.";
    const EFFECT: Effect = Effect::Read;
    const POSITIONAL: &'static str = "status";
    const WORKER_PARAMETERS: &'static [&'static str] =
        &["project", "status", "batch", "ready", "since", "limit"];
    type Reply = ListTasksReply;

    fn run(self, session: &Session) -> Result<ListTasksReply> {
        if let Some(scope) = session.worker_scope() {
            return chunk_of_worker(session, scope.clone());
        }
        let since = self.since.as_ref().map(parse_since).transpose()?;
        let after = self.cursor.as_ref().map(parse_cursor).transpose()?;
        session.read(move |tx| {
            let limit = match self.limit.get() {
                0 => PAGE_ROWS,
                limit => limit as usize,
            };
            let latest = tx.latest_change_number()?;
            match since.map(|since| poll_from(since, latest)) {
                Some(since) if since == latest => Ok(changes_reply(Vec::new(), latest, 0)),
                Some(since) => changed_tasks(tx, &self.filter(tx)?, since, latest, limit),
                None => self.page_of_tasks(tx, after, limit, latest),
            }
        })
    }
}

impl ListTasks {
    fn filter(&self, tx: &dyn StoreRead) -> Result<TaskFilter> {
        let parent = match (&self.batch, &self.parent) {
            (Some(id), _) => Some(find_task(tx, id, "batch")?.row),
            (None, Some(id)) => Some(find_task(tx, id, "parent")?.row),
            (None, None) => None,
        };
        Ok(TaskFilter {
            project: non_empty(&self.project),
            status: self.status,
            task_type: self.task_type,
            priority: self.priority.map(Priority::get),
            priority_max: self.priority_max.map(Priority::get),
            assignee: non_empty(&self.assignee),
            parent,
            ready: self.ready,
            without_conflicts: self.ready,
            ..TaskFilter::default()
        })
    }

    fn page_of_tasks(
        &self,
        tx: &dyn StoreRead,
        after: Option<ListPosition>,
        limit: usize,
        latest: u64,
    ) -> Result<ListTasksReply> {
        let filter = self.filter(tx)?;
        let mut tasks = tx.list(&filter, after, limit + 1)?;
        let mut more = tasks.len() > limit;
        tasks.truncate(limit);
        let views = fitting_views(tx, &mut tasks, &mut more)?;
        let total = tx.count_tasks(&filter)?;
        let next_cursor = tasks
            .last()
            .filter(|_| more)
            .map(|task| format!("{}:{}:{}", task.priority, task.order, task.row));
        let nothing_ready = total.count == 0 && (self.ready || self.status == Some(Status::Active));
        let next_free = if nothing_ready { tx.next_free(&filter)? } else { None };
        let hint = match next_free {
            Some(time) => format!("; other such tasks are claimed or rest, the next comes free at {time}"),
            None => String::new(),
        };
        let or_more = if total.at_least { " or more" } else { "" };
        Ok(ListTasksReply {
            success: true,
            message: format!(
                "{} of {}{or_more} {}{hint}{}",
                tasks.len(),
                total.count,
                agreeing(total.count, "task", "tasks"),
                left_out_note(&views)
            ),
            count: tasks.len() as u64,
            total: total.count,
            tasks: views,
            next_cursor,
            since: latest.to_string(),
        })
    }
}

/// The views of the first tasks, as many as a page has room for. The other tasks are removed, and `more` is set.
fn fitting_views(tx: &dyn StoreRead, tasks: &mut Vec<Task>, more: &mut bool) -> Result<Vec<TaskView>> {
    let mut views: Vec<TaskView> =
        tasks.iter().map(|task| TaskView::listed(tx, task)).collect::<Result<_>>()?;
    *more |= cut_to_page(&mut views);
    tasks.truncate(views.len());
    Ok(views)
}

/// A page of the tasks that changed after `since`, oldest change first.
fn changed_tasks(
    tx: &dyn StoreRead,
    filter: &TaskFilter,
    since: u64,
    latest: u64,
    limit: usize,
) -> Result<ListTasksReply> {
    let mut tasks = tx.tasks_changed_since(filter, since, limit + 1)?;
    let mut more = tasks.len() > limit;
    tasks.truncate(limit);
    let views = fitting_views(tx, &mut tasks, &mut more)?;
    let reached = tasks.last().filter(|_| more).map_or(latest, |task| task.change_number);
    let total = if more { tx.tasks_changed_since(filter, since, MAX_COUNTED)?.len() } else { tasks.len() };
    Ok(changes_reply(views, reached, total as u64))
}

/// The one task that a chunk's worker sees.
fn chunk_of_worker(session: &Session, scope: WorkerScope) -> Result<ListTasksReply> {
    session.read(move |tx| {
        let task = TaskView::listed(tx, &tx.task(&scope.chunk)?)?;
        Ok(ListTasksReply {
            success: true,
            message: format!("Your chunk; claim_task(id=\"{}\") returns its items", scope.chunk),
            tasks: vec![task],
            count: 1,
            total: 1,
            next_cursor: None,
            since: tx.latest_change_number()?.to_string(),
        })
    })
}

fn changes_reply(tasks: Vec<TaskView>, since: u64, total: u64) -> ListTasksReply {
    let count = tasks.len() as u64;
    let message = match count {
        0 => "Nothing changed".to_owned(),
        _ if total > count => format!("{count} of {total} changes, more follow: pass since"),
        _ => counted(count, "change"),
    };
    ListTasksReply {
        success: true,
        message,
        tasks,
        count,
        total,
        next_cursor: None,
        since: since.to_string(),
    }
}

fn parse_cursor(cursor: &LineText) -> Result<ListPosition> {
    let parts: Vec<i64> = cursor.as_str().split(':').filter_map(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        [priority, order, row] => Ok((*priority, *order, *row)),
        _ => Err(Error::invalid(format!(
            "cursor: '{}' is not a cursor; pass next_cursor of the last reply unchanged",
            excerpt(cursor.as_str())
        ))),
    }
}
