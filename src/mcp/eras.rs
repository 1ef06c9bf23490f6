//! What a client is offered by its era and by what it declared: a legacy client breaks on what it does
//! not know, so it sees nothing of it.

use rmcp::model::{
    CancelTaskMethod, ClientCapabilities, ClientRequest, ConstString, ErrorCode, ErrorData, GetTaskMethod,
    ProtocolVersion, ServerConfig, ServerResult, TASKS_EXTENSION_ID, UpdateTaskMethod,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, Service};

/// What the client of a request can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    /// Whether it speaks 2026-07-28 or later: it is never sent a request.
    pub(super) stateless: bool,
    /// Whether it takes a task's handle for an answer.
    pub(super) tasks: bool,
    /// Whether it can have a person fill in a form.
    pub(super) forms: bool,
}

impl Client {
    /// The client behind a request.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let stateless = context.protocol_version().is_some_and(|version| is_stateless(&version));
        let capabilities = context.client_capabilities().unwrap_or_default();
        Client {
            stateless,
            tasks: stateless && capabilities.supports_tasks(),
            forms: has_forms(&capabilities),
        }
    }
}

fn is_stateless(version: &ProtocolVersion) -> bool {
    // Versions are dates: they sort as they came.
    version.as_str() >= ProtocolVersion::V_2026_07_28.as_str()
}

/// Who declares neither kind of elicitation means forms: they came first.
fn has_forms(capabilities: &ClientCapabilities) -> bool {
    capabilities.elicitation.as_ref().is_some_and(|kinds| kinds.form.is_some() || kinds.url.is_none())
}

/// A server as its client's era and declarations let it be seen.
pub(super) struct Eras<S>(pub(super) S);

impl<S: Service<RoleServer>> Service<RoleServer> for Eras<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let client = Client::of(&context);
        if !client.stateless
            && let Some(method) = task_method(&request)
        {
            return Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                format!("Method not found: {method}"),
                None,
            ));
        }
        // It has room for every sort of request, and rmcp moves what it is part of several times.
        let mut result = Box::pin(self.0.handle_request(request, context)).await?;
        let capabilities = match &mut result {
            // Whatever version it asks for: a handshake ends in an older one.
            ServerResult::InitializeResult(result) => Some(&mut result.capabilities),
            ServerResult::DiscoverResult(result) if !client.tasks => Some(&mut result.capabilities),
            _ => None,
        };
        if let Some(capabilities) = capabilities
            && let Some(extensions) = &mut capabilities.extensions
        {
            extensions.remove(TASKS_EXTENSION_ID);
            if extensions.is_empty() {
                capabilities.extensions = None;
            }
        }
        Ok(result)
    }

    async fn handle_notification(
        &self,
        notification: rmcp::model::ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.handle_notification(notification, context).await
    }

    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }
}

/// The method of a request of the tasks extension, malformed or not.
fn task_method(request: &ClientRequest) -> Option<&'static str> {
    let methods = [GetTaskMethod::VALUE, UpdateTaskMethod::VALUE, CancelTaskMethod::VALUE];
    match request {
        ClientRequest::GetTaskRequest(_) => Some(GetTaskMethod::VALUE),
        ClientRequest::UpdateTaskRequest(_) => Some(UpdateTaskMethod::VALUE),
        ClientRequest::CancelTaskRequest(_) => Some(CancelTaskMethod::VALUE),
        ClientRequest::CustomRequest(custom) => methods.into_iter().find(|method| *method == custom.method),
        _ => None,
    }
}
