//! `complete_tasks`: completes several tasks, each in its own transaction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::complete::complete;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::MAX_IDS;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CompleteTasks {
    /// Task ids
    #[arg(long, required = true, value_delimiter = ',')]
    ids: Vec<TaskId>,
    /// Complete although work is left; recorded
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
    const DESCRIPTION: &'static str = "Complete several tasks, each by itself.";
    const EFFECT: Effect = Effect::WriteOnce;
    const POSITIONAL: &'static str = "ids";
    type Reply = CompleteTasksReply;

    fn run(self, session: &Session) -> Result<CompleteTasksReply> {
        if self.ids.is_empty() || self.ids.len() > MAX_IDS {
            return Err(Error::invalid(format!("ids: {} given, 1 to {MAX_IDS} allowed", self.ids.len())));
        }
        let mut failures = Vec::new();
        let count = self.ids.len() as u64;
        for id in self.ids {
            let author = session.caller().to_owned();
            let (task_id, force) = (id.clone(), self.force);
            let completed =
                session.write(move |tx| complete(tx, &tx.task(&task_id)?, None, None, force, &author));
            if let Err(error) = completed {
                failures.push(Failure {
                    id: id.to_string(),
                    code: error.code.as_str().to_owned(),
                    message: error.to_string(),
                });
            }
        }
        let failure_count = failures.len() as u64;
        Ok(CompleteTasksReply {
            success: failures.is_empty(),
            message: format!("{} of {count} completed", count - failure_count),
            success_count: count - failure_count,
            failure_count,
            failures,
        })
    }
}
