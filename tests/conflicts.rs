//! Independence: four conflict rules, each held to a slow and obvious reference on random items.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use support::reply::Reply;
use support::rng::Rng;
use support::server::Server;
use support::store::Store;
use support::{eventually, rounds, together};

/// Paths that are near to each other, in several spellings.
fn path(rng: &mut Rng) -> String {
    const NAMES: [&str; 4] = ["a", "b", "a-b", "A"];
    let mut path = String::new();
    for _ in 0..=rng.below(3) {
        path += ["", "", "./", "b/../"][rng.below(4) as usize];
        path += NAMES[rng.below(4) as usize];
        path += ["/", "/", "//", "/./"][rng.below(4) as usize];
    }
    if rng.below(2) == 0 {
        path.truncate(path.trim_end_matches(['/', '.']).len());
    }
    if rng.below(12) == 0 { format!("/{path}") } else { path }
}

/// The parts of a path, the obvious way: the root first.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![if path.starts_with('/') { "/" } else { "." }.to_owned()];
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part.to_owned());
        }
    }
    parts
}

fn touch_the_same(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}

/// Items with what they touch, in the order of their keys.
struct Items(BTreeMap<String, Vec<Vec<String>>>, Vec<Value>);

fn items(rng: &mut Rng, prefix: &str) -> Items {
    let (mut touched, mut all) = (BTreeMap::new(), Vec::new());
    let spread = 1 + rng.below(4);
    for number in 0..1 + rng.below(14) {
        let key = format!("{prefix}{number:02}");
        let mut paths: Vec<String> = Vec::new();
        for _ in 0..rng.below(3) {
            let top = rng.below(spread * 4);
            paths.push(format!("{top}/{}", path(rng).trim_start_matches('/')));
        }
        if rng.below(20) == 0 {
            paths.push(path(rng));
        }
        all.push(match paths.as_slice() {
            [] => json!({"key": key}),
            [one] if rng.below(2) == 0 => json!({"key": key, "files": one, "kind": rng.below(3)}),
            many => json!({"key": key, "files": many, "kind": rng.below(3)}),
        });
        touched.insert(key, paths.iter().map(|path| parts(path)).collect());
    }
    Items(touched, all)
}

impl Items {
    fn of(&self, keys: &BTreeSet<String>) -> Vec<Vec<String>> {
        keys.iter().flat_map(|key| self.0[key].clone()).collect()
    }
}

fn create(server: &mut Server, items: &Items, rule: &str, max_chunk: u64, project: &str) -> Reply {
    server.call(
        "create_batch",
        json!({"title": "B", "instructions": "do", "items": items.1, "max_chunk": max_chunk,
               "on_conflict": rule, "project": project, "max_attempts": 100}),
    )
}

/// The keys of each chunk of a batch, as they are stored.
fn chunks(store: &Store, batch: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sql = store.sql();
    let mut found = sql
        .prepare(
            "SELECT t.id, i.key FROM item i JOIN task t ON t.n = i.chunk WHERE i.batch = (SELECT n FROM task WHERE id = ?1)",
        )
        .unwrap();
    let mut chunks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in found.query_map([batch], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (chunk, key): (String, String) = row.unwrap();
        chunks.entry(chunk).or_default().insert(key);
    }
    chunks
}

/// What each chunk of a split by size touches.
fn split(items: &Items, max_chunk: u64) -> Vec<Vec<Vec<String>>> {
    let keys: Vec<&String> = items.0.keys().collect();
    let count = keys.len() as u64;
    let parts = count.div_ceil(max_chunk);
    let (small, larger) = (count / parts, count % parts);
    let mut rest = keys.as_slice();
    let mut split = Vec::new();
    for part in 0..parts {
        let (these, others) = rest.split_at((small + u64::from(part < larger)) as usize);
        split.push(items.of(&these.iter().map(|key| (*key).clone()).collect()));
        rest = others;
    }
    split
}

/// The pairs of chunks that touch the same, from 1.
fn conflicts(items: &Items, max_chunk: u64) -> BTreeSet<(usize, usize)> {
    let split = split(items, max_chunk);
    let pairs = (0..split.len()).flat_map(|a| (a + 1..split.len()).map(move |b| (a, b)));
    pairs.filter(|(a, b)| touch_the_same(&split[*a], &split[*b])).map(|(a, b)| (a + 1, b + 1)).collect()
}

