//! The tasks extension with another implementation of a 2026-07-28 client: the client of rmcp, over a child process.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig,
    DetailedTask, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData,
    GetTaskParams, Implementation, InputRequest, InputResponses, ProtocolVersion, SubscriptionFilter,
    TaskPayload, TaskStatus, UpdateTaskParams,
};
use rmcp::service::{ClientLifecycleMode, RequestContext, RoleClient, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, ClientServiceExt as _};
use serde_json::{Value, json};

use support::PATIENCE;
use support::store::Store;

type Client = RunningService<RoleClient, Supervisor>;

/// A client whose person approves every question.
struct Supervisor(ClientConfig);

impl ClientHandler for Supervisor {
    fn get_info(&self) -> ClientConfig {
        self.0.clone()
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        assert!(matches!(request, ElicitRequestParams::FormElicitationParams { .. }), "{request:?}");
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"decision": "approve"})))
    }
}

/// The lifecycle of 2026-07-28.
fn stateless() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

/// Starts a server process and connects a client to it.
async fn connect(store: &Store, lifecycle: ClientLifecycleMode) -> Client {
    let mut command = store.command();
    command.arg("serve");
    let transport =
        TokioChildProcess::new(tokio::process::Command::from(command)).expect("tasktally serve starts");
    let mut capabilities = ClientCapabilities::builder().enable_tasks().build();
    capabilities.elicitation = Some(ElicitationCapability::new());
    let config = ClientConfig::new(capabilities, Implementation::new("supervisor", "1.0"));
    Supervisor(config).serve_with_lifecycle(transport, lifecycle).await.expect("the server is there")
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else { panic!("no object: {arguments}") };
    CallToolRequestParams::new(tool).with_arguments(arguments)
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Value {
    let result = client.call_tool(params(tool, arguments)).await.expect("an answer");
    assert_ne!(result.is_error, Some(true), "{result:?}");
    result.structured_content.expect("a structured reply")
}

async fn wait(client: &Client, batch: &str) -> String {
    match client.call_tool_once(params("wait_batch", json!({"id": batch}))).await.expect("an answer") {
        CallToolResponse::Task(created) => created.task.task_id,
        other => panic!("no handle: {other:?}"),
    }
}

/// Polls a handle at its suggested interval until it has a status.
async fn wait_for_status(client: &Client, handle: &str, status: TaskStatus) -> DetailedTask {
    let polled = async {
        loop {
            let seen = client.get_task(GetTaskParams::new(handle)).await.expect("the handle is known").task;
            if seen.status() == status {
                return seen;
            }
            let pause = seen.task.poll_interval_ms.expect("an interval to poll at");
            tokio::time::sleep(Duration::from_millis(pause.min(50))).await;
        }
    };
    tokio::time::timeout(PATIENCE, polled).await.expect("the status comes")
}

async fn work(client: &Client, batch: &str) {
    let claim = call(client, "claim_task", json!({"batch": batch, "worker": "polecat"})).await;
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for item in claim["items"].as_array().unwrap() {
        let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "done",
                             "category": "fyi", "body": "- sorted"});
        call(client, "update_task", receipt).await;
    }
    call(client, "complete_task", json!({"id": id, "claim": token})).await;
}

async fn batch(client: &Client) -> String {
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a", "b"],
                       "checkpoint": "chunk"});
    call(client, "create_batch", batch).await["batch"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_rmcp_client_waits_answers_and_gets_the_result_over_two_servers() {
    let store = Store::new();
    let first = connect(&store, stateless()).await;
    let id = batch(&first).await;
    let handle = wait(&first, &id).await;
    let stream = first
        .listen(
            SubscriptionFilter::builder().resource_subscription(format!("tasktally://batches/{id}")).build(),
        )
        .await
        .expect("a stream");
    work(&first, &id).await;
    drop(stream);
    let asked = wait_for_status(&first, &handle, TaskStatus::InputRequired).await;
    let TaskPayload::InputRequired { input_requests } = asked.payload else { panic!("no question") };
    let (key, request) = input_requests.into_iter().next().expect("a question");
    assert!(matches!(request, InputRequest::Elicitation(_)), "{request:?}");
    // The first server ends. The second server continues its wait.
    first.cancel().await.expect("the server ends");
    let second = connect(&store, stateless()).await;
    let given = json!({"action": "accept", "content": {"decision": "approve"}});
    second
        .update_task(UpdateTaskParams::new(&*handle, InputResponses::from([(key, given)])))
        .await
        .expect("the answer is taken");
    let ended = wait_for_status(&second, &handle, TaskStatus::Completed).await;
    let TaskPayload::Completed { result } = ended.payload else { panic!("no result") };
    assert_eq!(result["structuredContent"]["batch"]["status"], "done", "{result:?}");

    let id = batch(&second).await;
    let handle = wait(&second, &id).await;
    second.cancel_task(CancelTaskParams::new(&*handle)).await.expect("it is cancelled");
    let cancelled = wait_for_status(&second, &handle, TaskStatus::Cancelled).await;
    assert!(cancelled.task.status_message.unwrap().contains("the batch was not changed"));
    assert_eq!(call(&second, "get_batch", json!({"id": id})).await["batch"]["status"], "running");
    second.cancel().await.expect("the server ends");
}

#[tokio::test]
async fn an_rmcp_client_is_asked_for_its_person_in_both_protocols() {
    for lifecycle in [stateless(), ClientLifecycleMode::Initialize] {
        let store = Store::new();
        let client = connect(&store, lifecycle).await;
        let id = batch(&client).await;
        work(&client, &id).await;
        let reply = call(&client, "review_batch", json!({"id": id})).await;
        assert_eq!(reply["batch"]["status"], "done", "{reply}");
        let task = call(&client, "get_task", json!({"id": id})).await;
        let body = task["task"]["body"].as_str().unwrap();
        assert!(body.contains("'person at supervisor' decided approve"), "{body}");
        client.cancel().await.expect("the server ends");
    }
}
