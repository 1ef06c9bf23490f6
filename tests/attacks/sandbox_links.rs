//! What a worker in a sandbox prepares for the workers after it: links, at the paths that their sandboxes open.

use std::fs::create_dir_all;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::sandbox::has_landlock;
use crate::support::background::wait_for_status;
use crate::support::eventually;
use crate::support::server::Server;
use crate::support::store::Store;

/// A store whose home has a key in `private` and the folders `job/in`, `job/out` and `mail`, which workers may use.
fn store_with_key(profiles: &str) -> Store {
    let store = Store::new()
        .with_config(&format!("[paths]\nroots = [\"{{home}}/job\", \"{{home}}/mail\"]\n{profiles}"));
    for folder in ["private", "job/in", "job/out", "mail", "code"] {
        create_dir_all(store.home().join(folder)).unwrap();
    }
    std::fs::write(store.home().join("private/key"), "SECRET").unwrap();
    store
}

/// A profile that runs a shell script once per item, one after the other.
fn profile(name: &str, settings: &str, script: &str) -> String {
    let script = format!("{{ {script}\n}} 2>&1 | tr \"\\n\" \" \"");
    format!(
        "[worker.{name}]\nper = \"item\"\nmax_parallel = 1\n{settings}\ncommand = [\"sh\", \"-c\", '''{script}''']\n"
    )
}

/// Creates a batch and waits until all of its work has ended. Returns its receipts, its failures, and why it is paused.
fn work(server: &mut Server, worker: &str, project: Option<&str>, items: &[&str]) -> String {
    let mut request = json!({"title": "B", "instructions": "Do.", "items": items, "max_chunk": 10, "max_attempts": 1,
        "worker": worker});
    if let Some(project) = project {
        request["project"] = json!(project);
    }
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let ended = eventually("the batch to end or pause", || {
        let reply = server.call("get_batch", json!({"id": batch})).ok();
        let status = reply.text("/batch/status");
        matches!(status.as_str(), "done" | "failed" | "paused").then_some(reply)
    });
    let mut told = ended.value.to_string();
    for view in ["receipts", "failures"] {
        told += &server.call("get_batch", json!({"id": batch, "view": view})).ok().value.to_string();
    }
    told
}

#[track_caller]
fn assert_kept(store: &Store, told: &str) {
    assert!(!told.contains("SECRET"), "a worker read the key: {told}");
    let private = std::fs::read_dir(store.home().join("private")).unwrap();
    let files: Vec<_> = private.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["key"], "a worker wrote beside the key: {told}");
}

/// The first worker replaces the folders that the sandbox lists by links to a folder with a key. The rules of the second one
/// were made for the target.
#[test]
fn no_sandbox_opens_a_folder_that_an_earlier_worker_replaced_by_a_link() {
    if !has_landlock() {
        return;
    }
    for sandbox in [
        r#"{ write = ["{cwd}", "{cwd}/out"], read = [] }"#,
        r#"{ write = ["{cwd}"], read = ["{cwd}/in"] }"#,
        r#"{ write = ["{cwd}", "{home}/job/out/deep"], read = [] }"#,
    ] {
        let script = "case $TASKTALLY_ITEM in first) rm -r in out; ln -s ../private in; ln -s ../private out; echo linked;; \
             second) cat in/key; echo PWN > out/pwned; echo PWN > out/deep/pwned; echo ran;; esac";
        let settings = format!("cwd = \"{{home}}/job\"\nsandbox = {sandbox}");
        let store = store_with_key(&profile("w", &settings, script));
        create_dir_all(store.home().join("job/out/deep")).unwrap();
        let mut server = store.serve();
        let told = work(&mut server, "w", None, &["first", "second"]);
        assert!(told.contains("linked"), "{told}");
        assert_kept(&store, &told);
        assert!(told.contains("leads through the link"), "{told}");
        assert!(!told.contains("ran"), "{told}");
    }
}

/// A worker of one profile knows the name that the sandbox of another profile will open, and puts a link there.
#[test]
fn no_sandbox_opens_what_a_worker_of_another_profile_linked() {
    if !has_landlock() {
        return;
    }
    let first = profile(
        "first",
        "cwd = \"{home}/job\"\nsandbox = { write = [\"{home}/mail\"], read = [] }",
        "ln -s ../private ../mail/$TASKTALLY_ITEM; echo linked",
    );
    let second = profile(
        "second",
        "cwd = \"{home}/job\"\nsandbox = { write = [\"{home}/mail/{project}\"], read = [] }",
        "cat ../mail/p2/key; echo PWN > ../mail/p2/pwned; echo ran",
    );
    let store = store_with_key(&(first + &second));
    let mut server = store.serve();
    let told = work(&mut server, "first", None, &["p2"]);
    assert!(told.contains("linked"), "{told}");
    let told = work(&mut server, "second", Some("p2"), &["a"]);
    assert_kept(&store, &told);
    assert!(told.contains("mail/p2 leads through the link"), "{told}");
}

/// The link is the working directory itself. It leads to another folder inside the roots, where this profile has no work.
#[test]
fn no_worker_in_a_sandbox_starts_in_a_folder_that_another_one_linked() {
    if !has_landlock() {
        return;
    }
    let first = profile(
        "first",
        "cwd = \"{home}/job\"\nsandbox = { write = [\"{home}/mail\"], read = [] }",
        "ln -s ../job ../mail/$TASKTALLY_ITEM; echo linked",
    );
    let second = profile(
        "second",
        "cwd = \"{home}/mail/{project}\"\nsandbox = { read = [] }",
        "echo PWN > pwned; echo ran",
    );
    let store = store_with_key(&(first + &second));
    let mut server = store.serve();
    work(&mut server, "first", None, &["p2"]);
    let told = work(&mut server, "second", Some("p2"), &["a"]);
    assert!(!store.home().join("job/pwned").exists(), "{told}");
    assert!(told.contains("leads through a link to"), "{told}");
}

/// A path that leads through a link already is found before a batch is created. The home folder itself may be behind one.
#[test]
fn a_sandbox_through_a_link_is_refused_before_any_worker_starts() {
    if !has_landlock() {
        return;
    }
    let settings = "cwd = \"{home}/job\"\nsandbox = { write = [\"{cwd}\"], read = [\"{home}/archive\"] }";
    let store = store_with_key(&profile("w", settings, "cat ../archive/letter"));
    symlink("mail", store.home().join("archive")).unwrap();
    let refused = store.tasktally(["config", "check"]).code(2);
    assert!(refused.output().contains("archive leads through the link"), "{}", refused.output());

    std::fs::remove_file(store.home().join("archive")).unwrap();
    create_dir_all(store.home().join("archive")).unwrap();
    std::fs::write(store.home().join("archive/letter"), "a letter").unwrap();
    let link = store.folder().join("home-link");
    symlink(store.home(), &link).unwrap();
    let mut command = store.command();
    command.arg("serve").env("HOME", &link);
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a"], "worker": "w"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    wait_for_status(&mut server, &batch, "done");
    let receipts = server.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    assert!(receipts.value.to_string().contains("a letter"), "{}", receipts.value);
}
