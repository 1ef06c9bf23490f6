//! Which features a client supports, by its protocol version and the capabilities that it declared. A client of an
//! older version may fail on features that it does not know, so the server hides them from it.

use rmcp::model::{
    CancelTaskMethod, ClientCapabilities, ClientRequest, ConstString, ErrorCode, ErrorData, GetTaskMethod,
    ProtocolVersion, ServerConfig, ServerResult, TASKS_EXTENSION_ID, UpdateTaskMethod,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{RoleServer, Service};

/// The features that the client of a request supports.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientFeatures {
    /// Whether the client uses protocol version 2026-07-28 or later. The server sends no requests to such a client.
    pub(super) stateless: bool,
    /// Whether a tool call may return a task.
    pub(super) tasks: bool,
    /// Whether the client can show a form to a person (elicitation).
    pub(super) forms: bool,
}

impl ClientFeatures {
    /// The features of the client that sent a request.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let stateless = context.protocol_version().is_some_and(|version| is_stateless(&version));
        let capabilities = context.client_capabilities().unwrap_or_default();
        ClientFeatures {
            stateless,
            tasks: stateless && capabilities.supports_tasks(),
            forms: has_forms(&capabilities),
        }
    }
}

fn is_stateless(version: &ProtocolVersion) -> bool {
    // Versions are dates, so they compare as text.
    version.as_str() >= ProtocolVersion::V_2026_07_28.as_str()
}

/// A client that declares elicitation without a kind means forms, which were the only kind at first.
fn has_forms(capabilities: &ClientCapabilities) -> bool {
    capabilities.elicitation.as_ref().is_some_and(|kinds| kinds.form.is_some() || kinds.url.is_none())
}

/// A server without the features that its client does not support.
pub(super) struct FeatureFilter<S>(pub(super) S);

impl<S: Service<RoleServer>> Service<RoleServer> for FeatureFilter<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let client = ClientFeatures::of(&context);
        if !client.stateless
            && let Some(method) = task_method(&request)
        {
            return Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                format!("Method not found: {method}"),
                None,
            ));
        }
        // Boxed: the future is as large as the largest request, and rmcp moves it several times.
        let mut result = Box::pin(self.0.handle_request(request, context)).await?;
        let capabilities = match &mut result {
            // A handshake always results in an older version, whatever version the client asked for.
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

/// The method, if the request belongs to the tasks extension. A malformed one arrives as a custom request.
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
