//! What a person decided, done by the operations that the tools are made of.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::step::Decision;
use crate::ops::{self, Session};

/// A decision on a batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// On a chunk that waits, or on all of them.
    Review { chunk: Option<TaskId>, decision: Decision, note: Option<String> },
    /// On the batch: pause, resume, cancel.
    Control(&'static str),
    /// On what failed in a chunk, or in all of them.
    Retry(Option<TaskId>),
}

/// Carries it out; gives the sentence that says what came of it.
///
/// # Errors
/// The operation's own refusal.
pub(super) fn carry_out(session: &Session, batch: &TaskId, order: &Order) -> Result<String> {
    let (name, arguments) = match order {
        Order::Review { chunk, decision, note } => {
            ("review_batch", json!({ "id": batch, "chunk": chunk, "decision": decision, "note": note }))
        }
        Order::Control(action) => (
            "control_batch",
            json!({ "id": batch, "action": action, "reason": "decided in tasktally watch" }),
        ),
        Order::Retry(chunk) => {
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
