//! What a worker in a sandbox gets from the processes around it: open files, and the rights of root.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::sandbox::{has_landlock, profile, run};
use crate::support::background::{start_batch, wait_for_status};
use crate::support::cli::Run;
use crate::support::server::Server;
use crate::support::skip::skip;
use crate::support::store::Store;

/// A shell script that runs this program with a file open for reading as descriptor 8, and one for appending as 9.
fn with_open_files(store: &Store, key: &Path, log: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(store.folder()).args(["-ec", "exec 8<\"$KEY\" 9>>\"$LOG\"; eval \"$0\"", script]);
    command.envs(store.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("KEY", key).env("LOG", log).env("PROGRAM", env!("CARGO_BIN_EXE_tasktally"));
    command
}

/// The operator's shell has a key and a log open when a batch is created there. The sandbox forbids both files, but the
/// worker read and wrote them through the descriptors that every process on the way had passed on.
#[test]
fn a_worker_gets_no_open_file_of_the_shell_that_started_the_batch() {
    if !has_landlock() {
        return;
    }
    let script = "cat <&8; echo PWN >&9; ls /proc/self/fd; echo end";
    let sandboxed = profile("{ read = [] }", script);
    let plain = sandboxed.replace("sandbox = { read = [] }\n", "");
    assert_ne!(sandboxed, plain);
    for config in [sandboxed, plain] {
        let store = Store::new().with_config(&config);
        let (key, log) = (store.home().join("key"), store.home().join("log"));
        std::fs::write(&key, "SECRET").unwrap();
        std::fs::write(&log, "").unwrap();
        let create =
            "exec \"$PROGRAM\" create-batch B --instructions Do. --items '[\"a\"]' --worker w --json";
        let created = Run::new(with_open_files(&store, &key, &log, create), [""; 0]).success().json();
        let batch = created["batch"]["id"].as_str().unwrap().to_owned();
        let mut server = store.serve();
        wait_for_status(&mut server, &batch, "done");
        let receipts = server.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
        let printed = receipts.value.to_string();
        assert!(printed.contains("end") && !printed.contains("SECRET"), "{printed}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "", "a worker wrote to the log");
    }
}

/// The test of a profile runs in the foreground, so only the sandbox itself can close what the shell had open.
#[test]
fn the_test_of_a_profile_passes_no_open_file_to_a_worker_in_a_sandbox() {
    if !has_landlock() {
        return;
    }
    let script = "cat <&8; echo PWN >&9; echo - end";
    let store = Store::new().with_config(&profile("{ read = [] }", script));
    let (key, log) = (store.home().join("key"), store.home().join("log"));
    std::fs::write(&key, "SECRET").unwrap();
    std::fs::write(&log, "").unwrap();
    let test = "exec \"$PROGRAM\" config check --run";
    let ran = Run::new(with_open_files(&store, &key, &log, test), [""; 0]).success();
    assert!(ran.output().contains("settled an item"), "{}", ran.output());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "", "a worker wrote to the log");
}

/// The operator is root. The worker reads the environment of the runner, which has a token that the profile does not pass on,
/// and creates the device of the disk in its own folder.
#[test]
fn a_worker_of_root_in_a_sandbox_has_no_rights_over_the_system() {
    if !has_landlock() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only a worker of root has rights over the system");
    }
    let script = "p=$PPID; while [ \"$p\" -gt 1 ]; do cat /proc/$p/environ; p=$(cut -d' ' -f4 /proc/$p/stat); done 2>/dev/null
         mknod disk b 254 0 2>/dev/null && echo DEVICE; mount -t tmpfs none . 2>/dev/null && echo MOUNT
         echo x > mine && chown 1 mine && chmod 600 mine && cat mine && grep CapEff /proc/self/status";
    let store = Store::new().with_config(&profile("{ read = [] }", script));
    let mut command = store.command();
    command.arg("serve").env("SECRET_TOKEN", "RUNNER_SECRET");
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    let batch = start_batch(&mut server, 1, 1, "w");
    wait_for_status(&mut server, &batch, "done");
    let receipts = server.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    let printed = receipts.text("/receipts/1/text");
    assert!(printed.contains("x CapEff:"), "root keeps its rights over files: {printed}");
    for right in ["RUNNER_SECRET", "DEVICE", "MOUNT"] {
        assert!(!printed.contains(right), "{printed}");
    }
}

/// Another user of the machine lists the folder for temporary files of a worker.
#[test]
fn the_folder_for_temporary_files_of_a_worker_is_its_own() {
    if !has_landlock() {
        return;
    }
    let printed = run(&Store::new().with_config(&profile("{ read = [] }", "stat -c %a $TMPDIR; echo end")));
    assert!(printed.contains("700 end"), "{printed}");
}
