//! Tool calls. Most run one operation. `wait_batch` may return a task of the tasks extension, and `review_batch`
//! may ask a person first.

use rmcp::RoleServer;
use rmcp::model::{CallToolResponse, CreateTaskResult, InputRequiredResult, InputResponses};
use rmcp::service::RequestContext;
use serde_json::Value;

use super::client_features::ClientFeatures;
use super::operation_call::call_operation;
use super::server::Server;
use super::tools::result;
use super::{elicitation, progress, wait_tasks};
use crate::error::Result;
use crate::ops::{self, Entry, WaitState};

impl Server {
    /// Runs a tool call and returns the response, in a form that the client supports.
    pub(super) async fn respond_to_call(
        &self,
        entry: &'static Entry,
        arguments: Value,
        responses: Option<InputResponses>,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        let client = ClientFeatures::of(context);
        let version = context.protocol_version();
        let response = if entry.name == "wait_batch" && client.tasks && !self.session.server_scope().read_only
        {
            self.start_wait(arguments, context).await
        } else if entry.name == "review_batch" && client.forms {
            Box::pin(self.pending_review(arguments, responses, client, context)).await
        } else {
            let reply = self.run_operation(entry, arguments, context).await;
            return result(reply, version.as_ref()).into();
        };
        response.unwrap_or_else(|error| result(Err(error), version.as_ref()).into())
    }

    /// Runs an operation. If the request has a progress token, sends progress notifications.
    async fn run_operation(
        &self,
        entry: &'static Entry,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value> {
        let session = self.session_of(context);
        match context.meta.get_progress_token() {
            Some(token) if entry.long_running => {
                let (sender, receiver) = tokio::sync::watch::channel(ops::Progress::default());
                let session = session.with_progress(move |progress| {
                    sender.send_replace(progress);
                });
                let work = self.run(true, move || call_operation(entry, &session, arguments));
                progress::run_with_progress(&context.peer, token, receiver, work).await
            }
            _ => self.run(entry.long_running, move || call_operation(entry, &session, arguments)).await,
        }
    }

    /// `wait_batch` for a client that supports tasks.
    async fn start_wait(
        &self,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse> {
        let (session, may_ask) = (self.session_of(context), ClientFeatures::of(context).forms);
        let wait = self.run(false, move || ops::start_wait(&session, arguments, may_ask)).await?;
        Ok(match wait.state {
            WaitState::Ended(reply) => result(Ok(reply), context.protocol_version().as_ref()).into(),
            _ => CreateTaskResult::new(wait_tasks::task_of(&wait)).into(),
        })
    }

    /// `review_batch` for a client that can ask a person: the person decides, also if the agent passed a decision.
    async fn pending_review(
        &self,
        arguments: Value,
        responses: Option<InputResponses>,
        client: ClientFeatures,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse> {
        let session = self.session_of(context);
        let reader = session.clone();
        let review = self.run(false, move || ops::pending_review(&reader, arguments)).await?;
        let reply = match (client.stateless, responses) {
            (true, None) => {
                let question = self.run(false, move || review.ask(&session)).await?;
                let requests = elicitation::input_request(&question)?;
                return Ok(InputRequiredResult::from_input_requests(requests).into());
            }
            (true, Some(responses)) => {
                self.run(true, move || review.answer_by_key(&session, responses)).await?
            }
            (false, _) => {
                let answer = elicitation::ask(&review.question, context, &self.in_flight)
                    .await?
                    .map_err(|why| review.undecided(&why))?;
                self.run(true, move || review.answer(&session, &answer)).await?
            }
        };
        Ok(result(Ok(reply), context.protocol_version().as_ref()).into())
    }
}