/// The pairs of chunks that a refusal names.
fn named(message: &str) -> Vec<(usize, usize)> {
    let number = |text: &str| text.split(' ').next().unwrap().parse().unwrap();
    let told = message.split_once("times: ").unwrap().1;
    told.split("; ")
        .filter_map(|one| {
            let mut chunks = one.split("chunk ").skip(1).map(number);
            let (one, other): (usize, usize) = (chunks.next()?, chunks.next()?);
            Some((one.min(other), one.max(other)))
        })
        .collect()
}

#[test]
fn reject_refuses_a_batch_if_and_only_if_two_chunks_touch_the_same() {
    let mut rng = Rng::seeded("reject");
    let store = Store::new();
    let mut server = store.serve();
    let mut refused = 0;
    for round in 0..rounds("DOCKET_ROUNDS", 150) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(6));
        let before = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
        let reply = create(&mut server, &items, "reject", max_chunk, &format!("p{round}"));
        let expected = conflicts(&items, max_chunk);
        if !expected.is_empty() {
            refused += 1;
            assert_eq!(reply.refusal(), "conflict", "{:?}", items.1);
            let named = named(reply.message());
            assert!(!named.is_empty() && named.len() <= 20, "{}", reply.message());
            assert!(named.iter().all(|pair| expected.contains(pair)), "{expected:?}: {}", reply.message());
            let after = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
            assert_eq!(before, after, "nothing was created");
        } else {
            reply.ok();
        }
    }
    println!("{refused} refused");
}

#[test]
fn merge_puts_items_into_one_chunk_if_and_only_if_something_joins_them_or_there_is_room() {
    let mut rng = Rng::seeded("merge");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 150) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(6));
        let mut component: BTreeMap<&String, usize> = items.0.keys().zip(0..).collect();
        // The obvious way: take on the smaller name until nothing changes.
        loop {
            let before = component.clone();
            for (one, ones) in &items.0 {
                for (other, others) in &items.0 {
                    if touch_the_same(ones, others) {
                        let least = component[one].min(component[other]);
                        component.insert(one, least);
                        component.insert(other, least);
                    }
                }
            }
            if component == before {
                break;
            }
        }
        let reply = create(&mut server, &items, "merge", max_chunk, &format!("p{round}")).ok();
        let mut home = BTreeMap::new();
        for (chunk, keys) in chunks(&store, &reply.text("/batch/id")) {
            let components: BTreeSet<usize> = keys.iter().map(|key| component[key]).collect();
            assert!(keys.len() as u64 <= max_chunk || components.len() == 1, "{chunk}: {keys:?}");
            if keys.len() as u64 > max_chunk {
                assert!(reply.message().contains("Over max_chunk"), "{}", reply.message());
                assert!(reply.message().contains(&format!("with {}", keys.len())), "{}", reply.message());
            }
            for component in components {
                assert_eq!(home.insert(component, chunk.clone()), None, "{:?}", items.1);
            }
        }
        let stored: usize = chunks(&store, &reply.text("/batch/id")).values().map(BTreeSet::len).sum();
        assert_eq!(stored, items.0.len());
    }
}

