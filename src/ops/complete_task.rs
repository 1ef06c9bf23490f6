//! `complete_task`: completes one task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::complete::complete;
use super::views::chunk_files::write_chunk;
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::model::text::ReceiptText;
use crate::store::Subject;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CompleteTask {
    /// Task id
    #[arg(long)]
    pub id: TaskId,
    /// claim.token of your claim
    #[schemars(description = "claim.token")]
    #[arg(long)]
    pub claim: Option<Token>,
    /// Text of the last receipt
    #[schemars(description = "Last receipt")]
    #[arg(long)]
    pub summary: Option<ReceiptText>,
    /// Even if work is left
    #[schemars(description = "Skip checks")]
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub force: bool,
}

impl Operation for CompleteTask {
    const NAME: &'static str = "complete_task";
    const TITLE: &'static str = "Complete a task";
    const DESCRIPTION: &'static str =
        "End a task: done, or review if a person decides. Refused while items, children or `- [ ]` are open.";
    const EFFECT: Effect = Effect::WriteOnce;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "claim", "summary"];
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let author = session.author();
        let (reply, chunk) = session.write_about(Subject::task(&self.id), move |tx| {
            let task = tx.task(&self.id)?;
            let completion =
                complete(tx, &task, self.claim.as_ref(), self.summary.as_ref(), self.force, &author)?;
            let after = tx.task_by_row(task.row)?;
            let mut reply = TaskReply::new(completion.message, Some(TaskView::compact(tx, &after)?));
            reply.duplicate = completion.repeated.then_some(true);
            Ok((reply, after.is_chunk.then_some(after.id)))
        })?;
        if let Some(chunk) = chunk {
            write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}
