//! `complete_tasks`: completes several tasks, each in its own transaction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::complete::complete;
use super::views::page_bytes::cut_to_page;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::MAX_IDS;
use crate::store::Subject;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CompleteTasks {
    /// Task ids
    #[arg(long, help = "Task ids, separated by commas", required = true, value_delimiter = ',')]
    ids: Vec<TaskId>,
    /// Even if work is left
    #[schemars(description = "Skip checks")]
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    force: bool,
}

/// A task that was not completed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    id: String,
    code: String,
    message: String,
}

impl Failure {
    fn new((id, error): (TaskId, Error)) -> Self {
        let code = error.code.as_str().to_owned();
        Failure { id: id.to_string(), code, message: error.to_string() }
    }
}

/// Completes tasks in their order, each in its own transaction. Returns those that were refused.
fn complete_each(session: &Session, ids: &[TaskId], force: bool) -> Vec<(TaskId, Error)> {
    let mut refused = Vec::new();
    for id in ids {
        let (author, task_id) = (session.author(), id.clone());
        let completed = session.write_about(Subject::task(id), move |tx| {
            complete(tx, &tx.task(&task_id)?, None, None, force, &author)
        });
        if let Err(error) = completed {
            refused.push((id.clone(), error));
        }
    }
    refused
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompleteTasksReply {
    success: bool,
    message: String,
    success_count: u64,
    failure_count: u64,
    failures: Vec<Failure>,
}

impl Operation for CompleteTasks {
    const NAME: &'static str = "complete_tasks";
    const TITLE: &'static str = "Complete several tasks";
    const DESCRIPTION: &'static str = "End several tasks.";
    const EFFECT: Effect = Effect::WriteOnce;
    const POSITIONAL: &'static str = "ids";
    type Reply = CompleteTasksReply;

    fn run(self, session: &Session) -> Result<CompleteTasksReply> {
        if self.ids.is_empty() || self.ids.len() > MAX_IDS {
            return Err(Error::invalid(format!("ids: {} given, 1 to {MAX_IDS} allowed", self.ids.len())));
        }
        let count = self.ids.len() as u64;
        let mut refused = complete_each(session, &self.ids, self.force);
        // A task may wait for another one of the list, such as a parent for its child.
        loop {
            let before = refused.len();
            let (waiting, others): (Vec<_>, Vec<_>) = refused
                .into_iter()
                .partition(|(_, error)| matches!(error.code, Code::OpenChildren | Code::OpenDependencies));
            let again: Vec<TaskId> = waiting.into_iter().map(|(id, _)| id).collect();
            refused = others.into_iter().chain(complete_each(session, &again, self.force)).collect();
            if refused.len() == before {
                break;
            }
        }
        refused.sort_by_key(|(id, _)| self.ids.iter().position(|asked| asked == id));
        let mut failures: Vec<Failure> = refused.into_iter().map(Failure::new).collect();
        let failure_count = failures.len() as u64;
        let mut message = format!("{} of {count} completed", count - failure_count);
        if cut_to_page(&mut failures) {
            message += &format!("; the first {} of {failure_count} failures are shown", failures.len());
        }
        Ok(CompleteTasksReply {
            success: failures.is_empty(),
            message,
            success_count: count - failure_count,
            failure_count,
            failures,
        })
    }
}