/// Claims and completes chunks of batches in a random order, and holds who is let at work to the reference.
fn work_at_random(
    rng: &mut Rng,
    store: &Store,
    server: &mut Server,
    batches: &[(&Items, String)],
    alone: impl Fn(usize, usize) -> bool,
) {
    let mut waiting: BTreeMap<String, (usize, Vec<Vec<String>>)> = BTreeMap::new();
    for (batch, (items, id)) in batches.iter().enumerate() {
        for (chunk, keys) in chunks(store, id) {
            waiting.insert(chunk, (batch, items.of(&keys)));
        }
    }
    let mut at_work: BTreeMap<String, (usize, Vec<Vec<String>>, Value)> = BTreeMap::new();
    while !waiting.is_empty() || !at_work.is_empty() {
        let blocked = |batch: usize,
                       touched: &[Vec<String>],
                       at_work: &BTreeMap<String, (usize, Vec<Vec<String>>, Value)>| {
            at_work.values().any(|(other, theirs, _)| alone(batch, *other) && touch_the_same(touched, theirs))
        };
        if rng.below(2) == 0 && !at_work.is_empty() {
            let chunk = at_work.keys().nth(rng.below(at_work.len() as u64) as usize).unwrap().clone();
            let (batch, touched, claim) = at_work.remove(&chunk).unwrap();
            if rng.below(3) == 0 {
                server.call("release_task", json!({"id": chunk, "claim": claim, "reason": "later"})).ok();
                // It would rest before it is tried again: the test does not wait for that.
                let rested =
                    "UPDATE task SET blockers = blockers - holds, holds = 0, held_until = NULL WHERE id = ?1";
                store.sql().execute(rested, [&chunk]).unwrap();
                waiting.insert(chunk, (batch, touched));
            } else {
                for key in &chunks(store, &batches[batch].1)[&chunk] {
                    let done = json!({"id": chunk, "claim": claim, "item": key, "outcome": "done"});
                    server.call("update_task", done);
                }
                server.call("complete_task", json!({"id": chunk, "claim": claim})).ok();
            }
        } else if rng.below(2) == 0 && !waiting.is_empty() {
            let chunk = waiting.keys().nth(rng.below(waiting.len() as u64) as usize).unwrap().clone();
            let (batch, touched) = waiting[&chunk].clone();
            let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
            if blocked(batch, &touched, &at_work) {
                assert_eq!(reply.answer(), "not_ready");
                let named = at_work.keys().any(|other| reply.message().contains(other.as_str()));
                assert!(named, "{}", reply.message());
            } else {
                let claim = reply.ok()["claim"]["token"].clone();
                waiting.remove(&chunk);
                at_work.insert(chunk, (batch, touched, claim));
            }
        } else {
            let batch = rng.below(batches.len() as u64) as usize;
            let free = waiting.values().any(|(of, touched)| *of == batch && !blocked(*of, touched, &at_work));
            let id = &batches[batch].1;
            let listed = server.call("list_tasks", json!({"batch": id, "ready": true, "limit": 0})).ok();
            let ready =
                waiting.values().filter(|(of, touched)| *of == batch && !blocked(*of, touched, &at_work));
            assert_eq!(listed.count("/total"), ready.count() as u64);
            let reply = server.call("claim_task", json!({"worker": "w", "batch": id}));
            if free {
                let reply = reply.ok();
                let chunk = reply.text("/task/id");
                let (batch, touched) = waiting.remove(&chunk).unwrap();
                assert!(!blocked(batch, &touched, &at_work), "{chunk} {touched:?} {at_work:?}");
                at_work.insert(chunk, (batch, touched, reply["claim"]["token"].clone()));
            } else {
                assert_eq!(reply.answer(), "nothing_to_claim");
            }
        }
    }
    let left: i64 = store.sql().query_row("SELECT count(*) FROM held", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nobody is at work");
}

#[test]
fn serialize_lets_no_two_chunks_that_touch_the_same_be_claimed_at_once() {
    let mut rng = Rng::seeded("serialize");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(3));
        let made = create(&mut server, &items, "serialize", max_chunk, &format!("p{round}")).ok();
        assert_eq!(
            !conflicts(&items, max_chunk).is_empty(),
            made.message().contains("share resources"),
            "{}",
            made.message()
        );
        work_at_random(&mut rng, &store, &mut server, &[(&items, made.text("/batch/id"))], |_, _| true);
    }
}

#[test]
fn allow_lets_every_chunk_be_claimed() {
    let mut rng = Rng::seeded("allow");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 10) {
        let items = items(&mut rng, "k");
        let made = create(&mut server, &items, "allow", 1, &format!("p{round}")).ok();
        for _ in 0..items.0.len() {
            server.call("claim_task", json!({"worker": "w", "batch": made.text("/batch/id")})).ok();
        }
    }
}

