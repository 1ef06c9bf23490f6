//! `reset_stalled_tasks`: expired or idle claims back to active.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::transition::give_back;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::limits::MOST_IDS;
use crate::model::text::Line;
use crate::model::timestamp::Timestamp;
use crate::store::Read;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ResetStalledTasks {
    /// Idle for so long, or lease run out
    #[serde(default = "four")]
    #[arg(long, default_value = "4", allow_negative_numbers = true)]
    hours: f64,
    #[arg(long)]
    project: Option<Line>,
    #[arg(long)]
    assignee: Option<Line>,
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    dry_run: bool,
}

fn four() -> f64 {
    4.0
}

/// A task that was, or would be, reset.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stalled {
    id: String,
    title: String,
    assignee: Option<String>,
    updated: String,
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResetReply {
    success: bool,
    message: String,
    count: u64,
    tasks: Vec<Stalled>,
    dry_run: bool,
}

impl Operation for ResetStalledTasks {
    const NAME: &'static str = "reset_stalled_tasks";
    const TITLE: &'static str = "Reset stalled tasks";
    const DESCRIPTION: &'static str = "Claims that ran out or are idle go back to active.";
    const EFFECT: Effect = Effect::Destructive;
    const FIRST: &'static str = "hours";
    type Reply = ResetReply;

    fn run(self, session: &Session) -> Result<ResetReply> {
        if !(self.hours.is_finite() && (0.0..=8_760.0).contains(&self.hours)) {
            return Err(Error::invalid(format!("hours: {} is out of range; allowed: 0 to 8760", self.hours)));
        }
        let author = session.caller().to_owned();
        let dry_run = self.dry_run;
        let tasks = if dry_run {
            session.read(move |tx| Ok(self.stalled(tx)?.iter().map(stalled).collect::<Vec<_>>()))?
        } else {
            session.write(move |tx| {
                let found = self.stalled(tx)?;
                for task in &found {
                    let worker = task.claim.as_ref().map_or("nobody", |claim| claim.worker.as_str());
                    let why = format!(
                        "Reset by '{author}': claimed by '{worker}', last change at {}.",
                        task.updated
                    );
                    give_back(tx, task, &why, &author)?;
                }
                Ok(found.iter().map(stalled).collect::<Vec<_>>())
            })?
        };
        let would = if dry_run { "would be" } else { "were" };
        Ok(ResetReply {
            success: true,
            message: format!("{} tasks {would} reset", tasks.len()),
            count: tasks.len() as u64,
            tasks,
            dry_run,
        })
    }
}

fn stalled(task: &crate::model::task::Task) -> Stalled {
    Stalled {
        id: task.id.to_string(),
        title: task.title.clone(),
        assignee: task.assignee.clone(),
        updated: task.updated.to_string(),
    }
}

impl ResetStalledTasks {
    fn stalled(&self, tx: &dyn Read) -> Result<Vec<crate::model::task::Task>> {
        // Hours within 0..=8760 are far below what an i64 of milliseconds holds.
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        let idle_ms = (self.hours * 3_600_000.0) as i64;
        let before = Timestamp::from_millis(tx.now().millis().saturating_sub(idle_ms));
        let mut found = tx.expired(MOST_IDS)?;
        for task in tx.idle_since(before, MOST_IDS)? {
            if !found.iter().any(|other| other.row == task.row) {
                found.push(task);
            }
        }
        let (project, assignee) =
            (super::create_task::text(&self.project), super::create_task::text(&self.assignee));
        found.retain(|task| {
            !task.is_batch
                && (project.is_none() || task.project == project)
                && (assignee.is_none() || task.assignee == assignee)
        });
        Ok(found)
    }
}
