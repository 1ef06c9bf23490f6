//! Tool calls: most are an operation and its reply; some are answered with a handle, or with a question
//! to a person first.

use rmcp::RoleServer;
use rmcp::model::{CallToolResponse, CreateTaskResult, InputRequiredResult, InputResponses};
use rmcp::service::RequestContext;
use serde_json::Value;

use super::eras::Client;
use super::server::{Server, attempt};
use super::tools::result;
use super::{handles, person, progress};
use crate::error::{Code, Error, Result};
use crate::ops::{self, Entry, WaitState};

impl Server {
    /// What a tool call is answered with, for the client that made it.
    pub(super) async fn answer(
        &self,
        entry: &'static Entry,
        arguments: Value,
        responses: Option<InputResponses>,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        let client = Client::of(context);
        let version = context.protocol_version();
        let answered = if entry.name == "wait_batch" && client.tasks {
            self.start_wait(arguments, context).await
        } else if entry.name == "review_batch" && client.forms && arguments["decision"].is_null() {
            Box::pin(self.pending_review(arguments, responses, client, context)).await
        } else {
            let reply = self.operate(entry, arguments, context).await;
            return result(reply, version.as_ref()).into();
        };
        answered.unwrap_or_else(|error| result(Err(error), version.as_ref()).into())
    }

    /// Runs an operation, telling how far it is where the client wants to know.
    async fn operate(
        &self,
        entry: &'static Entry,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value> {
        let session = self.session_of(context);
        match context.meta.get_progress_token() {
            Some(token) if entry.long_running => {
                let (sender, watched) = tokio::sync::watch::channel(ops::Progress::default());
                let session = session.with_progress(move |progress| {
                    sender.send_replace(progress);
                });
                let work = self.run(true, move || attempt(entry, &session, arguments));
                progress::told(&context.peer, token, watched, work).await
            }
            _ => self.run(entry.long_running, move || attempt(entry, &session, arguments)).await,
        }
    }

    /// `wait_batch` for a client that takes a handle for an answer.
    async fn start_wait(
        &self,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse> {
        let session = self.session_of(context);
        let waiting = self.run(false, move || ops::start_wait(&session, arguments)).await?;
        Ok(match waiting.state {
            WaitState::Ended(reply) => result(Ok(reply), context.protocol_version().as_ref()).into(),
            _ => CreateTaskResult::new(handles::handle(&waiting)).into(),
        })
    }

    /// `review_batch` without a decision, for a client that can ask a person.
    async fn pending_review(
        &self,
        arguments: Value,
        responses: Option<InputResponses>,
        client: Client,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse> {
        let session = self.session_of(context);
        let asker = session.clone();
        let Some(asked) = self.run(false, move || ops::pending_review(&asker, arguments)).await? else {
            return Err(Error::new(Code::Internal, "the review is decided, and a person was to be asked"));
        };
        let given = match (client.stateless, responses) {
            (true, None) => {
                let requests = person::input_request(&asked.question)?;
                return Ok(InputRequiredResult::from_input_requests(requests).into());
            }
            (true, Some(mut responses)) => {
                responses.remove(&asked.question.name).ok_or_else(|| asked.outdated())?
            }
            (false, _) => person::ask(&asked.question, context, &self.in_flight)
                .await?
                .map_err(|why| asked.undecided(&why))?,
        };
        let reply = self.run(true, move || asked.answer(&session, &given)).await?;
        Ok(result(Ok(reply), context.protocol_version().as_ref()).into())
    }
}
