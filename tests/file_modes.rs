//! Files and folders of a store are for its owner alone, whatever the umask is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use support::cli::{Ran, Run};
use support::store::Store;

/// Runs a shell script in which `tasktally` is this program.
#[track_caller]
fn shell(store: &Store, script: &str) -> Ran {
    let inherited = store.command();
    let mut command = Command::new("sh");
    command
        .current_dir(store.folder())
        .args(["-ec", &format!("tasktally() {{ \"$PROGRAM\" \"$@\"; }}\n{script}")]);
    command.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PROGRAM", env!("CARGO_BIN_EXE_tasktally"));
    Run::new(command, [""; 0]).success()
}

/// Asserts that a folder has mode 0700, and everything in it 0700 or 0600.
#[track_caller]
fn assert_private(path: &Path) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
    if metadata.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

#[test]
fn every_file_that_a_run_creates_is_private() {
    for umask in ["000", "022", "027", "077"] {
        let store = Store::new_sqlite().at("data/deep/store/tasktally.db");
        store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
        let data = store.file().parent().unwrap().display().to_string();
        let modes = format!("stat -c '%a %n' {data}/run-*.lock | cut -d' ' -f1");
        let run = format!("umask {umask}; tasktally run --items items.jsonl -- sh -c \"{modes}\"");
        let ran = shell(&store, &run);
        let listed = store.tasktally(["search-tasks", "600", "--json"]).success().json();
        assert!(
            listed["count"].as_u64().unwrap() > 0,
            "umask {umask}: the run lock: {} {listed}",
            ran.output()
        );
        assert_private(&store.folder().join("data"));
        assert_private(&store.folder().join("scratch"));
    }
}

#[test]
fn a_run_lock_and_a_batch_folder_of_an_earlier_version_become_private() {
    let store = Store::new_sqlite();
    let arguments =
        ["create-batch", "--title", "T", "--instructions", "I", "--items", "[{\"key\":\"a\"}]", "--json"];
    let batch = store.tasktally(arguments).success().json()["batch"]["id"].as_str().unwrap().to_owned();
    let folder = store.folder().join(format!("scratch/batch-{batch}"));
    std::fs::create_dir_all(&folder).unwrap();
    let lock = store.file().with_file_name(format!("run-{batch}.lock"));
    std::fs::write(&lock, "").unwrap();
    for (path, mode) in [(&folder, 0o777), (&lock, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let modes = format!("stat -c %a {}", lock.display());
    store.tasktally(["run", "--resume", &batch, "--", "sh", "-c", &modes]).success();
    let body = store.tasktally(["get-task", &format!("{batch}.01"), "--json"]).success();
    assert!(body.stdout.contains("600"), "{}", body.stdout);
    store.tasktally(["report", &batch]).success();
    assert_private(&folder);
}
