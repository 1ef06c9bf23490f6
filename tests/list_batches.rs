//! The list of all batches, also those that have ended.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::steps::settle;
use support::store::Store;

#[test]
fn all_batches_are_listed_in_pages_with_their_end() {
    let store = Store::new();
    let mut server = store.serve();
    let create = |server: &mut Server, title: &str, project: &str| {
        let request = json!({"title": title, "instructions": "x", "items": ["a", "b"], "project": project});
        server.call("create_batch", request).ok().text("/batch/id")
    };
    let done = create(&mut server, "Done", "p");
    settle(&mut server, &done, &[("a", "done", "c"), ("b", "failed", "c")], true);
    server.call("review_batch", json!({"id": done, "decision": "approve"})).ok();
    let cancelled = create(&mut server, "Cancelled", "p");
    server.call("control_batch", json!({"id": cancelled, "action": "cancel"})).ok();
    let ended = |server: &mut Server| -> Value {
        let listed = server.call("get_batch", json!({"all": true, "project": "p"})).ok();
        let rows = listed["batches"].as_array().unwrap().iter();
        rows.map(|row| {
            json!([row["id"], row["status"], row["processed"], row["total"], row["failed"], row["ended"]])
        })
        .collect()
    };
    let before = ended(&mut server);
    assert_eq!((&before[0][0], &before[0][1]), (&json!(cancelled), &json!("cancelled")));
    assert_eq!((&before[1][0], &before[1][1], &before[1][4]), (&json!(done), &json!("done"), &json!(1)));
    assert!(before[0][5].is_string() && before[1][5].is_string(), "{before}");
    // A later receipt does not change when a batch ended.
    std::thread::sleep(std::time::Duration::from_millis(20));
    for id in [&done, &cancelled] {
        server.call("update_task", json!({"id": id, "body": "- a note"})).ok();
    }
    assert_eq!(ended(&mut server), before);

    let overview = server.call("get_batch", json!({})).ok();
    assert!(overview.text("/message").contains("get_batch(all=true)"), "{overview:?}");
    let open: Vec<String> = (0..45).map(|n| create(&mut server, &format!("Open {n}"), "q")).collect();
    let mut listed = Vec::new();
    let mut request = json!({"all": true});
    loop {
        let page = server.call("get_batch", request.clone()).ok();
        assert!(page.text("/message").contains("of 47 batches"), "{page:?}");
        let rows = page["batches"].as_array().unwrap();
        listed.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let message = page.text("/message");
        let Some(after) = message.split("batches_after=").nth(1) else { break };
        request["batches_after"] = json!(after.trim_end_matches(')').parse::<u64>().unwrap());
    }
    let newest_first: Vec<String> = open.into_iter().rev().chain([cancelled, done]).collect();
    assert_eq!(listed, newest_first);

    let printed = store.tasktally(["get-batch", "--all"]).success().stdout;
    assert!(printed.contains("Open 44") && printed.contains("get-batch --all --batches-after"), "{printed}");
    let refused = server.call("get_batch", json!({"all": true, "id": listed[0]}));
    assert!(refused.message().contains("without id only"), "{refused:?}");
}
