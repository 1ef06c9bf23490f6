//! How a store is named: links, relative paths, folders, `~`, an empty variable, a current folder that was deleted. A
//! command that only reads never creates a store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::cli::{Ran, Run};
use support::store::Store;

/// A command with another value of `TASKTALLY_DB`, in a folder.
fn named(store: &Store, db: &str, folder: &Path, args: &[&str]) -> Run {
    let mut command = store.command();
    command.env("TASKTALLY_DB", db).current_dir(folder);
    Run::new(command, args)
}

#[track_caller]
fn total(ran: &Ran) -> u64 {
    ran.json()["total"].as_u64().unwrap()
}

const LIST: [&str; 4] = ["list-tasks", "--limit", "0", "--json"];
const CREATE: [&str; 3] = ["create-task", "--task-title", "Task"];

#[test]
fn all_symbolic_links_to_a_store_are_the_same_store() {
    let store = Store::new_sqlite();
    store.tasktally(CREATE).success();
    let links = store.folder().join("links");
    std::fs::create_dir(&links).unwrap();
    symlink(store.file(), links.join("file.db")).unwrap();
    symlink("file.db", links.join("second.db")).unwrap();
    symlink(store.file().parent().unwrap(), links.join("folder")).unwrap();
    let mut server = store.serve();
    for path in ["file.db", "second.db", "folder/tasktally.db", "folder"] {
        let path = links.join(path);
        named(&store, path.to_str().unwrap(), store.folder(), &CREATE).success();
        server.create_task("Beside it");
        named(&store, path.to_str().unwrap(), store.folder(), &["verify"]).success();
    }
    server.close();
    assert_eq!(total(&store.tasktally(LIST).success()), 9);
    let names: Vec<_> = std::fs::read_dir(&links).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "only the links: {names:?}");
    // The target of a link is created, not a store beside the link.
    symlink("../store/new.db", links.join("new.db")).unwrap();
    named(&store, links.join("new.db").to_str().unwrap(), store.folder(), &CREATE).success();
    assert!(store.file().with_file_name("new.db").is_file());
    // A circle is refused.
    symlink("circle", links.join("circle")).unwrap();
    let refused = named(&store, links.join("circle").to_str().unwrap(), store.folder(), &LIST).code(2);
    assert!(refused.output().contains("symbolic links"), "{}", refused.output());
}

#[test]
fn a_relative_path_with_dots_works_for_a_batch_with_a_profile() {
    let store = Store::new_sqlite().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n");
    store.tasktally(CREATE).success();
    let below = store.folder().join("project/src");
    std::fs::create_dir_all(&below).unwrap();
    let db = "../../store/./tasktally.db";
    let items = "[{\"key\":\"a\"},{\"key\":\"b\"}]";
    let arguments = ["create-batch", "--title", "T", "--instructions", "I", "--items", items, "--json"];
    let batch =
        named(&store, db, &below, &arguments).success().json()["batch"]["id"].as_str().unwrap().to_owned();
    named(&store, db, &below, &["work", "--batch", &batch, "--worker", "w"]).success();
    let reply = store.tasktally(["get-batch", &batch, "--json"]).success().json();
    assert_eq!(reply["batch"]["status"], "done", "{reply}");
}

#[test]
fn a_deleted_current_folder_matters_only_for_relative_paths() {
    let store = Store::new_sqlite();
    let run_there = |script: &str| {
        let mut command = Command::new("sh");
        let inherited = store.command();
        command.args(["-c", &format!("mkdir gone && cd gone && rmdir ../gone && {script}")]);
        command.current_dir(store.folder());
        command.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TASKTALLY", env!("CARGO_BIN_EXE_tasktally"));
        Run::new(command, [""; 0])
    };
    run_there("\"$TASKTALLY\" create-task --task-title Task").success();
    assert_eq!(total(&run_there("\"$TASKTALLY\" list-tasks --json").success()), 1);
    run_there("\"$TASKTALLY\" verify && \"$TASKTALLY\" doctor").success();
    run_there("\"$TASKTALLY\" export > /dev/null").success();
    run_there("\"$TASKTALLY\" serve < /dev/null").success();
    let refused = run_there("\"$TASKTALLY\" --db d.db list-tasks").code(2);
    assert!(refused.output().contains("--db: d.db: the current folder was deleted"), "{}", refused.output());
}

