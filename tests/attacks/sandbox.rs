//! What a worker in a sandbox tries. The kernel refuses it, also for what the worker starts.

use std::net::TcpListener;

use serde_json::json;

use crate::support::background::{start_batch, wait_for_status};
use crate::support::skip::skip;
use crate::support::store::Store;

/// A profile that runs a shell script once per item, in a sandbox.
pub(super) fn profile(sandbox: &str, script: &str) -> String {
    // The receipt of a script is its last line.
    format!(
        "[paths]\nroots = [\"/tmp\"]\n[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", '''{{ {script}\n}} 2>&1 | tr \"\\n\" \" \"''']\nsandbox = {sandbox}\n"
    )
}

/// Whether the kernel can enforce a sandbox; if it cannot, the test is skipped.
pub(super) fn has_landlock() -> bool {
    let store = Store::new().with_config(&profile("{ network = false }", "true"));
    let output = store.tasktally(["config", "check"]).finish().output();
    let is_missing = output.contains("this kernel cannot");
    if is_missing {
        skip("the kernel has no Landlock that restricts files and TCP");
    }
    !is_missing
}

/// Runs the script on one item. Returns what it printed.
pub(super) fn run(store: &Store) -> String {
    let mut server = store.serve();
    let batch = start_batch(&mut server, 1, 1, "w");
    let ended = wait_for_status(&mut server, &batch, "done");
    assert_eq!(ended["batch"]["outcomes"]["done"], 1, "{}", ended.value);
    let receipts = server.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    receipts.text("/receipts/1/text")
}

/// A worker writes to the home folder, the store and a link out of its own folder, and so does a process that it leaves behind.
#[test]
fn a_worker_in_a_sandbox_changes_nothing_outside() {
    if !has_landlock() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let kept = outside.path().join("kept");
    std::fs::write(&kept, "as it was").unwrap();
    let at = outside.path().display();
    let script = format!(
        "out={at}; tried() {{ \"$@\" 2>/dev/null && echo BROKE OUT: \"$@\"; }}
         tried touch $out/new; tried mkdir $out/dir; tried rm $out/kept; tried mv $out/kept $out/moved
         tried truncate -s 0 $out/kept; tried sh -c \"echo x >> $out/kept\"; ln -s $out link; tried touch link/new
         tried ln $out/kept hard; (setsid sh -c \"touch $out/late\" &) 2>/dev/null; sleep 0.2
         echo here > mine && echo t > $TMPDIR/t && echo n > /dev/null && cat mine $TMPDIR/t && echo worked"
    );
    let store = Store::new().with_config(&profile("{ write = [\"{cwd}\"] }", &script));
    let printed = run(&store);
    assert!(printed.contains("worked") && !printed.contains("BROKE OUT"), "{printed}");
    let left: Vec<_> =
        std::fs::read_dir(outside.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["kept"]);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "as it was");
}

/// A worker reads a key of its user, which the operator did not allow.
#[test]
fn a_worker_in_a_sandbox_reads_only_what_it_may() {
    if !has_landlock() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("key"), "SECRET").unwrap();
    std::fs::write(outside.path().join("open"), "PUBLIC").unwrap();
    let at = outside.path().display();
    let script = format!(
        "cat {at}/key 2>/dev/null; ls {at} 2>/dev/null; cat $TASKTALLY_CONTEXT >/dev/null && echo context; cat {at}/open; cat {at}/key; echo end"
    );
    let sandbox = format!("{{ read = [\"{at}/open\"] }}");
    let store = Store::new().with_config(&profile(&sandbox, &script));
    let printed = run(&store);
    assert!(
        printed.contains("context") && printed.contains("PUBLIC") && printed.contains("end"),
        "{printed}"
    );
    assert!(!printed.contains("SECRET"), "{printed}");
}

/// A worker without network connects to a server of this machine.
#[test]
fn a_worker_without_network_connects_nowhere() {
    if !has_landlock() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "python3 -c \"
import socket
for name, what in ((chr(99), lambda s: s.connect((\\\"127.0.0.1\\\", {port}))), (chr(98), lambda s: s.bind((\\\"127.0.0.1\\\", 0)))):
    try:
        what(socket.socket())
        print(\\\"open\\\", name)
    except PermissionError:
        print(\\\"closed\\\", name)
\""
    );
    let closed = run(&Store::new().with_config(&profile("{ network = false }", &script)));
    assert!(
        closed.contains("closed c") && closed.contains("closed b") && !closed.contains("open"),
        "{closed}"
    );
    let open = run(&Store::new().with_config(&profile("{ network = true }", &script)));
    assert!(open.contains("open c") && open.contains("open b"), "{open}");
}

/// A sandbox that cannot be enforced is never left out: the worker does not start.
#[test]
fn a_sandbox_that_cannot_be_enforced_starts_no_worker() {
    if !has_landlock() {
        return;
    }
    let store = Store::new()
        .with_config(&profile("{ write = [\"/does/not/exist\"] }", "echo ran > /tmp/ran; echo ran"));
    let mut server = store.serve();
    let batch = start_batch(&mut server, 1, 1, "w");
    let failures = crate::support::eventually("the item to fail", || {
        let reply = server.call("get_batch", json!({"id": batch, "view": "failures"})).ok();
        reply.value.to_string().contains("/does/not/exist").then(|| reply.value.to_string())
    });
    assert!(failures.contains("the sandbox cannot be enforced, so the worker was not started"), "{failures}");
    // Settings that mean nothing are refused with the file.
    for (sandbox, why) in [
        ("{ write = [\"out\"] }", "expected {cwd}"),
        ("{ write = [\"{cwd}/../x\"] }", "expected {cwd}"),
        ("{ wirte = [] }", "wirte"),
        ("{ network = 1 }", "true or false"),
    ] {
        let store = Store::new().with_config(&profile(sandbox, "true"));
        let refused = store.tasktally(["config", "check"]).finish();
        assert_ne!(refused.code, Some(0), "{sandbox}");
        assert!(refused.output().contains(why), "{sandbox}: {}", refused.output());
    }
    let chunk = profile("{ }", "true").replace("per = \"item\"", "per = \"chunk\"");
    let refused = Store::new().with_config(&chunk).tasktally(["config", "check"]).finish();
    assert!(refused.output().contains("only for per = \"item\""), "{}", refused.output());
}
