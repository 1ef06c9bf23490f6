//! `tasktally doctor`: each finding is caused by a real broken set-up and is gone after the command that doctor prints
//! has run. Doctor itself changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod access_denied;
mod batches;
mod store;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use support::background::processes_with;
use support::store::Store;
use support::unchanged::file_contents;

/// Adds a task to a store.
fn filled(store: Store) -> Store {
    store.tasktally(["create-task", "--task-title", "Kept", "--json"]).success();
    store
}

/// Writes the bytes of a store's file.
fn write_store(store: Store, content: impl AsRef<[u8]>) -> Store {
    std::fs::create_dir_all(store.data_folder()).unwrap();
    set_mode(&store.data_folder(), 0o700);
    std::fs::write(store.file(), content).unwrap();
    set_mode(store.file(), 0o600);
    store
}

/// The newest schema.
const NEWEST: i64 = tasktally::store::sqlite::SCHEMA_VERSION;

/// The stored file of a schema.
fn stored_file(schema: i64) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/store-{schema}.db", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The findings of one check: level, message, command. Asserts that doctor changes nothing, and its exit code.
#[track_caller]
fn findings(store: &Store, check: &str, args: &[&str]) -> Vec<(String, String, Option<String>)> {
    // Running processes write heartbeats.
    let nothing_runs = processes_with(store.file().to_str().unwrap()).is_empty();
    let before = store.data_folder().exists().then(|| file_contents(store));
    let ran = store.tasktally(["doctor", "--json"].iter().chain(args)).finish();
    let after = store.data_folder().exists().then(|| file_contents(store));
    assert!(!nothing_runs || before == after, "doctor changed something");
    let report = ran.json();
    let all = report["findings"].as_array().unwrap();
    let bad = all.iter().any(|found| found["level"] == "problem");
    assert_eq!(ran.code != Some(0), bad, "{report}");
    assert_eq!(report["success"], !bad, "{report}");
    let of = all.iter().filter(|found| found["check"] == check);
    let text = |found: &Value, name: &str| found[name].as_str().map(str::to_owned);
    of.map(|found| (text(found, "level").unwrap(), text(found, "message").unwrap(), text(found, "fix")))
        .collect()
}

/// Asserts that a check has a finding of a level with these words. Returns the command of the finding.
#[track_caller]
fn assert_finding(store: &Store, check: &str, level: &str, words: &[&str]) -> Option<String> {
    let all = findings(store, check, &[]);
    let found = all
        .iter()
        .find(|(found, message, _)| found == level && words.iter().all(|word| message.contains(word)));
    let Some((_, _, command)) = found else { panic!("no {level} of {check} with {words:?} in {all:?}") };
    command.clone()
}

/// Asserts that a check finds nothing.
#[track_caller]
fn assert_ok(store: &Store, check: &str) {
    let all = findings(store, check, &[]);
    assert!(!all.is_empty() && all.iter().all(|(level, _, _)| level == "ok"), "{check}: {all:?}");
}

/// Runs a command in a shell, as a person would who copied it. Returns its output.
#[track_caller]
fn run(store: &Store, command: &str) -> String {
    let tasktally = store.command();
    let mut shell = Command::new("sh");
    let folder = Path::new(env!("CARGO_BIN_EXE_tasktally")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    shell.args(["-c", command]).current_dir(store.folder());
    shell.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    let ran = shell.output().unwrap();
    let output = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command}: {output}");
    output
}

/// Asserts that a check has a finding, and that the finding is gone after its command.
#[track_caller]
fn assert_fixed(store: &Store, check: &str, level: &str, words: &[&str]) {
    let command = assert_finding(store, check, level, words).unwrap_or_else(|| panic!("{check}: no command"));
    run(store, &command);
    assert_ok(store, check);
}