#[test]
fn a_second_batch_keeps_clear_of_the_first_by_its_own_rule() {
    let mut rng = Rng::seeded("two batches");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        let project = format!("p{round}");
        let (one, other) = (items(&mut rng, "k"), items(&mut rng, "l"));
        let first = create(&mut server, &one, "serialize", 2, &project).ok().text("/batch/id");
        let all = |items: &Items| items.of(&items.0.keys().cloned().collect());
        let meet = touch_the_same(&all(&one), &all(&other));
        let refused = create(&mut server, &other, "reject", 100, &project);
        assert_eq!(!refused.won(), meet, "{:?} {:?}: {}", one.1, other.1, refused.message());
        if meet {
            assert!(refused.message().contains(&format!("chunk {first}.")), "{}", refused.message());
        } else {
            let id = refused.text("/batch/id");
            server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        }
        create(&mut server, &other, "reject", 100, &format!("q{round}")).ok();
        let rule = ["serialize", "merge"][rng.below(2) as usize];
        let second = create(&mut server, &other, rule, 2, &project).ok();
        assert_eq!(meet, second.message().contains("batches under way"), "{}", second.message());
        let second = second.text("/batch/id");
        work_at_random(&mut rng, &store, &mut server, &[(&one, first), (&other, second)], |_, _| true);
    }
}

#[test]
fn a_refusal_names_twenty_conflicts_and_how_many_more_there_are() {
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
        assert_eq!(named(message).len(), 20, "{message}");
        assert!(message.contains("'src/lib.rs'") && message.contains("and 4 more"), "{message}");
        assert!(message.contains("serialize") && message.contains("merge"), "{message}");
    }
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 0);
}

#[test]
fn a_resource_that_is_none_is_refused_with_its_item_and_field() {
    let store = Store::new();
    let mut server = store.serve();
    for (files, resources, names) in [
        (json!(3), json!(null), ["'k'", "field \"files\": 3"]),
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
fn any_field_can_say_what_an_item_touches() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([{"key": "a", "repo": "docket", "at": {"path": "x"}}, {"key": "b", "repo": "docket", "at": {"path": "y"}}]);
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
fn a_batch_that_is_opened_again_keeps_clear_of_one_that_began_meanwhile() {
    let store = Store::new();
    let mut server = store.serve();
    let make = |server: &mut Server, rule: &str| {
        let items = json!([{"key": "a", "files": "src/lib.rs"}]);
        let batch = json!({"title": "B", "instructions": "do", "items": items, "on_conflict": rule});
        server.call("create_batch", batch).ok().text("/batch/id")
    };
    let first = make(&mut server, "reject");
    let claim = server.call("claim_task", json!({"worker": "w", "batch": first})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    server
        .call("release_task", json!({"id": chunk, "claim": token, "reason": "no", "outcome": "failed"}))
        .ok();
    let second = make(&mut server, "reject");
    server.call("claim_task", json!({"worker": "w", "batch": second})).ok();
    server.call("control_batch", json!({"id": first, "action": "retry"})).ok();
    let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
    assert_eq!(reply.answer(), "not_ready");
    assert!(reply.message().contains(&format!("{second}.01")) && reply.message().contains("src/lib.rs"));
}

#[test]
fn a_claim_whose_lease_ran_out_gives_its_resources_free() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([{"key": "a", "files": "src"}, {"key": "b", "files": ["src/lib.rs"]}]);
    let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1, "on_conflict": "serialize"});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    server.call("claim_task", json!({"worker": "w", "batch": id, "lease_seconds": 1})).ok();
    let second = json!({"worker": "w", "id": format!("{id}.02")});
    assert_eq!(server.call("claim_task", second.clone()).answer(), "not_ready");
    eventually("the lease to run out", || server.call("claim_task", second.clone()).won().then_some(()));
}

