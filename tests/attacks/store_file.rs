//! Changes to the files of a store.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use serde_json::json;

use crate::support::skip::skip;
use crate::support::store::Store;

const NOBODY: u32 = 65_534;

/// Whoever can write to the file drops the triggers that protect receipts, or adds one that changes what is written.
#[test]
fn a_store_whose_schema_was_changed_is_refused_everywhere() {
    let attacks = [
        ("DROP TRIGGER receipt_is_never_changed", "trigger receipt_is_never_changed is missing"),
        (
            "CREATE TRIGGER evil AFTER INSERT ON batch BEGIN UPDATE task SET title = 'mine'; END",
            "trigger evil was added",
        ),
        ("CREATE VIEW more AS SELECT 1", "view more was added"),
        ("ALTER TABLE task ADD COLUMN more TEXT", "table task is not as Tasktally made it"),
    ];
    for (sql, why) in attacks {
        let store = Store::new_sqlite();
        let id = store.serve().create_task("First");
        store.sqlite().execute_batch(sql).unwrap();
        for arguments in
            [&["verify"][..], &["get-task", &id], &["create-task", "x"], &["backup", "copy"], &["export"]]
        {
            let refused = store.tasktally(arguments).finish();
            assert_ne!(refused.code, Some(0), "{sql}: {arguments:?}");
            assert!(refused.output().contains(why), "{sql}: {arguments:?}: {}", refused.output());
        }
        let doctor = store.tasktally(["doctor", "--json"]).finish();
        assert!(doctor.code != Some(0) && doctor.output().contains(why), "{}", doctor.output());
        let count = "SELECT count(*) FROM task";
        assert_eq!(store.sqlite().query_row(count, [], |row| row.get(0)), Ok(1), "{sql}");
    }
}

/// In a folder that others may write to, another user creates the WAL first, and can then read every write.
#[test]
fn a_file_of_another_user_beside_the_store_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can create files of another user");
    }
    for ending in ["-wal", "-shm", "-lock", "-journal", "-bulk-lock"] {
        let store = Store::new_sqlite();
        store.tasktally(["create-task", "First"]).success();
        let planted = format!("{}{ending}", store.file().display());
        std::fs::write(&planted, "").unwrap();
        // The store belongs to this user, the planted file to another one; root is trusted, so both are given away.
        chown(store.file(), Some(1), None).unwrap();
        chown(&planted, Some(NOBODY), None).unwrap();
        let refused = store.tasktally(["list-tasks"]).code(2);
        assert!(
            refused.output().contains(&format!("{ending} belongs to user {NOBODY}")),
            "{}",
            refused.output()
        );
        let refused = store.tasktally(["create-task", "secret"]).code(2);
        assert!(refused.output().contains("folder of your own"), "{}", refused.output());
        std::fs::remove_file(&planted).unwrap();
        symlink(store.folder().join("elsewhere"), &planted).unwrap();
        let refused = store.tasktally(["create-task", "secret"]).code(2);
        assert!(refused.output().contains("is no regular file"), "{}", refused.output());
        assert!(!store.folder().join("elsewhere").exists());
        std::fs::remove_file(&planted).unwrap();
        let mut server = store.serve();
        server.call("create_task", json!({"title": "Second"})).ok();
    }
}

/// The items and receipts stay as they are. What is changed is what `get_batch` shows first: how many items and chunks are
/// done, in which categories, and what an approved step had found.
#[test]
fn progress_that_the_receipts_do_not_add_up_to_is_found() {
    let attacks = [
        ("UPDATE batch SET items_done = items_total", "its progress is not what its chunks add up to"),
        (
            "UPDATE batch SET items_done = 0, items_failed = 1",
            "its progress is not what its chunks add up to",
        ),
        ("UPDATE batch SET chunks_ended = chunks_total", "its progress is not what its chunks add up to"),
        ("UPDATE batch SET chunks_unsuccessful = 1", "its progress is not what its chunks add up to"),
        ("UPDATE category_count SET count = count + 1 WHERE count > 0", "the count of category 'read'"),
        ("UPDATE category_count SET category = 'kept' WHERE count > 0", "the count of category"),
        ("DELETE FROM category_count", "the count of category 'read'"),
        (
            "UPDATE earlier_outcome SET category = 'archive'",
            "was done in an earlier step, and no receipt says so",
        ),
    ];
    for (sql, why) in attacks {
        let store = Store::new_sqlite();
        let mut server = store.serve();
        let steps = json!([{"name": "look", "instructions": "x"}, {"name": "move", "instructions": "y"}]);
        let request = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 1, "steps": steps});
        let batch = server.call("create_batch", request).ok().text("/batch/id");
        // The first chunk goes through both steps, the second one through the first step.
        for _ in 0..3 {
            let claim = server.call("claim_task", json!({"batch": batch})).ok();
            let (id, token) = (claim.text("/task/id"), &claim["claim"]["token"]);
            let receipt = json!({"id": id, "claim": token, "item": claim["items"][0]["key"], "outcome": "done", "category": "read"});
            server.call("update_task", receipt).ok();
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
        }
        server.close();
        store.tasktally(["verify"]).success();
        assert!(store.sqlite().execute(sql, []).unwrap() > 0, "{sql} changed nothing");
        for arguments in [&["verify"][..], &["doctor", "--full"], &["backup", "copy"]] {
            let found = store.tasktally(arguments).finish();
            // `doctor` wraps its lines.
            let output = found.output().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(found.code != Some(0) && output.contains(why), "{sql}: {arguments:?}: {output}");
        }
    }
}

/// An agent creates the file, empty and open to everybody, before the operator's first command makes a store of it.
#[test]
fn an_empty_file_that_becomes_a_store_is_closed_to_others() {
    for mode in [0o666, 0o644, 0o400] {
        let store = Store::new_sqlite();
        std::fs::create_dir(store.file().parent().unwrap()).unwrap();
        std::fs::write(store.file(), "").unwrap();
        std::fs::set_permissions(store.file(), Permissions::from_mode(mode)).unwrap();
        store.tasktally(["create-task", "secret"]).success();
        assert_eq!(store.file().metadata().unwrap().permissions().mode() & 0o777, 0o600, "{mode:o}");
        store.tasktally(["list-tasks"]).success();
    }
}
