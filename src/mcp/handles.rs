//! The tasks extension: a wait for a batch as a task that the client looks at.

use rmcp::model::{DetailedTask, ErrorData, JsonObject, ProtocolVersion, Task, TaskPayload, TaskStatus};
use serde_json::Value;

use super::person::input_request;
use super::tools::result;
use crate::error::{Error, Result};
use crate::model::wait::POLL_INTERVAL_MS;
use crate::ops::{WaitState, WaitView};

/// The handle that a call is answered with.
pub(super) fn handle(waiting: &WaitView) -> Task {
    Task::new(
        waiting.handle.clone(),
        TaskStatus::Working,
        waiting.created.to_string(),
        waiting.updated.to_string(),
    )
    .with_status_message(waiting.message.clone())
    .with_poll_interval_ms(POLL_INTERVAL_MS)
}

/// What a look at a handle is answered with.
pub(super) fn detailed(waiting: WaitView, version: Option<&ProtocolVersion>) -> Result<DetailedTask> {
    let task = handle(&waiting);
    let payload = match waiting.state {
        WaitState::Working => TaskPayload::Working,
        WaitState::NeedsAnswer(question) => {
            TaskPayload::InputRequired { input_requests: input_request(&question)? }
        }
        WaitState::Ended(reply) => TaskPayload::Completed { result: as_result(reply, version)? },
        WaitState::Cancelled => TaskPayload::Cancelled,
    };
    Ok(DetailedTask::new(task, payload))
}

fn as_result(reply: Value, version: Option<&ProtocolVersion>) -> Result<JsonObject> {
    let unwritten = |error| Error::internal("the reply could not be written as JSON", error);
    match serde_json::to_value(result(Ok(reply), version)).map_err(unwritten)? {
        Value::Object(object) => Ok(object),
        _ => Ok(JsonObject::new()),
    }
}

/// A refusal of a handle, as JSON-RPC words it.
pub(super) fn refused(error: Error) -> ErrorData {
    use crate::error::Code;
    match error.code {
        Code::Internal | Code::Busy | Code::ReadOnly => ErrorData::internal_error(error.to_string(), None),
        _ => ErrorData::invalid_params(error.to_string(), None),
    }
}
