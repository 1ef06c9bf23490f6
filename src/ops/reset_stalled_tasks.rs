//! `reset_stalled_tasks`: releases expired and idle claims.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::release::release;
use super::request::fields::non_empty;
use super::views::page_bytes::cut_to_page;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::limits::MAX_IDS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::{LineText, agreeing, counted, excerpt};
use crate::model::timestamp::Timestamp;
use crate::store::StoreRead;

/// The longest idle time that can be asked for: a year.
const MAX_HOURS: f64 = 8_760.0;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ResetStalledTasks {
    /// Claims idle for this long; expired ones always
    #[schemars(description = "Idle time, default 4")]
    #[serde(default = "four")]
    #[arg(
        long,
        help = "Release claims without a write for this many hours; expired claims are always released",
        default_value = "4",
        allow_negative_numbers = true,
        value_parser = parse_hours
    )]
    hours: f64,
    /// Only this project
    #[schemars(description = "Project")]
    #[arg(long)]
    project: Option<LineText>,
    /// Only this worker
    #[schemars(description = "Worker")]
    #[arg(long)]
    assignee: Option<LineText>,
    /// Only list the tasks
    #[schemars(description = "Only list")]
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    dry_run: bool,
}

/// Parses the hours on a command line; `run` checks the range.
fn parse_hours(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("'{}' is not a number; allowed: 0 to {MAX_HOURS} hours", excerpt(text)))
}

fn four() -> f64 {
    4.0
}

/// Whether a task is assigned to a worker of this name, or held by the worker that replies call so.
fn is_held_by(task: &Task, name: &str) -> bool {
    task.assignee.as_deref() == Some(name) || task.claim.as_ref().is_some_and(|claim| claim.worker == name)
}

/// A task whose claim was, or would be, released.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StalledTask {
    id: String,
    title: String,
    assignee: Option<String>,
    /// When it was last written to before the reset.
    updated: String,
    /// Its status: `active` can be claimed again, `review` waits for a person because an action may have happened.
    status: Status,
}

impl StalledTask {
    fn new(task: &Task, status: Status) -> Self {
        StalledTask {
            id: task.id.to_string(),
            title: task.title.clone(),
            assignee: task.assignee.clone(),
            updated: task.updated.to_string(),
            status,
        }
    }
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResetStalledReply {
    success: bool,
    message: String,
    count: u64,
    tasks: Vec<StalledTask>,
    dry_run: bool,
}

impl Operation for ResetStalledTasks {
    const NAME: &'static str = "reset_stalled_tasks";
    const TITLE: &'static str = "Reset stalled tasks";
    const DESCRIPTION: &'static str = "Free claims that expired or are idle.";
    const EFFECT: Effect = Effect::Destructive;
    const POSITIONAL: &'static str = "hours";
    type Reply = ResetStalledReply;

    fn run(self, session: &Session) -> Result<ResetStalledReply> {
        if !(self.hours.is_finite() && (0.0..=MAX_HOURS).contains(&self.hours)) {
            return Err(Error::invalid(format!(
                "hours: {} is out of range; allowed: 0 to {MAX_HOURS} hours",
                self.hours
            )));
        }
        let author = session.author();
        let dry_run = self.dry_run;
        let mut tasks = if dry_run {
            session.read(move |tx| {
                let found = self.find_stalled(tx)?;
                Ok(found.iter().map(|task| StalledTask::new(task, task.status)).collect::<Vec<_>>())
            })?
        } else {
            session.write(move |tx| {
                let mut reset = Vec::new();
                for task in &self.find_stalled(tx)? {
                    let worker =
                        task.claim.as_ref().map_or("an unknown worker", |claim| claim.worker.as_str());
                    let why = format!(
                        "Reset by '{author}': claimed by '{worker}', last change at {}.",
                        task.updated
                    );
                    reset.push(StalledTask::new(task, release(tx, task, &why, &author)?));
                }
                Ok(reset)
            })?
        };
        let count = tasks.len() as u64;
        let were = if dry_run { "would be" } else { agreeing(count, "was", "were") };
        let next = next_step(&tasks);
        let is_cut = cut_to_page(&mut tasks);
        let shown = if is_cut { format!("; the first {} are shown", tasks.len()) } else { String::new() };
        Ok(ResetStalledReply {
            success: true,
            message: format!("{} {were} reset{shown}{next}", counted(count, "task")),
            count,
            tasks,
            dry_run,
        })
    }
}

/// What has to be done about the tasks that were reset, as the end of a message.
fn next_step(tasks: &[StalledTask]) -> String {
    let with = |status| tasks.iter().filter(move |task| task.status == status);
    let mut next = String::new();
    if let Some(first) = with(Status::Active).next() {
        next += &format!("; {} can be claimed again", first_of(first, with(Status::Active).count()));
    }
    if let Some(first) = with(Status::Review).next() {
        let batch = first.id.rsplit_once('.').map_or(first.id.as_str(), |(batch, _)| batch);
        next += &format!(
            "; {} waits for a person, because an action may have happened: get_batch(id=\"{batch}\", view=\"review\")",
            first_of(first, with(Status::Review).count())
        );
    }
    if let Some(first) = with(Status::Failed).next() {
        next += &format!("; {} has used all its attempts", first_of(first, with(Status::Failed).count()));
    }
    next
}

/// The first of several tasks, and how many there are besides it.
fn first_of(task: &StalledTask, count: usize) -> String {
    match count {
        0 | 1 => task.id.clone(),
        more => format!("{} (as {} more)", task.id, more - 1),
    }
}

impl ResetStalledTasks {
    /// The claimed tasks whose lease has expired or which are idle, as the filters select them.
    fn find_stalled(&self, tx: &dyn StoreRead) -> Result<Vec<Task>> {
        #[expect(clippy::cast_possible_truncation, reason = "a year of milliseconds is far below 2^63")]
        let idle_ms = (self.hours * 3_600_000.0) as i64;
        let idle_since = Timestamp::from_millis(tx.now().millis().saturating_sub(idle_ms));
        let mut found = tx.expired_claims(MAX_IDS)?;
        for task in tx.claims_idle_since(idle_since, MAX_IDS)? {
            if !found.iter().any(|other| other.row == task.row) {
                found.push(task);
            }
        }
        let (project, assignee) = (non_empty(&self.project), non_empty(&self.assignee));
        found.retain(|task| {
            !task.is_batch
                && (project.is_none() || task.project == project)
                && assignee.as_deref().is_none_or(|name| is_held_by(task, name))
        });
        Ok(found)
    }
}
