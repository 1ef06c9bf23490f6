//! A store on a network disk is refused before SQLite opens it, because locks are not reliable there. `tasktally doctor`
//! reports it, and the operator can allow it.

use serde_json::Value;

use crate::shim::shim;
use crate::support::cli::Run;
use crate::support::skip::has_program;
use crate::support::store::Store;
use crate::support::unchanged::file_contents;

/// A command on a store whose file system type the list of mounts gives as `kind`.
fn on(store: &Store, kind: &str, args: &[&str]) -> Run {
    let real = std::fs::canonicalize(store.folder()).unwrap();
    let mounts =
        format!("1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {} rw - {kind} box:/x rw\n", real.display());
    let mounts = store.write("mounts", mounts);
    let mut command = store.command();
    command.env("LD_PRELOAD", shim("mountinfo")).env("MOUNTINFO", mounts);
    Run::new(command, args.iter())
}

fn finding(doctor: &Value) -> (String, String) {
    let all = doctor["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["check"] == "file system").unwrap();
    (found["level"].as_str().unwrap().to_owned(), found["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_store_on_a_network_disk_is_refused_and_left_as_it_was() {
    let mut refused = 0;
    for kind in ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "ceph", "lustre", "afs"] {
        let store = Store::new_sqlite();
        for args in [&["list-tasks"][..], &["create-task", "--task-title", "T"], &["serve"], &["verify"]] {
            let output = on(&store, kind, args).code(2).output();
            if args == ["verify"] || args == ["list-tasks"] {
                assert!(output.contains("there is no such file"), "{output}");
                continue;
            }
            for part in
                [kind, "network disk", "locks", store.file().to_str().unwrap(), "TASKTALLY_NETWORK_DISK"]
            {
                assert!(output.contains(part), "{kind} {args:?}: no {part:?} in {output}");
            }
            assert!(!store.file().exists(), "{kind}: the store was created");
            refused += 1;
        }
        store.tasktally(["create-task", "--task-title", "T"]).success();
        let before = file_contents(&store);
        on(&store, kind, &["list-tasks"]).code(2);
        let (level, message) = finding(&on(&store, kind, &["doctor", "--json"]).code(2).json());
        assert_eq!(level, "problem", "{message}");
        assert!(message.starts_with(kind) && message.contains("Move it to a local disk"), "{message}");
        assert_eq!(file_contents(&store), before, "{kind}");
    }
    println!("{refused} refused, on 9 kinds of network disks");
}

#[test]
fn the_command_that_doctor_prints_moves_the_store_to_a_local_disk() {
    let store = Store::new_sqlite();
    store.tasktally(["create-task", "--task-title", "Kept"]).success();
    let real = std::fs::canonicalize(store.file().parent().unwrap()).unwrap();
    let mounts =
        format!("1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {} rw - nfs box:/x rw\n", real.display());
    let mounts = store.write("mounts", mounts);
    let mut command = store.command();
    command.env("LD_PRELOAD", shim("mountinfo")).env("MOUNTINFO", mounts);
    let report = Run::new(command, ["doctor", "--json"]).code(2).json();
    let all = report["findings"].as_array().unwrap();
    let fix = all.iter().find_map(|found| found["fix"].as_str()).expect("a command").to_owned();
    if !has_program("sqlite3") {
        return;
    }
    let ran = std::process::Command::new("sh").args(["-c", &fix]).status().unwrap();
    assert!(ran.success(), "{fix}");
    let mut command = store.command();
    command.env_remove("TASKTALLY_DB");
    assert_eq!(Run::new(command, ["list-tasks", "--json"]).success().json()["total"], 1);
}

#[test]
fn the_operator_can_allow_a_network_disk_and_a_disk_shared_with_the_host_is_only_a_warning() {
    let store = Store::new_sqlite();
    let allowed = |kind, args: &[&str]| {
        let real = std::fs::canonicalize(store.folder()).unwrap();
        let mounts = format!("1 0 0:1 / {} rw - {kind} box:/x rw\n", real.display());
        let mut command = store.command();
        let mounts = store.write("mounts", mounts);
        command
            .env("LD_PRELOAD", shim("mountinfo"))
            .env("MOUNTINFO", mounts)
            .env("TASKTALLY_NETWORK_DISK", "allow");
        Run::new(command, args.iter())
    };
    allowed("nfs", &["create-task", "--task-title", "T"]).success();
    assert_eq!(finding(&allowed("nfs", &["doctor", "--json"]).success().json()).0, "warning");
    for kind in ["9p", "virtiofs"] {
        on(&store, kind, &["list-tasks"]).success();
        assert_eq!(finding(&on(&store, kind, &["doctor", "--json"]).success().json()).0, "warning");
    }
    on(&store, "fuse.gocryptfs", &["list-tasks"]).success();
    assert_eq!(finding(&on(&store, "ext4", &["doctor", "--json"]).success().json()).0, "ok");
}
