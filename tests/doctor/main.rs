//! `tasktally doctor`: each finding is provoked by a real broken set-up, and gone once the command that stands
//! beside it was run. It only reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod setup;
mod shut;
mod work;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use support::background::processes;
use support::store::Store;
use support::untouched::bytes;

/// A store with a task in it.
fn filled(store: Store) -> Store {
    store.tasktally(["create-task", "--task-title", "Kept", "--json"]).success();
    store
}

/// A store that no tasktally made.
fn placed(store: Store, content: impl AsRef<[u8]>) -> Store {
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    set_mode(store.file().parent().unwrap(), 0o700);
    std::fs::write(store.file(), content).unwrap();
    set_mode(store.file(), 0o600);
    store
}

fn kept(schema: u32) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/store-{schema}.db", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What doctor finds of one check: level, message, command. It is held to changing nothing, and to its exit code.
#[track_caller]
fn look_with(store: &Store, check: &str, args: &[&str]) -> Vec<(String, String, Option<String>)> {
    // Whoever works writes signs of life.
    let is_quiet = processes(store.file().to_str().unwrap()).is_empty();
    let before = store.file().parent().unwrap().exists().then(|| bytes(store));
    let ran = store.tasktally(["doctor", "--json"].iter().chain(args)).finish();
    let after = store.file().parent().unwrap().exists().then(|| bytes(store));
    assert!(!is_quiet || before == after, "doctor changed something");
    let told = ran.json();
    let all = told["findings"].as_array().unwrap();
    let bad = all.iter().any(|found| found["level"] == "problem");
    assert_eq!(ran.code != Some(0), bad, "{told}");
    assert_eq!(told["success"], !bad, "{told}");
    let of = all.iter().filter(|found| found["check"] == check);
    let text = |found: &Value, name: &str| found[name].as_str().map(str::to_owned);
    of.map(|found| (text(found, "level").unwrap(), text(found, "message").unwrap(), text(found, "fix")))
        .collect()
}

/// The one finding of a check, of a level and with these words; gives its command.
#[track_caller]
fn finds(store: &Store, check: &str, level: &str, words: &[&str]) -> Option<String> {
    let all = look_with(store, check, &[]);
    let found = all
        .iter()
        .find(|(found, message, _)| found == level && words.iter().all(|word| message.contains(word)));
    let Some((_, _, mend)) = found else { panic!("no {level} of {check} with {words:?} in {all:?}") };
    mend.clone()
}

/// Nothing is found any more.
#[track_caller]
fn all_well(store: &Store, check: &str) {
    let all = look_with(store, check, &[]);
    assert!(!all.is_empty() && all.iter().all(|(level, _, _)| level == "ok"), "{check}: {all:?}");
}

/// Runs a command as a person would who copies it into a shell; gives what it printed.
#[track_caller]
fn run(store: &Store, command: &str) -> String {
    let tasktally = store.command();
    let mut shell = Command::new("sh");
    let folder = Path::new(env!("CARGO_BIN_EXE_tasktally")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    shell.args(["-c", command]).current_dir(store.folder());
    shell.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    let ran = shell.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command}: {said}");
    said
}

/// A finding, then its command, then no finding.
#[track_caller]
fn mended(store: &Store, check: &str, level: &str, words: &[&str]) {
    let command = finds(store, check, level, words).unwrap_or_else(|| panic!("{check}: no command"));
    run(store, &command);
    all_well(store, check);
}
