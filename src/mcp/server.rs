//! The MCP server: answers the requests of one client from one store.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetTaskParams, GetTaskResult, Implementation, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::client_features::{ClientFeatures, FeatureFilter};
use super::in_flight::InFlight;
use super::lone_calls::{self, CallSender};
use super::operation_call::{catch_panic, request_failed};
use super::subscriptions::{Notifier, Subscriptions};
use super::tools::{Toolset, definitions, has_structured_content, result};
use super::transport::LineTransport;
use super::{completion, prompts, resources, wait_tasks};
use crate::error::{Code, Error, Result};
use crate::ops::{self, Session};

/// The instructions for an agent that has read nothing else.
const INSTRUCTIONS: &str = "Tasktally: tasks shared by many agents. One task: claim_task(worker=YOU) claims the best \
ready one and returns claim.token; update_task(id, claim, body=\"- ...\") after EACH step appends a receipt; \
complete_task(id, claim) ends it. (list_tasks, then update_task(status=\"in_progress\", assignee=YOU), claims as well; \
code already_claimed: take another.) \
Many similar items: create_batch splits them into chunks and returns the prompt for background workers, which claim \
chunk after chunk until nothing_to_claim. Don't block on workers: wait_batch(id) if your client runs tasks in the \
background, else poll get_batch(id, since).";

const WORKER_INSTRUCTIONS: &str = "Tasktally: claim_task returns one task with its instructions, items and claim.token. \
After EACH item update_task(id, claim, item, outcome, category, body); then complete_task(id, claim), and claim_task \
again. On claim_lost: leave that task. On nothing_to_claim, paused or cancelled: stop.";

/// The instructions for a worker that a runner started for one chunk.
const ONE_CHUNK_INSTRUCTIONS: &str = "Tasktally: claim_task returns your chunk with its instructions, items and \
claim.token. After EACH item update_task(id, claim, item, outcome, category, body); then complete_task(id, claim), and \
stop. On claim_lost: stop.";

/// The methods of the protocol. rmcp passes a request of these as a custom request if its parameters are malformed.
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
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
];

pub(super) struct Server {
    pub(super) session: Session,
    toolset: Toolset,
    tools: Arc<Vec<Tool>>,
    pub(super) in_flight: Arc<InFlight>,
    lone_calls: CallSender,
    subscriptions: Arc<Subscriptions>,
}

/// The JSON-RPC error for a refused request that is not a tool call.
fn json_rpc_error(error: Error) -> ErrorData {
    let message = error.to_string();
    match error.code {
        Code::InvalidArgument | Code::TooLarge => ErrorData::invalid_params(message, None),
        Code::NotFound => ErrorData::resource_not_found(message, None),
        _ => ErrorData::internal_error(message, None),
    }
}

