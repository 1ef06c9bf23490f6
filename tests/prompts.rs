//! The prompts for supervisors and workers, over the protocol and by command.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// Creates a batch with one item. Returns its id.
fn create_batch(store: &Store) -> String {
    let request = json!({"title": "B", "instructions": "Do it.", "items": ["a"]});
    store.serve().call("create_batch", request).ok().text("/batch/id")
}

fn get_prompt(server: &mut Server, name: &str, arguments: Value) -> Value {
    server.request("prompts/get", json!({"name": name, "arguments": arguments}))
}

#[track_caller]
fn text(answer: &Value) -> String {
    assert_eq!(answer["result"]["messages"][0]["role"], "user", "{answer}");
    answer["result"]["messages"][0]["content"]["text"].as_str().expect("a text").to_owned()
}

#[track_caller]
fn refused(answer: &Value) -> String {
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    answer["error"]["message"].as_str().expect("a message").to_owned()
}

fn names(server: &mut Server) -> Vec<String> {
    let answer = server.request("prompts/list", json!({}));
    let prompts = answer["result"]["prompts"].as_array().expect("prompts").clone();
    prompts.iter().map(|prompt| prompt["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn both_prompts_are_offered_in_both_protocols() {
    let store = Store::new();
    let batch = create_batch(&store);
    for stateless in [false, true] {
        let mut server = store.server(&[]);
        server.start_reading();
        let capabilities = if stateless {
            server.stateless();
            server.request("server/discover", json!({}))["result"]["capabilities"].clone()
        } else {
            server.initialize("2025-11-25")["capabilities"].clone()
        };
        assert!(capabilities["prompts"].is_object(), "{capabilities}");
        let listed = server.request("prompts/list", json!({}));
        let prompts = &listed["result"]["prompts"];
        assert_eq!(prompts[0]["name"], "supervise_batch", "{listed}");
        assert_eq!(prompts[1]["name"], "work_chunk", "{listed}");
        assert_eq!(prompts[1]["arguments"][0]["name"], "batch", "{listed}");
        assert_eq!(prompts[1]["arguments"][0]["required"], true, "{listed}");
        let reply = text(&get_prompt(&mut server, "work_chunk", json!({"batch": batch})));
        assert!(reply.contains(&batch), "{reply}");
    }
}

#[test]
fn the_worker_prompt_is_the_same_in_the_reply_the_protocol_and_the_command() {
    let store = Store::new();
    let mut server = store.serve();
    let plan =
        server.call("create_batch", json!({"title": "B", "instructions": "Do it.", "items": ["a"]})).ok();
    let batch = plan.text("/batch/id");
    let reply = plan.text("/worker_prompt");
    assert_eq!(text(&get_prompt(&mut server, "work_chunk", json!({"batch": batch}))), reply);
    let printed = store.tasktally(["prompt", "work_chunk", "--batch", &batch]).success();
    assert_eq!(printed.stdout.trim_end(), reply);
    let json = store.tasktally(["prompt", "work-chunk", "--batch", &batch, "--json"]).success().json();
    let answer = get_prompt(&mut server, "work_chunk", json!({"batch": batch}));
    assert_eq!(json["messages"], answer["result"]["messages"]);
    assert_eq!(json["description"], answer["result"]["description"]);
    let named = get_prompt(&mut server, "work_chunk", json!({"batch": batch, "worker": "poly \"cat\""}));
    assert!(text(&named).contains(r#"worker="poly \"cat\"")"#), "{named}");
}

#[test]
fn only_the_name_of_a_prompt_may_be_written_with_hyphens() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    let run = ["run", "--items", "items.jsonl", "--json", "--", "echo", "prompt", "work-chunk"];
    let ran = store.tasktally(run).success();
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let chunk = end["chunks"][0]["id"].as_str().unwrap().to_owned();
    let body = store.serve().body(&chunk);
    assert!(body.contains("prompt work-chunk"), "the worker's command was changed: {body}");
}

#[test]
fn a_prompt_is_short_and_names_only_existing_tools() {
    let store = Store::new();
    let batch = create_batch(&store);
    let mut server = store.serve();
    let tools = server.request("tools/list", json!({}))["result"]["tools"].clone();
    let tools: Vec<&str> =
        tools.as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    for (name, arguments) in [
        ("work_chunk", json!({"batch": batch})),
        ("supervise_batch", json!({"goal": "File each commit."})),
        (
            "supervise_batch",
            json!({"goal": "File each commit.", "source": "commits.jsonl", "split": "time", "workers": "4"}),
        ),
    ] {
        let reply = text(&get_prompt(&mut server, name, arguments));
        assert!(reply.len() < 2_000, "{name}: {} bytes", reply.len());
        let called: Vec<&str> = reply
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(')
            .filter_map(|word| word.split_once('(').map(|(called, _)| called))
            .filter(|called| called.contains('_'))
            .collect();
        assert!(called.len() > 2, "{name}: {called:?}");
        for tool in called {
            assert!(tools.contains(&tool), "{name}: {tool} is no tool");
        }
    }
}

#[test]
fn an_invalid_request_is_refused_with_what_is_allowed() {
    let store = Store::new();
    let batch = create_batch(&store);
    let mut server = store.serve();
    let unknown = refused(&get_prompt(&mut server, "no_such_prompt", json!({})));
    assert!(unknown.contains("supervise_batch, work_chunk"), "{unknown}");
    for (name, arguments, expected) in [
        ("work_chunk", json!({}), "needs the argument 'batch'"),
        ("work_chunk", json!({"batch": ""}), "needs the argument 'batch'"),
        ("work_chunk", json!({"batch": batch, "wroker": "w"}), "no argument 'wroker'"),
        ("work_chunk", json!({"batch": "no id\n1. obey"}), "is not a task id"),
        ("work_chunk", json!({"batch": batch, "worker": "a\nb"}), "one line"),
        ("work_chunk", json!({"batch": 7}), "'7' is not a string"),
        ("work_chunk", json!({"batch": "nosuch"}), "No batch 'nosuch'; get_batch() lists the open batches"),
        (
            "work_chunk",
            json!({"batch": format!("{batch}.1")}),
            &format!("batch: {batch}.1 is a chunk; its batch is {batch}"),
        ),
        ("supervise_batch", json!({}), "goal (required: what to do with each item)"),
        ("supervise_batch", json!({"goal": "g", "workers": "64"}), "'64' is not allowed; allowed: 1 to 8"),
    ] {
        let message = refused(&get_prompt(&mut server, name, arguments));
        assert!(message.contains(expected), "{message}");
    }
    let output = store.tasktally(["prompt", "no_such_prompt"]).code(2).output();
    assert!(output.contains("no_such_prompt"), "{output}");
    let output = store.tasktally(["prompt", "work_chunk", "--batch", "nothing"]).code(1).output();
    assert!(output.contains("No batch 'nothing'"), "{output}");
    let chunk = format!("{batch}.1");
    let output = store.tasktally(["prompt", "work_chunk", "--batch", &chunk]).code(2).output();
    assert!(output.contains(&format!("--batch: {chunk} is a chunk")), "{output}");
    let output = store.tasktally(["prompt", "work_chunk"]).code(2).output();
    assert!(output.contains("--batch"), "{output}");
    let output =
        store.tasktally(["prompt", "supervise_batch", "--goal", "g", "--workers", "9"]).code(2).output();
    assert!(output.contains("1 to 8"), "{output}");
}

#[test]
fn a_worker_is_offered_its_own_prompt_and_no_resources() {
    let store = Store::new();
    let batch = create_batch(&store);
    let mut server = store.server(&["--toolset", "worker"]);
    server.start_reading();
    let capabilities = server.initialize("2025-11-25")["capabilities"].clone();
    assert!(capabilities["resources"].is_null(), "{capabilities}");
    assert_eq!(names(&mut server), ["work_chunk"]);
    text(&get_prompt(&mut server, "work_chunk", json!({"batch": batch})));
    let message = refused(&get_prompt(&mut server, "supervise_batch", json!({"goal": "g"})));
    assert!(message.contains("the prompts are work_chunk"), "{message}");
    for (method, params) in [
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "tasktally://tasks/x"})),
    ] {
        assert_eq!(server.request(method, params)["error"]["code"], -32601, "{method}");
    }
}

#[test]
fn malformed_params_are_invalid_params_and_not_an_unknown_method() {
    let store = Store::new();
    for stateless in [false, true] {
        let mut server = store.server(&[]);
        server.start_reading();
        if stateless {
            server.stateless();
        } else {
            server.initialize("2025-06-18");
        }
        for (method, params) in [
            ("prompts/get", json!({"name": 7})),
            ("prompts/get", json!({"name": "work_chunk", "arguments": ["batch"]})),
            ("prompts/get", json!({})),
            ("resources/read", json!({})),
            ("resources/read", json!({"uri": {}})),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/other"}, "argument": {"name": "a", "value": ""}}),
            ),
        ] {
            refused(&server.request(method, params));
        }
        server.create_task("Still here");
    }
}
