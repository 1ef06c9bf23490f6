//! The server: answers a client from one store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode, ErrorData,
    Implementation, InitializeResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use serde_json::Value;

use super::tools::{Toolset, definitions, result};
use super::transport::{InFlight, Lines};
use crate::error::{Code, Error, Result};
use crate::ops::{self, Docket};

/// What an agent that has read nothing else needs to know.
const INSTRUCTIONS: &str = "Docket: tasks shared by many agents. Work: list_tasks(status=\"active\"), \
update_task(id, status=\"in_progress\", assignee=YOU) claims (code already_claimed: take another), \
update_task(id, body=\"- ...\") after EACH item (append-only receipts), complete_task(id). \
Many similar items: create_batch splits them into chunks and returns the prompt for background workers; \
they claim_task(batch=...) and bring claim.token with every write. Don't block on workers: poll get_batch(id, since).";

const WORKER_INSTRUCTIONS: &str = "Docket: claim_task gives one task with its instructions, items and claim.token. \
After EACH item update_task(id, claim, item, outcome, category, body); then complete_task(id, claim). \
On claim_lost or nothing_to_claim: stop.";

/// Requests whose parameters may be malformed; everything else unknown is no method at all.
const KNOWN_METHODS: &[&str] = &[
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "completion/complete",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
];

struct Server {
    docket: Docket,
    toolset: Toolset,
    tools: Arc<Vec<Tool>>,
    in_flight: Arc<InFlight>,
}

/// Runs an operation; one that panics is a failure like others.
fn attempt(entry: &ops::Entry, docket: &Docket, arguments: Value) -> Result<Value> {
    catch_unwind(AssertUnwindSafe(|| (entry.call)(docket, arguments))).unwrap_or_else(|_| Err(failed()))
}

fn failed() -> Error {
    Error::new(Code::Internal, "the request failed inside docket; nothing was changed")
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let instructions = if self.toolset == Toolset::Worker { WORKER_INSTRUCTIONS } else { INSTRUCTIONS };
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("docket", env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.as_ref().clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = ops::named(&request.name).filter(|entry| self.toolset.offers(entry)) else {
            let offered: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_ref()).collect();
            let name = crate::model::text::excerpt(&request.name);
            return Err(ErrorData::invalid_params(
                format!("Unknown tool '{name}'; there are {}", offered.join(", ")),
                None,
            ));
        };
        let docket = match context.client_info() {
            Some(client) => self.docket.called_by(client.name),
            None => self.docket.clone(),
        };
        let arguments = request.arguments.map_or(Value::Null, Value::Object);
        // A call blocks until what it wrote is on disk, so the protocol goes on beside it. One that
        // is alone is run right here: waking threads would take longer than the call itself.
        let call = move || attempt(entry, &docket, arguments);
        let outcome = if self.in_flight.is_one() && !entry.long {
            call()
        } else {
            tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| Err(failed().caused_by(error)))
        };
        Ok(result(outcome, context.protocol_version().as_ref()).into())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = crate::model::text::excerpt(&request.method);
        let params = request.params.unwrap_or_default();
        if request.method == "tools/call"
            && let (Some(tool), Some(arguments)) =
                (params.get("name").and_then(Value::as_str), params.get("arguments"))
            && !arguments.is_object()
        {
            let given = crate::model::text::excerpt(&arguments.to_string());
            let error = Error::invalid(format!("arguments of {tool} must be an object, not {given}"));
            let answer = result(Err(error), context.protocol_version().as_ref());
            return serde_json::to_value(answer)
                .map(CustomResult::new)
                .map_err(|error| ErrorData::internal_error(error.to_string(), None));
        }
        if KNOWN_METHODS.contains(&request.method.as_str()) {
            return Err(ErrorData::invalid_params(
                format!("{method}: its params are malformed; they must be an object of the protocol's shape"),
                None,
            ));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("Method not found: {method}"), None))
    }
}

/// Serves one client on standard input and output until it goes away.
///
/// # Errors
/// Where the runtime cannot start or the client does not speak the protocol.
pub fn serve(docket: Docket, toolset: Toolset) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(super::transport::IN_FLIGHT as usize + 4)
        .build()
        .map_err(|error| Error::internal("the server could not be started", error))?;
    let ended = runtime.block_on(async move {
        let (input, output) = rmcp::transport::stdio_pipes();
        let lines = Lines::new(input, output);
        let tools = Arc::new(definitions(toolset));
        let server = Server { docket, toolset, tools, in_flight: lines.in_flight() };
        match server.serve(lines).await {
            Ok(running) => {
                running.waiting().await.map_err(|error| Error::internal("the server ended early", error))?;
                Ok(())
            }
            // A client that goes away before it says anything has asked for nothing.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(Error::internal("the client does not speak the protocol", error)),
        }
    });
    // A read of standard input that is still waiting must not keep the process.
    runtime.shutdown_background();
    ended
}
