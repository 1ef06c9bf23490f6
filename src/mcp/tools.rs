//! Operations as tools, and their replies as tool results.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ProtocolVersion, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::ops::{self, Effect, Entry, ServerScope};

/// Which tools a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Toolset {
    /// All tools
    All,
    /// Only the tools that a background worker needs
    Worker,
}

impl Toolset {
    /// Whether the toolset offers an operation.
    pub fn offers(self, entry: &Entry) -> bool {
        self == Toolset::All || !entry.worker_parameters.is_empty()
    }
}

/// The tools of a toolset that a server's scope has, in the order of [`ops::ALL`].
pub fn definitions(toolset: Toolset, scope: &ServerScope) -> Vec<Tool> {
    let offered = ops::ALL.iter().filter(|entry| toolset.offers(entry) && scope.has(entry));
    offered.map(|entry| definition(entry, toolset, scope)).collect()
}

fn object(value: Value) -> Arc<JsonObject> {
    Arc::new(match value {
        Value::Object(map) => map,
        _ => JsonObject::new(),
    })
}

fn definition(entry: &Entry, toolset: Toolset, scope: &ServerScope) -> Tool {
    let (mut input, output) = ((entry.input)(), (entry.output)());
    // The server fills them in, and refuses other values.
    for (name, is_fixed) in [("project", scope.project.is_some()), ("batch", scope.batch.is_some())] {
        if let Some(Value::Object(properties)) = input.get_mut("properties").filter(|_| is_fixed) {
            properties.remove(name);
        }
    }
    if toolset == Toolset::Worker {
        only_for_workers(&mut input, entry);
    }
    let annotations = ToolAnnotations::new().read_only(entry.effect == Effect::Read).open_world(false);
    let annotations = match entry.effect {
        Effect::Read => annotations,
        Effect::Write => annotations.destructive(false).idempotent(false),
        Effect::WriteOnce => annotations.destructive(false).idempotent(true),
        Effect::Destructive => annotations.destructive(true).idempotent(true),
    };
    Tool::new(entry.name, entry.description, object(input))
        .with_title(entry.title)
        .with_raw_output_schema(object(output))
        .with_annotations(annotations)
}

/// Removes the parameters and words that a worker does not need from the schema. The server refuses them.
fn only_for_workers(input: &mut Value, entry: &Entry) {
    let Some(Value::Object(properties)) = input.get_mut("properties") else { return };
    properties.retain(|name, _| entry.worker_parameters.contains(&name.as_str()));
    if entry.effect != Effect::Read
        && let Some(status) = properties.get_mut("status")
    {
        status["enum"] = json!(["in_progress"]);
    }
}

/// An error as a reply object.
pub fn refusal(error: &Error) -> Value {
    let mut value = json!({ "success": false, "code": error.code.as_str(), "message": error.to_string() });
    if let Some(number) = error.receipt {
        value["receipt"] = json!({ "number": number, "duplicate": false, "late": true });
    }
    if let Some(seconds) = error.retry_after_s {
        value["retry_after_s"] = seconds.into();
    }
    value
}

/// Whether a client's protocol version has structured content and its schema: since 2025-06-18. An older client may refuse
/// the unknown field.
pub(super) fn has_structured_content(version: Option<&ProtocolVersion>) -> bool {
    version.is_none_or(|version| *version >= ProtocolVersion::V_2025_06_18)
}

/// The outcome of an operation as a tool result: as text, and as structured content if the client's version has it.
pub(super) fn result(outcome: Result<Value>, version: Option<&ProtocolVersion>) -> CallToolResult {
    let (value, is_error) = match outcome {
        Ok(value) => (value, false),
        Err(error) => (refusal(&error), !error.code.is_answer()),
    };
    match (has_structured_content(version), is_error) {
        (true, false) => CallToolResult::structured(value),
        (true, true) => CallToolResult::structured_error(value),
        (false, false) => CallToolResult::success(vec![ContentBlock::text(value.to_string())]),
        (false, true) => CallToolResult::error(vec![ContentBlock::text(value.to_string())]),
    }
}
