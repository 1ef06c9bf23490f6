//! The tasks extension: a wait for a batch as an MCP task that the client polls.

use rmcp::model::{DetailedTask, ErrorData, JsonObject, ProtocolVersion, Task, TaskPayload, TaskStatus};
use serde_json::Value;

use super::elicitation::input_request;
use super::tools::result;
use crate::error::{Error, Result};
use crate::model::wait::POLL_INTERVAL_MS;
use crate::ops::{WaitState, WaitView};

/// The MCP task of a wait, as `wait_batch` returns it.
pub(super) fn task_of(wait: &WaitView) -> Task {
    Task::new(wait.handle.clone(), TaskStatus::Working, wait.created.to_string(), wait.updated.to_string())
        .with_status_message(wait.message.clone())
        .with_poll_interval_ms(POLL_INTERVAL_MS)
}

/// The MCP task of a wait with its question or result, for `tasks/get`.
pub(super) fn detailed_task(wait: WaitView, version: Option<&ProtocolVersion>) -> Result<DetailedTask> {
    let task = task_of(&wait);
    let payload = match wait.state {
        WaitState::Working => TaskPayload::Working,
        WaitState::NeedsAnswer(question) => {
            TaskPayload::InputRequired { input_requests: input_request(&question)? }
        }
        WaitState::Ended(reply) => TaskPayload::Completed { result: result_object(reply, version)? },
        WaitState::Cancelled => TaskPayload::Cancelled,
    };
    Ok(DetailedTask::new(task, payload))
}

fn result_object(reply: Value, version: Option<&ProtocolVersion>) -> Result<JsonObject> {
    let not_json = |error| Error::internal("the reply could not be written as JSON", error);
    match serde_json::to_value(result(Ok(reply), version)).map_err(not_json)? {
        Value::Object(object) => Ok(object),
        _ => Ok(JsonObject::new()),
    }
}

/// The JSON-RPC error for a refused request of the tasks extension.
pub(super) fn json_rpc_error(error: Error) -> ErrorData {
    use crate::error::Code;
    match error.code {
        Code::Internal | Code::Busy | Code::ReadOnly => ErrorData::internal_error(error.to_string(), None),
        _ => ErrorData::invalid_params(error.to_string(), None),
    }
}
