//! What a user who isn't root cannot look at: told as that, with the command that opens it.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::store::Store;
use crate::{filled, set_mode};

/// Somebody without rights, on every system.
const NOBODY: u32 = 65_534;

/// Hands a file or a folder with all that is in it to the user.
fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

/// A store and a configuration of a user who isn't root; nothing where there is none to be.
fn of_a_user() -> Option<Store> {
    let store = filled(Store::new().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n"));
    if rustix::process::geteuid().is_root() {
        give(store.folder());
        give(store.config().parent().unwrap());
    }
    let reaches = Some(as_user(&store, &[env!("CARGO_BIN_EXE_tasktally"), "doctor"]));
    reaches.filter(|ran| ran.status.success()).map(|_| store)
}

/// Runs a program as the user.
fn as_user(store: &Store, words: &[&str]) -> Output {
    let tasktally = store.command();
    let mut command = if rustix::process::geteuid().is_root() {
        let id = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command
    } else {
        Command::new("env")
    };
    command.args(words).current_dir("/");
    command.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap_or_else(|_| Command::new("false").output().unwrap())
}

/// The problems that doctor tells the user of: check, message, command.
fn problems(store: &Store, args: &[&str]) -> Vec<(String, String, String)> {
    let ran = as_user(store, &[&[env!("CARGO_BIN_EXE_tasktally"), "doctor", "--json"], args].concat());
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let text = |found: &Value, name: &str| found[name].as_str().unwrap_or_default().to_owned();
    let all = told["findings"].as_array().unwrap().iter().filter(|found| found["level"] == "problem");
    all.map(|found| (text(found, "check"), text(found, "message"), text(found, "fix"))).collect()
}

/// Holds doctor to one problem of a check with these words and this command, which mends it.
#[track_caller]
fn shut(store: &Store, check: &str, words: &str, command: &str) {
    let found = problems(store, &[]);
    assert_eq!(problems(store, &["--fix"]), found, "asked to mend");
    let of: Vec<_> = found.iter().filter(|(of, _, _)| of == check).collect();
    assert_eq!(of.len(), 1, "{found:?}");
    assert!(of[0].1.contains(words), "no {words:?} in {found:?}");
    assert_eq!(of[0].2, command);
    assert!(as_user(store, &["sh", "-c", command]).status.success());
    assert_eq!(problems(store, &[]), []);
}

#[test]
fn what_this_user_cannot_look_at_is_no_store_that_is_not_there() {
    let Some(store) = of_a_user() else {
        println!("skipped: there is no user without rights to be, or setpriv is missing");
        return;
    };
    let folder = store.file().parent().unwrap();
    let denied = "it cannot be read: Permission denied";
    set_mode(folder, 0o000);
    for command in ["verify", "list-tasks"] {
        let ran = as_user(&store, &[env!("CARGO_BIN_EXE_tasktally"), command]);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(2) && said.contains(denied), "{command}: {said}");
    }
    shut(&store, "file", denied, &format!("chmod u+rwx {}", folder.display()));
    set_mode(store.file(), 0o000);
    let found = problems(&store, &[]);
    assert!(found[0].1.contains("it cannot be read: Permission denied"), "{found:?}");
    shut(&store, "permissions", "cannot be read", &format!("chmod u+rw {}", store.file().display()));
}

#[test]
fn a_configuration_with_the_wrong_mode_is_told_once_with_its_chmod() {
    let Some(store) = of_a_user() else {
        println!("skipped: there is no user without rights to be, or setpriv is missing");
        return;
    };
    let (file, folder) = (store.config(), store.config().parent().unwrap().to_owned());
    for (path, mode, words, bits) in [
        (&file, 0o666, "others could choose the commands that workers run", "go-w"),
        (&file, 0o000, "make it readable for its owner", "u+r"),
        (&folder, 0o000, "cannot be read: Permission denied", "u+rwx"),
    ] {
        set_mode(path, mode);
        shut(&store, "configuration", words, &format!("chmod {bits} {}", path.display()));
    }
}
