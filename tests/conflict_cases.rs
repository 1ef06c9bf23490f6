//! Conflicts between chunks as callers see them: refusals, resource fields, retries, leases, runs and races.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Barrier, Mutex};

use serde_json::{Value, json};

use support::resources::{conflicting_pairs, overlap, path_parts, random_path};
use support::rng::Rng;
use support::server::Server;
use support::store::Store;
use support::{rounds, run_in_parallel};

#[test]
fn a_refusal_names_the_count_the_remedy_and_three_conflicts() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<Value> =
        (0..25).map(|n| json!({"key": format!("k{n}"), "files": ["src/lib.rs"]})).collect();
    let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1});
    for dry_run in [true, false] {
        let mut batch = batch.clone();
        batch["dry_run"] = json!(dry_run);
        let reply = server.call("create_batch", batch);
        assert_eq!(reply.refusal(), "conflict");
        let message = reply.message();
        assert_eq!(conflicting_pairs(message).len(), 3, "{message}");
        assert!(message.contains("'src/lib.rs'") && message.contains("and 21 more"), "{message}");
        let place = |text: &str| message.find(text).unwrap_or_else(|| panic!("no {text}: {message}"));
        assert!(
            place("24 times") < place("serialize") && place("merge") < place("'src/lib.rs'"),
            "{message}"
        );
        assert!(message.len() < 1_000, "{message}");
    }
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 0);
}

#[test]
fn an_invalid_resource_is_refused_with_its_item_and_field() {
    let store = Store::new();
    let mut server = store.serve();
    for (files, resources, names) in [
        (json!(3), json!(null), ["'k'", "field 'files': 3"]),
        (json!([["a"]]), json!(["files"]), ["'k'", "[\"a\"]"]),
        (json!("../a"), json!("files"), ["'k'", "leads above"]),
        (json!("a\u{202e}b"), json!(null), ["'k'", "bidirectional"]),
        (json!("a"), json!(["files", "paths"]), ["no item has", "paths"]),
    ] {
        let item = json!({"key": "k", "files": files});
        let batch = json!({"title": "B", "instructions": "do", "items": [item], "resources": resources});
        let reply = server.call("create_batch", batch.clone());
        assert_eq!(reply.refusal(), "invalid_argument", "{batch}");
        for name in names {
            assert!(reply.message().contains(name), "{batch}: {}", reply.message());
        }
    }
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 0);
}

#[test]
fn any_field_can_name_the_resources_of_an_item() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([{"key": "a", "repo": "tasktally", "at": {"path": "x"}}, {"key": "b", "repo": "tasktally", "at": {"path": "y"}}]);
    let mut create = |resources: Value| {
        let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1, "resources": resources, "dry_run": true});
        server.call("create_batch", batch)
    };
    assert_eq!(create(json!("repo")).refusal(), "conflict");
    assert_eq!(create(json!(["/at/path", "repo"])).refusal(), "conflict");
    create(json!("/at/path")).ok();
    create(json!(null)).ok();
}

#[test]
fn a_reopened_batch_waits_for_a_conflicting_batch_that_started_meanwhile() {
    let store = Store::new();
    let mut server = store.serve();
    let create = |server: &mut Server, rule: &str| {
        let items = json!([{"key": "a", "files": "src/lib.rs"}]);
        let batch = json!({"title": "B", "instructions": "do", "items": items, "on_conflict": rule});
        server.call("create_batch", batch).ok().text("/batch/id")
    };
    let first = create(&mut server, "reject");
    let claim = server.call("claim_task", json!({"worker": "w", "batch": first})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    server
        .call("release_task", json!({"id": chunk, "claim": token, "reason": "no", "outcome": "failed"}))
        .ok();
    let second = create(&mut server, "reject");
    server.call("claim_task", json!({"worker": "w", "batch": second})).ok();
    server.call("control_batch", json!({"id": first, "action": "retry"})).ok();
    let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
    assert_eq!(reply.declined(), "not_ready");
    assert!(reply.message().contains(&format!("{second}.01")) && reply.message().contains("src/lib.rs"));
}

#[test]
fn an_expired_lease_frees_the_resources_of_its_claim() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([{"key": "a", "files": "src"}, {"key": "b", "files": ["src/lib.rs"]}]);
    let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1, "on_conflict": "serialize"});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let first = server.call("claim_task", json!({"worker": "w", "batch": id})).ok().text("/task/id");
    let second = json!({"worker": "w", "id": format!("{id}.02")});
    assert_eq!(server.call("claim_task", second.clone()).declined(), "not_ready");
    store.expire_claim(&first);
    server.call("claim_task", second).ok();
}

#[test]
fn a_run_allows_conflicts_by_default_and_waits_under_serialize() {
    let store = Store::new();
    let lines: Vec<String> = (0..12)
        .map(|n| json!({"key": format!("k{n:02}"), "files": [format!("f{}", n % 2)]}).to_string())
        .collect();
    store.write("items.jsonl", lines.join("\n"));
    let run = |more: &[&str]| {
        let args = ["run", "--items", "items.jsonl", "--max-chunk", "1", "--workers", "4", "--quiet"];
        store.tasktally([&args, more, &["--", "sh", "worker.sh"]].concat())
    };
    store.write("worker.sh", "true");
    run(&[]).success();
    assert!(run(&["--on-conflict", "reject"]).code(1).stderr.contains("'f0'"));
    assert!(run(&["--resources", "files"]).code(1).stderr.contains("'f0'"));
    // Two workers with the same file at the same time would both try to create its lock folder; the second fails.
    store.write(
        "worker.sh",
        "f=$(cat | sed 's/.*\\[\"//; s/\".*//'); mkdir lock.$f || exit 1; sleep 0.05; rmdir lock.$f",
    );
    run(&["--on-conflict", "serialize"]).success();
    run(&["--on-conflict", "merge"]).success();
}

