//! Tasktally in containers: as process 1, without `/proc`, without a home folder, and with limits on files.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use support::background::start_batch;
use support::cli::Run;
use support::server::Server;
use support::skip::skip;
use support::store::Store;
use support::{eventually, send_signal, wait_for_exit};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tasktally");

/// The arguments of `tasktally` as process 1 of a new process namespace. None, and the test is skipped, without the
/// right to make one.
#[track_caller]
fn as_process_1(store: &Store, args: &[&str]) -> Option<Command> {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let works = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        skip("unshare cannot make a process namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    let inherited = store.command();
    command.args(namespace).arg(PROGRAM).args(args).current_dir(store.folder());
    command.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command)
}

/// The children of a process, and the letters of their states.
fn children(parent: u32) -> Vec<(u32, char)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()?.parse() == Ok(parent)).then_some((pid, state))
    })
    .collect()
}

#[test]
fn process_1_ends_on_term_and_int() {
    let store = Store::new_sqlite();
    store.tasktally(["create-task", "--task-title", "T"]).success();
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let Some(mut command) = as_process_1(&store, &["serve"]) else { return };
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let init = eventually("process 1", || children(process.id()).first().copied()).0;
        eventually("its command", || children(init).first().copied());
        send_signal(signal, init);
        assert_eq!(wait_for_exit(&mut process).code(), Some(128 + number), "{signal}");
    }
    let Some(command) = as_process_1(&store, &["get-task", "missing"]) else { return };
    Run::new(command, [""; 0]).code(1);
}

#[test]
fn process_1_reaps_the_runners_that_a_server_leaves_to_it() {
    let store = Store::new_sqlite().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n");
    let Some(command) = as_process_1(&store, &["serve"]) else { return };
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    let init = children(server.pid()).first().copied().unwrap().0;
    let id = start_batch(&mut server, 1, 1, "w");
    eventually("the batch to end", || {
        let batch = server.call("get_batch", json!({"id": id})).ok();
        (batch.text("/batch/status") == "done").then_some(())
    });
    eventually("no zombie", || {
        let all = children(init);
        (all.len() == 1 && all.iter().all(|(_, state)| *state != 'Z')).then_some(())
    });
    server.close();
}

#[test]
fn without_proc_tasks_can_be_used_and_a_run_says_what_is_missing() {
    let store = Store::new_sqlite();
    let items = store.write("items.jsonl", "{\"key\":\"a\"}\n");
    let hidden = |args: &str| {
        let mut command = Command::new("unshare");
        let inherited = store.command();
        command.args([
            "--mount",
            "sh",
            "-c",
            &format!("mount -t tmpfs none /proc && exec \"$PROGRAM\" {args}"),
        ]);
        command.current_dir(store.folder()).env("PROGRAM", PROGRAM);
        command.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Run::new(command, [""; 0])
    };
    if hidden("--version").finish().code != Some(0) {
        return skip("unshare cannot hide /proc");
    }
    hidden("create-task --task-title T").success();
    hidden("list-tasks").success();
    hidden("verify").success();
    let ran = hidden(&format!("run --items {} -- true", items.display())).code(2);
    assert!(ran.output().contains("/proc is not mounted"), "{}", ran.output());
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"], 1, "no batch was created: {listed}");
}

#[test]
fn without_a_home_folder_every_setting_has_its_default() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become a user without an entry");
    }
    let store = Store::new_sqlite();
    let folder = store.folder().join("data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(PROGRAM, folder.join("tasktally")).unwrap();
    let owner = Some(4242);
    std::os::unix::fs::chown(&folder, owner, owner).unwrap();
    std::os::unix::fs::chown(store.folder(), owner, owner).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "4242", "--regid", "4242", "--clear-groups"]);
        command.arg(folder.join("tasktally")).current_dir(&folder).stdin(Stdio::null());
        for name in
            ["HOME", "TASKTALLY_CONFIG", "TASKTALLY_DB", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "SCRATCHPAD"]
        {
            command.env_remove(name);
        }
        Run::new(command, args)
    };
    let db = folder.join("d.db").to_str().unwrap().to_owned();
    let with_db = |args: &[&str]| run(&[&["--db", &db], args].concat());
    std::fs::write(folder.join("items.jsonl"), "{\"key\":\"a\"}\n").unwrap();
    with_db(&["create-task", "--task-title", "T"]).success();
    with_db(&["run", "--items", "items.jsonl", "--", "true"]).success();
    with_db(&["serve"]).success();
    let shown = with_db(&["config"]).success();
    assert!(shown.stdout.contains("There is no home folder"), "{}", shown.stdout);
    with_db(&["doctor"]).success();
    let refused = run(&["list-tasks"]).code(2);
    assert!(refused.output().contains("name the store's file with --db"), "{}", refused.output());
    let refused = run(&["--db", "~/d.db", "list-tasks"]).code(2);
    assert!(refused.output().contains("there is no home folder"), "{}", refused.output());
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_ends_neither_server_nor_run() {
    let store = Store::new_sqlite();
    store.tasktally(["create-task", "--task-title", "T"]).success();
    let limited = |blocks: u32, args: &str| {
        let mut command = Command::new("sh");
        let inherited = store.command();
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$PROGRAM\" {args}")]);
        command.current_dir(store.folder()).env("PROGRAM", PROGRAM);
        command.envs(inherited.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let mut server = Server::spawn(limited(1000, "serve"));
    server.start_reading();
    server.initialize("2025-11-25");
    let id = server.create_task("Log");
    let refused = (0..100)
        .map(|n| {
            server.call("update_task", json!({"id": id, "body": format!("- {n} {}", "x".repeat(20_000))}))
        })
        .find(|reply| !reply.succeeded())
        .unwrap();
    assert!(refused.message().contains("ulimit -f"), "{}", refused.value);
    assert!(server.body(&id).starts_with("- 0 "), "what was acknowledged can be read");
    server.close();
    store.tasktally(["verify"]).success();
    store.assert_whole();
    // Not ended by a signal, whatever the limit prevents.
    let ran = Run::new(limited(1, "create-task --task-title New"), [""; 0]).finish();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(Path::new(store.file()).exists());
}
