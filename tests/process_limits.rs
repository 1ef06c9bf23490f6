//! Runs under limits on processes, threads and memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::skip::skip;
use support::store::Store;
use support::unprivileged::UserStore;

const ITEMS: usize = 6;

/// A store of another user, because limits on processes do not bind root. Each test has a user of its own: the processes
/// of a user are counted over the whole machine.
fn user_store(id: u32) -> Option<UserStore> {
    let store = Store::new_sqlite();
    let lines: Vec<String> = (0..ITEMS).map(|n| json!({ "key": format!("k{n}") }).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
    let user = UserStore::with_id(store, id)?;
    if !user.run(&["prlimit", "--nproc=1000", "true"]).status.success() {
        skip("prlimit cannot be run");
        return None;
    }
    Some(user)
}

/// Runs all items with one chunk each under a limit of `prlimit`. Asserts that the run ended by its result, with the cause
/// if it could not go on. Returns whether all items are done.
#[track_caller]
fn run_within(user: &UserStore, limit: &str) -> bool {
    let folder = user.store.folder();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let db = path(&format!("{}.db", limit.trim_start_matches('-')));
    let words = ["prlimit", limit, &path("tasktally"), "--db", &db, "run", "--items", &path("items.jsonl")];
    let output = user.run(&[&words[..], &["--max-chunk", "1", "--new", "--", "true"]].concat());
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("panicked") && !text.contains("failed to spawn thread"), "{limit}: {text}");
    let is_done = text.contains(&format!("done {ITEMS}")) && text.contains(" 6 chunks ");
    match output.status.code() {
        Some(0) => assert!(is_done, "{limit}: no table: {text}"),
        // A run that ended anyway exits by its result.
        Some(_) => {
            assert!(!is_done, "{limit}: all items are done: {text}");
            let causes = ["Resource temporarily unavailable", "Cannot allocate memory", "out of memory"];
            assert!(causes.iter().any(|cause| text.contains(cause)), "{limit}: no cause: {text}");
        }
        // Without any memory left, the Rust runtime names the cause and aborts, as after a kill.
        None => {
            assert!(!is_done && text.contains("memory allocation of"), "{limit}: {:?} {text}", output.status);
        }
    }
    is_done
}

#[test]
fn a_run_with_few_processes_ends_by_its_result_or_says_why_not() {
    let Some(user) = user_store(64_101) else { return };
    let done: Vec<usize> = (1..=24).filter(|count| run_within(&user, &format!("--nproc={count}"))).collect();
    assert!(done.contains(&24), "8 workers with their processes fit: {done:?}");
}

#[test]
fn a_refused_process_names_the_limit() {
    let Some(user) = user_store(64_102) else { return };
    let program = user.store.folder().join("tasktally");
    let items = user.store.folder().join("items.jsonl");
    let words =
        ["prlimit", "--nproc=5", program.to_str().unwrap(), "run", "--items", items.to_str().unwrap()];
    let output = user.run(&[&words[..], &["--", "true"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("limit on processes (ulimit -u"), "{text}");
}

#[test]
fn a_run_in_little_address_space_ends_by_its_result() {
    let Some(user) = user_store(64_103) else { return };
    let sizes = [96, 128, 192, 256, 384, 512, 4_096];
    let done: Vec<u64> =
        sizes.into_iter().filter(|mib| run_within(&user, &format!("--as={}", mib << 20))).collect();
    assert!(done.contains(&4_096), "4 GiB are enough: {done:?}");
}