#[test]
fn a_command_that_works_on_existing_tasks_never_creates_a_store_or_a_folder() {
    let store = Store::new_sqlite();
    for args in [
        &["list-tasks"][..],
        &["get-task", "x"],
        &["get-batch"],
        &["search-tasks", "x"],
        &["wait-batch", "x"],
        &["update-task", "x", "--body", "- text"],
        &["complete-task", "x"],
        &["claim-task", "--worker", "w"],
        &["control-batch", "x", "--action", "pause"],
        &["reset-stalled-tasks"],
        &["run", "--resume", "x"],
        &["work", "--", "true"],
        &["watch", "x"],
        &["logs", "x"],
        &["verify"],
        &["heads"],
        &["export"],
        &["backup", "copy.db"],
        &["report", "x"],
        &["doctor", "--json"],
    ] {
        for db in ["missing/deep/tasktally.db", "missing/", "."] {
            let ran = named(&store, db, store.folder(), args).code(2);
            let says =
                ["there is no such file", "does not exist"].iter().any(|words| ran.output().contains(words));
            assert!(says, "{args:?} on {db}: {}", ran.output());
        }
        let left: Vec<_> =
            std::fs::read_dir(store.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["home"], "{args:?} created something");
    }
    // Without --db, the message names the commands that create the default store.
    let mut command = store.command();
    command.env_remove("TASKTALLY_DB");
    let ran = Run::new(command, ["list-tasks"]).code(2);
    assert!(
        ran.output().contains("create-task and") || ran.output().contains("create-task"),
        "{}",
        ran.output()
    );
}

#[test]
fn the_first_task_or_batch_creates_the_store_also_in_a_named_folder() {
    let store = Store::new_sqlite();
    std::fs::create_dir(store.folder().join("folder")).unwrap();
    for (db, file) in [
        ("folder", "folder/tasktally.db"),
        ("new/", "new/tasktally.db"),
        ("deep/new/d.db", "deep/new/d.db"),
        ("../x/../d.db", "../d.db"),
    ] {
        let below = store.folder().join("below");
        std::fs::create_dir_all(&below).unwrap();
        let folder = if db.starts_with("..") { below.as_path() } else { store.folder() };
        named(&store, db, folder, &CREATE).success();
        assert!(folder.join(file).is_file(), "{db}");
        assert_eq!(total(&named(&store, db, folder, &LIST).success()), 1);
    }
    assert!(!store.folder().join("x").exists(), "a folder that '..' leaves is not created");
}

#[test]
fn a_tilde_is_the_home_folder_and_an_empty_variable_counts_as_unset() {
    let store = Store::new_sqlite();
    let home = &store.home();
    named(&store, "~/my/d.db", home, &CREATE).success();
    assert!(home.join("my/d.db").is_file() && !home.join("~").exists());
    assert_eq!(total(&store.tasktally(["--db=~/my/d.db"].iter().chain(&LIST)).success()), 1);
    let refused = named(&store, "~joe/d.db", home, &CREATE).code(2);
    assert!(refused.output().contains("TASKTALLY_DB: '~joe/d.db'"), "{}", refused.output());

    let mut command = store.command();
    command.env("TASKTALLY_DB", "").env_remove("XDG_DATA_HOME");
    Run::new(command, CREATE).success();
    assert!(home.join(".local/share/tasktally/tasktally.db").is_file());
    let refused = store.tasktally(["--db", "", "list-tasks"]).code(2);
    assert!(refused.output().contains("--db: the path is empty"), "{}", refused.output());

    // The other variables that name a path.
    let mut command = store.command();
    command.env("SCRATCHPAD", "~/scratch");
    store.write("items.jsonl", "{\"key\":\"a\"}\n");
    let ran = Run::new(command, ["run", "--items", "items.jsonl", "--", "true"]).success();
    assert!(ran.stdout.contains("Files: ") && home.join("scratch").is_dir(), "{}", ran.output());
    let mut command = store.command();
    command.env("TASKTALLY_CONFIG", "~/none.toml");
    let shown = Run::new(command, ["config"]).success();
    assert!(shown.stdout.contains(home.join("none.toml").to_str().unwrap()), "{}", shown.stdout);
}

#[test]
fn an_unwritable_scratch_folder_is_not_named_as_the_place_of_files() {
    let store = Store::new_sqlite();
    let file = store.write("file", "");
    store.write("items.jsonl", "{\"key\":\"a\"}\n");
    let mut command = store.command();
    command.env("SCRATCHPAD", file.join("below"));
    let ran = Run::new(command, ["run", "--items", "items.jsonl", "--", "true"]).success();
    assert!(ran.stdout.contains("Files: none were written"), "{}", ran.output());
}