#[test]
fn of_batches_created_at_once_over_the_same_files_one_is_accepted() {
    let store = Store::new();
    store.serve();
    for round in 0..10 {
        let barrier = Barrier::new(4);
        let accepted = run_in_parallel(4, |number| {
            let file = ["src", "src/lib.rs"][number % 2];
            let items = json!([{"key": "a", "files": file}]);
            let batch =
                json!({"title": "B", "instructions": "do", "items": items, "project": format!("p{round}")});
            let mut server = store.serve();
            barrier.wait();
            server.call("create_batch", batch).succeeded()
        });
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1);
    }
}

#[test]
fn workers_of_two_batches_never_hold_the_same_file_at_the_same_time() {
    let mut rng = Rng::seeded("workers of two batches");
    let store = Store::new();
    let mut server = store.serve();
    let touched: BTreeMap<String, Vec<Vec<String>>> = (0..40)
        .map(|number| (format!("k{number:02}"), (0..2).map(|_| path_parts(&random_path(&mut rng))).collect()))
        .collect();
    let mut batches = Vec::new();
    for half in 0..2 {
        let items: Vec<Value> = touched
            .iter()
            .filter(|(key, _)| key.ends_with(['0', '1', '2', '3', '4']) == (half == 0))
            .map(|(key, paths)| {
                let paths: Vec<String> = paths
                    .iter()
                    .map(|parts| parts.join("/").trim_start_matches("./").replace("//", "/"))
                    .collect();
                json!({"key": key, "at": paths})
            })
            .collect();
        let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1,
                           "resources": "at", "on_conflict": "serialize"});
        batches.push(server.call("create_batch", batch).ok().text("/batch/id"));
    }
    let claimed: Mutex<BTreeSet<String>> = Mutex::default();
    let ended: usize = run_in_parallel(4, |number| {
        let mut server = store.serve();
        let mut ended = 0;
        loop {
            let open = server.call("get_batch", json!({})).ok()["batches"].as_array().unwrap().len();
            if open == 0 {
                return ended;
            }
            let claim = server.call("claim_task", json!({"worker": "w", "batch": batches[number % 2]}));
            let claim =
                if claim.succeeded() { claim } else { server.call("claim_task", json!({"worker": "w"})) };
            if !claim.succeeded() {
                continue;
            }
            let (id, token, key) =
                (claim.text("/task/id"), claim.text("/claim/token"), claim.text("/items/0/key"));
            {
                let mut claimed = claimed.lock().unwrap();
                for other in claimed.iter() {
                    assert!(!overlap(&touched[&key], &touched[other]), "{key} {other}");
                }
                claimed.insert(key.clone());
            }
            server
                .call("update_task", json!({"id": id, "claim": token, "item": key, "outcome": "done"}))
                .ok();
            claimed.lock().unwrap().remove(&key);
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
            ended += 1;
        }
    })
    .into_iter()
    .sum();
    assert_eq!(ended, touched.len());
}

#[test]
fn a_conflict_with_one_of_thousands_of_files_of_an_open_batch_is_found() {
    let mut rng = Rng::seeded("thousands of files");
    let store = Store::new();
    let mut server = store.serve();
    let nearby_path = |rng: &mut Rng| {
        let (folder, file) = (rng.below(40), rng.below(300));
        match rng.below(9) {
            0 => format!("src/d{folder}"),
            1 => format!("src/d{folder}/f{file}.rs/deeper"),
            2 => format!("src/d{folder}-x/f{file}.rs"),
            _ => format!("src/d{folder}/f{file}.rs"),
        }
    };
    let paths: BTreeSet<String> = (0..3_000)
        .map(|_| format!("src/d{}/f{}.rs", rng.below(39), rng.below(300)))
        .chain(["src/d39".to_owned()])
        .collect();
    let stored: Vec<Vec<String>> = paths.iter().map(|path| path_parts(path)).collect();
    let items: Vec<Value> =
        paths.iter().enumerate().map(|(n, path)| json!({"key": format!("k{n}"), "files": path})).collect();
    let batch = json!({"title": "B", "instructions": "do", "items": items});
    server.call("create_batch", batch).ok();
    let (mut conflicting, mut accepted) = (0, 0);
    for _ in 0..rounds("TASKTALLY_ROUNDS", 100) {
        let paths: Vec<String> = (0..1 + rng.below(3)).map(|_| nearby_path(&mut rng)).collect();
        let batch = json!({"title": "B", "instructions": "do", "items": [{"key": "k", "files": paths}], "dry_run": true});
        let reply = server.call("create_batch", batch);
        let expected = overlap(&paths.iter().map(|path| path_parts(path)).collect::<Vec<_>>(), &stored);
        assert_eq!(!reply.succeeded(), expected, "{paths:?}: {}", reply.message());
        *(if expected { &mut conflicting } else { &mut accepted }) += 1;
    }
    println!("{conflicting} conflicting, {accepted} accepted");
    assert!(conflicting > 0 && accepted > 0);
}