#[test]
fn a_run_allows_conflicts_unless_told_otherwise_and_waits_where_it_serializes() {
    let store = Store::new();
    let lines: Vec<String> = (0..12)
        .map(|n| json!({"key": format!("k{n:02}"), "files": [format!("f{}", n % 2)]}).to_string())
        .collect();
    store.write("items.jsonl", lines.join("\n"));
    let run = |more: &[&str]| {
        let args = ["run", "--items", "items.jsonl", "--max-chunk", "1", "--workers", "4", "--quiet"];
        store.docket([&args, more, &["--", "sh", "worker.sh"]].concat())
    };
    store.write("worker.sh", "true");
    run(&[]).success();
    assert!(run(&["--on-conflict", "reject"]).code(1).stderr.contains("'f0'"));
    assert!(run(&["--resources", "files"]).code(1).stderr.contains("'f0'"));
    // Only one of those that touch the same may be at work: a folder can be made once.
    store.write(
        "worker.sh",
        "f=$(cat | sed 's/.*\\[\"//; s/\".*//'); mkdir lock.$f || exit 1; sleep 0.05; rmdir lock.$f",
    );
    run(&["--on-conflict", "serialize"]).success();
    run(&["--on-conflict", "merge"]).success();
}

#[test]
fn of_batches_made_at_once_over_the_same_files_one_is_taken() {
    let store = Store::new();
    store.serve();
    for round in 0..10 {
        let won = together(4, |number| {
            let file = ["src", "src/lib.rs"][number % 2];
            let items = json!([{"key": "a", "files": file}]);
            let batch =
                json!({"title": "B", "instructions": "do", "items": items, "project": format!("p{round}")});
            store.serve().call("create_batch", batch).won()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
    }
}

#[test]
fn workers_of_two_batches_at_once_never_hold_the_same_file_together() {
    let mut rng = Rng::seeded("workers of two batches");
    let store = Store::new();
    let mut server = store.serve();
    let touched: BTreeMap<String, Vec<Vec<String>>> = (0..40)
        .map(|number| (format!("k{number:02}"), (0..2).map(|_| parts(&path(&mut rng))).collect()))
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
    let at_work: Mutex<BTreeSet<String>> = Mutex::default();
    let ended: usize = together(4, |number| {
        let mut server = store.serve();
        let mut ended = 0;
        loop {
            let open = server.call("get_batch", json!({})).ok()["batches"].as_array().unwrap().len();
            if open == 0 {
                return ended;
            }
            let claim = server.call("claim_task", json!({"worker": "w", "batch": batches[number % 2]}));
            let claim = if claim.won() { claim } else { server.call("claim_task", json!({"worker": "w"})) };
            if !claim.won() {
                continue;
            }
            let (id, token, key) =
                (claim.text("/task/id"), claim.text("/claim/token"), claim.text("/items/0/key"));
            {
                let mut at_work = at_work.lock().unwrap();
                for other in at_work.iter() {
                    assert!(!touch_the_same(&touched[&key], &touched[other]), "{key} {other}");
                }
                at_work.insert(key.clone());
            }
            server
                .call("update_task", json!({"id": id, "claim": token, "item": key, "outcome": "done"}))
                .ok();
            at_work.lock().unwrap().remove(&key);
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
            ended += 1;
        }
    })
    .into_iter()
    .sum();
    assert_eq!(ended, touched.len());
}

#[test]
fn among_thousands_of_files_of_a_batch_under_way_those_that_are_shared_are_found() {
    let mut rng = Rng::seeded("thousands of files");
    let store = Store::new();
    let mut server = store.serve();
    let near = |rng: &mut Rng| {
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
    let there: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let items: Vec<Value> =
        paths.iter().enumerate().map(|(n, path)| json!({"key": format!("k{n}"), "files": path})).collect();
    let batch = json!({"title": "B", "instructions": "do", "items": items});
    server.call("create_batch", batch).ok();
    let (mut met, mut free) = (0, 0);
    for _ in 0..rounds("DOCKET_ROUNDS", 100) {
        let paths: Vec<String> = (0..1 + rng.below(3)).map(|_| near(&mut rng)).collect();
        let batch = json!({"title": "B", "instructions": "do", "items": [{"key": "k", "files": paths}], "dry_run": true});
        let reply = server.call("create_batch", batch);
        let expected = touch_the_same(&paths.iter().map(|path| parts(path)).collect::<Vec<_>>(), &there);
        assert_eq!(!reply.won(), expected, "{paths:?}: {}", reply.message());
        *(if expected { &mut met } else { &mut free }) += 1;
    }
    println!("{met} met, {free} free");
}