impl Server {
    /// Runs a call that may block, outside of the runtime: on the protocol's own thread if no other request is in
    /// flight (see [`lone_calls`]), else on a thread of its own. If the call panics, returns an error.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        long: bool,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.in_flight.is_only_request() || long {
            let ran = tokio::task::spawn_blocking(call).await;
            return ran.unwrap_or_else(|error| Err(request_failed().caused_by(error)));
        }
        let (sender, answer) = oneshot::channel();
        let call = move || {
            // An error means that the request was cancelled.
            sender.send(catch_panic(call)).ok();
        };
        self.lone_calls.send(Box::new(call)).map_err(|_| request_failed())?;
        answer.await.unwrap_or_else(|error| Err(request_failed().caused_by(error)))
    }

    /// The session for the client of a request.
    pub(super) fn session_of(&self, context: &RequestContext<RoleServer>) -> Session {
        match context.client_info() {
            // The name becomes the author of receipts, and a client may send any text.
            Some(client) => self.session.called_by(&client.name),
            None => self.session.clone(),
        }
    }

    /// Refuses requests for resources in the worker toolset: a worker needs only its chunk.
    fn check_resources_offered(&self) -> Result<(), ErrorData> {
        match self.toolset {
            Toolset::All => Ok(()),
            Toolset::Worker => Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                "this server has the worker toolset, which offers no resources",
                None,
            )),
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let instructions = match self.toolset {
            _ if self.session.works_one_chunk() => ONE_CHUNK_INSTRUCTIONS,
            Toolset::Worker => WORKER_INSTRUCTIONS,
            Toolset::All => INSTRUCTIONS,
        };
        let with = ServerCapabilities::builder().enable_tools().enable_prompts().enable_completions();
        let capabilities = if self.toolset == Toolset::Worker {
            with.build()
        } else {
            let with = with.enable_resources().enable_resources_subscribe();
            // A wait is stored, which a server that only reads cannot do.
            if self.session.server_scope().read_only { with.build() } else { with.enable_tasks().build() }
        };
        InitializeResult::new(capabilities)
            .with_server_info(Implementation::new("tasktally", env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = self.tools.as_ref().clone();
        if !has_structured_content(context.protocol_version().as_ref()) {
            // Some clients report an error after a call that succeeded, if there is a schema and no structured content.
            tools.iter_mut().for_each(|tool| tool.output_schema = None);
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = ops::find_operation(&request.name)
            .filter(|entry| self.toolset.offers(entry) && self.session.server_scope().has(entry))
        else {
            let offered: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_ref()).collect();
            let name = crate::model::text::excerpt(&request.name);
            return Err(ErrorData::invalid_params(
                format!("Unknown tool '{name}'; the tools are {}", offered.join(", ")),
                None,
            ));
        };
        let arguments = request.arguments.map_or(Value::Null, Value::Object);
        Ok(self.respond_to_call(entry, arguments, request.input_responses, &context).await)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::definitions(self.toolset)))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let (session, toolset) = (self.session.clone(), self.toolset);
        let has_tasks = ClientFeatures::of(&context).tasks;
        let prompt = self.run(false, move || prompts::get(&session, toolset, request, has_tasks)).await;
        // An unknown prompt is a wrong parameter in every protocol version.
        prompt.map(Into::into).map_err(|error| ErrorData::invalid_params(error.to_string(), None))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.check_resources_offered()?;
        let session = self.session.clone();
        let listed = self.run(false, move || resources::list(&session)).await.map_err(json_rpc_error)?;
        Ok(ListResourcesResult::with_all_items(listed))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.check_resources_offered()?;
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.check_resources_offered()?;
        let session = self.session.clone();
        let read = self.run(false, move || resources::read(&session, &request.uri)).await;
        read.map(Into::into).map_err(json_rpc_error)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.check_resources_offered()?;
        self.subscriptions.subscribe(request.uri, context.peer).await.map_err(json_rpc_error)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.check_resources_offered()?;
        self.subscriptions.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        if self.toolset != Toolset::All {
            return None;
        }
        self.subscriptions.note_accepted_stream();
        let uris = requested.resource_subscriptions.iter().flatten().filter(|uri| resources::is_address(uri));
        Some(SubscriptionFilter::builder().resource_subscriptions(uris).build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.in_flight.start_waiting(&context.request_context().id).map_err(json_rpc_error)?;
        let uris = context.accepted().resource_subscriptions.clone().unwrap_or_default();
        let notifier = Notifier::Stream(context.sink().clone());
        let subscribed = self.subscriptions.add(uris, notifier).await.map_err(json_rpc_error)?;
        tokio::select! {
            () = context.cancelled() => {}
            () = self.in_flight.client_closed() => {}
        }
        self.subscriptions.remove(&subscribed);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let (session, may_ask) = (self.session_of(&context), ClientFeatures::of(&context).forms);
        let version = context.protocol_version();
        let read = move || {
            let wait = ops::read_wait(&session, &request.task_id, may_ask)?;
            wait_tasks::detailed_task(wait, version.as_ref())
        };
        self.run(false, read).await.map(GetTaskResult::new).map_err(wait_tasks::json_rpc_error)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (session, can_ask) = (self.session_of(&context), ClientFeatures::of(&context).forms);
        let answer = move || ops::answer_wait(&session, &request.task_id, request.input_responses, can_ask);
        self.run(false, answer).await.map_err(wait_tasks::json_rpc_error)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let session = self.session_of(&context);
        self.run(false, move || ops::cancel_wait(&session, &request.task_id))
            .await
            .map_err(wait_tasks::json_rpc_error)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let (session, toolset) = (self.session.clone(), self.toolset);
        let completion = self.run(false, move || completion::complete(&session, toolset, &request)).await;
        completion.map(CompleteResult::new).map_err(|error| match error.code {
            Code::NotFound => ErrorData::invalid_params(error.to_string(), None),
            _ => json_rpc_error(error),
        })
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
            let error = Error::invalid(format!(
                "arguments of {tool}: '{given}' is not a JSON object; send the parameters as one"
            ));
            let answer = result(Err(error), context.protocol_version().as_ref());
            return serde_json::to_value(answer)
                .map(CustomResult::new)
                .map_err(|error| ErrorData::internal_error(error.to_string(), None));
        }
        if KNOWN_METHODS.contains(&request.method.as_str()) {
            return Err(ErrorData::invalid_params(
                format!("{method}: params do not have the shape that the protocol defines for this method"),
                None,
            ));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("Method not found: {method}"), None))
    }
}

/// Serves one client on standard input and output until it disconnects.
///
/// # Errors
/// The runtime cannot start, or the client's first request does not open an MCP session.
pub fn serve(session: Session, toolset: Toolset) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(super::in_flight::MAX_IN_FLIGHT as usize + 4)
        .build()
        .map_err(|error| Error::internal("the server could not be started", error))?;
    let (lone_calls, calls) = mpsc::unbounded_channel();
    let serving = runtime.spawn(async move {
        let (input, output) = rmcp::transport::stdio_pipes();
        let lines = LineTransport::new(input, output);
        let tools = Arc::new(definitions(toolset, session.server_scope()));
        let subscriptions = Subscriptions::new(session.clone());
        let server =
            Server { session, toolset, tools, in_flight: lines.in_flight(), lone_calls, subscriptions };
        match FeatureFilter(server).serve(lines).await {
            Ok(running) => {
                running.waiting().await.map_err(|error| Error::internal("the server ended early", error))?;
                Ok(())
            }
            // The client disconnected before it sent a request, which is not an error.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(Error::internal("the client did not open an MCP session", error)),
        }
    });
    let ended = lone_calls::run(&runtime, calls, serving);
    // A thread may still block on standard input; do not wait for it.
    runtime.shutdown_background();
    ended
}
