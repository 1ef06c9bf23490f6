//! `list_tasks`: tasks by priority, order and creation; or what changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::job::WorkerScope;
use crate::model::limits::{Limit, PAGE, Priority};
use crate::model::status::{Kind, Status};
use crate::model::text::{Line, excerpt};
use crate::store::{After, Filter};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ListTasks {
    #[arg(long)]
    project: Option<Line>,
    #[arg(long)]
    status: Option<Status>,
    #[serde(rename = "type")]
    #[arg(long = "type")]
    kind: Option<Kind>,
    #[arg(long)]
    priority: Option<Priority>,
    #[arg(long)]
    priority_max: Option<Priority>,
    #[arg(long)]
    assignee: Option<Line>,
    /// A batch's chunks
    #[arg(long)]
    batch: Option<TaskId>,
    #[arg(long)]
    parent: Option<TaskId>,
    /// Only what can be claimed now
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    ready: bool,
    /// `since` of an earlier reply: only what changed
    #[arg(long)]
    since: Option<Line>,
    /// next_cursor of the last reply
    #[arg(long)]
    cursor: Option<Line>,
    /// 0: all, in pages
    #[serde(default = "five")]
    #[arg(long, default_value = "5", allow_negative_numbers = true)]
    limit: Limit,
}

fn five() -> Limit {
    Limit::of(5)
}

/// How far the changes of a poll are counted where they don't fit a page.
const COUNTED: usize = 1_000;

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
    const DESCRIPTION: &'static str = "Tasks by priority, order, creation. Poll with since.";
    const EFFECT: Effect = Effect::Read;
    const FIRST: &'static str = "status";
    const WORKER_PARAMETERS: &'static [&'static str] =
        &["project", "status", "batch", "ready", "since", "limit"];
    type Reply = ListTasksReply;

    fn run(self, session: &Session) -> Result<ListTasksReply> {
        if let Some(job) = session.job() {
            return of_job(session, job.clone());
        }
        let since = self.since.as_ref().map(parse_since).transpose()?;
        let after = self.cursor.as_ref().map(parse_cursor).transpose()?;
        session.read(move |tx| {
            let limit = match self.limit.get() {
                0 => PAGE,
                limit => limit as usize,
            };
            let sequence = tx.sequence()?;
            let since = since.map(|since| known(since, sequence));
            if since == Some(sequence) {
                return Ok(changes(Vec::new(), sequence, 0));
            }
            let parent = match self.batch.as_ref().or(self.parent.as_ref()) {
                None => None,
                Some(id) => Some(
                    super::create_task::existing(
                        tx,
                        id,
                        if self.batch.is_some() { "batch" } else { "parent" },
                    )?
                    .row,
                ),
            };
            let filter = Filter {
                project: super::create_task::text(&self.project),
                status: self.status,
                kind: self.kind,
                priority: self.priority.map(Priority::get),
                priority_max: self.priority_max.map(Priority::get),
                assignee: super::create_task::text(&self.assignee),
                parent,
                ready: self.ready,
                free: self.ready,
                tags: Vec::new(),
            };
            let views = |tasks: &[crate::model::task::Task]| -> Result<Vec<TaskView>> {
                tasks.iter().map(|task| TaskView::listed(tx, task)).collect()
            };
            if let Some(since) = since {
                let mut found = tx.changed_since(&filter, since, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                let reached = found.last().filter(|_| more).map_or(sequence, |task| task.changed);
                let total = if more { tx.changed_since(&filter, since, COUNTED)?.len() } else { found.len() };
                return Ok(changes(views(&found)?, reached, total as u64));
            }
            let mut found = tx.list(&filter, after, limit + 1)?;
            let more = found.len() > limit;
            found.truncate(limit);
            let total = tx.total(&filter)?;
            let next_cursor = found
                .last()
                .filter(|_| more)
                .map(|task| format!("{}:{}:{}", task.priority, task.order, task.row));
            let held = match (self.status, &self.project, total.count, tx.next_expiry()?) {
                (Some(Status::Active), None, 0, Some(expiry)) => {
                    format!("; others are in progress, the next lease runs out at {expiry}")
                }
                _ => String::new(),
            };
            let plus = if total.at_least { " or more" } else { "" };
            Ok(ListTasksReply {
                success: true,
                message: format!("{} of {}{plus} tasks{held}", found.len(), total.count),
                count: found.len() as u64,
                total: total.count,
                tasks: views(&found)?,
                next_cursor,
                since: sequence.to_string(),
            })
        })
    }
}

/// The one task that the worker of a chunk sees.
fn of_job(session: &Session, job: WorkerScope) -> Result<ListTasksReply> {
    session.read(move |tx| {
        let task = TaskView::listed(tx, &tx.task(&job.chunk)?)?;
        Ok(ListTasksReply {
            success: true,
            message: "Your chunk; claim_task gives its items".to_owned(),
            tasks: vec![task],
            count: 1,
            total: 1,
            next_cursor: None,
            since: tx.sequence()?.to_string(),
        })
    })
}

fn changes(tasks: Vec<TaskView>, since: u64, total: u64) -> ListTasksReply {
    let count = tasks.len() as u64;
    let message = match count {
        0 => "Nothing changed".to_owned(),
        _ if total > count => format!("{count} changed; ask again with since for more"),
        _ => format!("{count} changed"),
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

/// Where to poll from. A store that was put back to an earlier state knows less than the caller
/// has seen: then all of it counts as changed.
pub(super) fn known(since: u64, sequence: u64) -> u64 {
    if since > sequence { 0 } else { since }
}

/// The number that a `since` stands for.
pub(super) fn parse_since(since: &Line) -> Result<u64> {
    since.as_str().parse().map_err(|_| {
        Error::invalid(format!(
            "since: '{}' is not what a reply gave; pass `since` of an earlier reply as it is",
            excerpt(since.as_str())
        ))
    })
}

fn parse_cursor(cursor: &Line) -> Result<After> {
    let parts: Vec<i64> = cursor.as_str().split(':').filter_map(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        [priority, order, row] => Ok((*priority, *order, *row)),
        _ => Err(Error::invalid(format!(
            "cursor: '{}' is not what a reply gave; pass next_cursor of the last reply as it is",
            excerpt(cursor.as_str())
        ))),
    }
}
