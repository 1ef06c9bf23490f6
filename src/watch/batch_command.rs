//! What a person decides about a batch, carried out by the operations that the MCP tools use.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::step::Decision;
use crate::ops::{self, Session};

/// A command for a batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BatchCommand {
    /// A decision on one chunk in review, or on all of them.
    Review { chunk: Option<TaskId>, decision: Decision, note: Option<String> },
    /// Pause, resume or cancel the batch.
    Control(&'static str),
    /// Retry what failed in one chunk, or in all of them.
    Retry(Option<TaskId>),
    /// Accept what failed in a batch that has ended.
    AcceptFailures,
}

/// Runs the command and returns the message of the reply.
///
/// # Errors
/// What the operation refuses.
pub(super) fn run_command(session: &Session, batch: &TaskId, command: &BatchCommand) -> Result<String> {
    let (name, arguments) = match command {
        BatchCommand::Review { chunk, decision, note } => {
            ("review_batch", json!({ "id": batch, "chunk": chunk, "decision": decision, "note": note }))
        }
        BatchCommand::AcceptFailures => {
            ("review_batch", json!({ "id": batch, "decision": Decision::Approve }))
        }
        BatchCommand::Control(action) => (
            "control_batch",
            json!({ "id": batch, "action": action, "reason": "decided in tasktally watch" }),
        ),
        BatchCommand::Retry(chunk) => {
            let chunks: Vec<&TaskId> = chunk.iter().collect();
            ("control_batch", json!({ "id": batch, "action": "retry", "chunks": chunks }))
        }
    };
    let Some(operation) = ops::find_operation(name) else {
        return Err(Error::invalid(format!("{name}: there is no such operation")));
    };
    let reply = (operation.call)(session, arguments)?;
    Ok(reply.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())
}
