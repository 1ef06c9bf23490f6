//! Files that the user may not read: doctor reports "permission denied", not "there is none", with the command
//! that restores the permission.

use serde_json::Value;

use crate::support::store::Store;
use crate::support::unprivileged::UserStore;
use crate::{filled, set_mode};

/// A store with a task and a configuration, owned by an unprivileged user.
#[track_caller]
fn user_store() -> Option<UserStore> {
    let config = "[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n";
    UserStore::new(filled(Store::new_sqlite().with_reachable_config(config)))
}

/// The problems that doctor reports to the user: check, message, command.
fn problems(user: &UserStore, args: &[&str]) -> Vec<(String, String, String)> {
    let ran = user.tasktally(&[&["doctor", "--json"], args].concat());
    let reply: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let all = reply["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "problem");
    all.map(|finding| (text(finding, "check"), text(finding, "message"), text(finding, "fix"))).collect()
}

/// Asserts that doctor reports one problem of a check with these words and this command, with and without
/// `--fix`, and that the command fixes it.
#[track_caller]
fn assert_problem_and_fix(user: &UserStore, check: &str, words: &str, command: &str) {
    let found = problems(user, &[]);
    assert_eq!(problems(user, &["--fix"]), found, "with --fix");
    let of_check: Vec<_> = found.iter().filter(|(of, _, _)| of == check).collect();
    assert_eq!(of_check.len(), 1, "{found:?}");
    assert!(of_check[0].1.contains(words), "no {words:?} in {found:?}");
    assert_eq!(of_check[0].2, command);
    assert!(user.run(&["sh", "-c", command]).status.success());
    assert_eq!(problems(user, &[]), []);
}

#[test]
fn a_store_that_the_user_may_not_read_is_not_reported_as_missing() {
    let Some(user) = user_store() else { return };
    let folder = user.store.file().parent().unwrap();
    let denied = "it cannot be read: Permission denied";
    set_mode(folder, 0o000);
    for command in ["verify", "list-tasks"] {
        let ran = user.tasktally(&[command]);
        let output = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(2) && output.contains(denied), "{command}: {output}");
    }
    assert_problem_and_fix(&user, "file", denied, &format!("chmod u+rwx {}", folder.display()));
    set_mode(user.store.file(), 0o000);
    let found = problems(&user, &[]);
    assert!(found[0].1.contains("it cannot be read: Permission denied"), "{found:?}");
    let command = format!("chmod u+rw {}", user.store.file().display());
    assert_problem_and_fix(&user, "permissions", "cannot be read", &command);
}

#[test]
fn a_configuration_with_the_wrong_mode_is_reported_once_with_its_chmod() {
    let Some(user) = user_store() else { return };
    let (file, folder) = (user.store.config(), user.store.config().parent().unwrap().to_owned());
    for (path, mode, words, bits) in [
        (&file, 0o666, "others could choose the commands that workers run", "go-w"),
        (&file, 0o000, "make it readable for its owner", "u+r"),
        (&folder, 0o000, "cannot be read: Permission denied", "u+rwx"),
    ] {
        set_mode(path, mode);
        assert_problem_and_fix(&user, "configuration", words, &format!("chmod {bits} {}", path.display()));
    }
}
