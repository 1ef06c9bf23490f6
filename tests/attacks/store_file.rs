//! Changes to the files of a store.

use std::os::unix::fs::{chown, symlink};

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
        let store = Store::new();
        let id = store.serve().create_task("First");
        store.sql().execute_batch(sql).unwrap();
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
        assert_eq!(store.sql().query_row(count, [], |row| row.get(0)), Ok(1), "{sql}");
    }
}

/// In a folder that others may write to, another user creates the WAL first, and can then read every write.
#[test]
fn a_file_of_another_user_beside_the_store_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can create files of another user");
    }
    for ending in ["-wal", "-shm", "-lock", "-journal", "-bulk-lock"] {
        let store = Store::new();
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
