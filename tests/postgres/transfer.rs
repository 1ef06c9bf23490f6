//! Export and import between SQLite and PostgreSQL: nothing of a store is lost or changed on the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::eventually;
use crate::support::full_store::{fill_every_table, lines_without_time};
use crate::support::rng::Rng;
use crate::support::store::Store;

fn export(store: &Store, name: &str) -> PathBuf {
    store.tasktally(["export", name]).success();
    store.folder().join(name)
}

fn import(store: &Store, lines: &Path) {
    store.tasktally(["import", lines.to_str().unwrap()]).success();
}

/// Asserts that two exports have the same lines, except for the time and the checksum.
#[track_caller]
fn assert_same(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (lines_without_time(ours), lines_without_time(theirs));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn a_store_moves_to_postgresql_and_back_unchanged() {
    let Some(database) = Store::new_postgres() else { return };
    let file = Store::new_sqlite();
    let claims = fill_every_table(&file, &mut Rng::seeded("a_store_moves_to_postgresql"));
    // Only SQLite has this count.
    file.sql().execute_all("UPDATE wait_question SET failed_answers = 0").unwrap();
    let first = export(&file, "first.jsonl");

    import(&database, &first);
    let second = export(&database, "second.jsonl");
    assert_same(&first, &second);
    database.tasktally(["verify"]).success();
    let heads = |store: &Store| store.tasktally(["heads"]).success().stdout;
    assert_eq!(heads(&file), heads(&database));

    let back = Store::new_sqlite();
    import(&back, &second);
    assert_same(&first, &export(&back, "third.jsonl"));
    back.tasktally(["verify"]).success();
    back.assert_whole();

    // Work goes on in both: claims and request keys are valid, new rows get the numbers after the old ones.
    for store in [&database, &back] {
        let mut server = store.serve();
        for (chunk, token) in &claims {
            server.call("update_task", json!({"id": chunk, "claim": token, "body": "- continues"})).ok();
        }
        let again = json!({"task_title": "After", "project": "p", "request_key": "once"});
        assert_eq!(server.call("create_task", again).code(), "conflict", "the request key is not known");
        let batch = json!({"title": "New", "instructions": "x", "items": ["fresh"]});
        let batch = server.call("create_batch", batch).ok().text("/batch/id");
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        let (id, token) = (claim.text("/task/id"), &claim["claim"]["token"]);
        let done = json!({"id": id, "claim": token, "item": "fresh", "outcome": "done"});
        server.call("update_task", done).ok();
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
        for query in ["quoted", "touching", "looked"] {
            let found = server.call("search_tasks", json!({"query": query})).ok();
            assert!(found.count("/count") > 0, "{query}");
        }
        server.close();
        store.tasktally(["verify"]).success();
    }
    let (ours, theirs) = (export(&database, "ours.jsonl"), export(&back, "theirs.jsonl"));
    assert_eq!(lines_without_time(&ours).len(), lines_without_time(&theirs).len());
}

#[test]
fn a_database_with_content_refuses_an_import_and_stays_as_it_is() {
    let Some(database) = Store::new_postgres() else { return };
    let file = Store::new_sqlite();
    file.tasktally(["create-task", "--task-title", "Theirs"]).success();
    let lines = export(&file, "lines.jsonl");
    database.tasktally(["create-task", "--task-title", "Ours"]).success();
    let before = export(&database, "before.jsonl");
    let refused = database.tasktally(["import", lines.to_str().unwrap()]).code(1).output();
    assert!(
        refused.contains("is not empty, and two stores are never mixed; nothing was changed"),
        "{refused}"
    );
    assert_same(&before, &export(&database, "after.jsonl"));
}

#[test]
fn a_refused_import_leaves_an_empty_database() {
    let Some(database) = Store::new_postgres() else { return };
    let file = Store::new_sqlite();
    file.tasktally(["create-task", "--task-title", "Theirs"]).success();
    let lines = std::fs::read_to_string(export(&file, "lines.jsonl")).unwrap();
    let cut = lines.lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
    let changed = lines.replace("Theirs", "Others");
    for (text, why) in [(cut.as_str(), "truncated"), (&changed, "task"), ("{}", "not an export")] {
        let path = database.write("bad.jsonl", text);
        let refused = database.tasktally(["import", path.to_str().unwrap()]).finish();
        assert_ne!(refused.code, Some(0), "{why}");
        assert!(refused.output().contains("nothing was imported"), "{}", refused.output());
        assert_eq!(database.sql().tables(), [""; 0], "tables were created");
    }
    // PostgreSQL cannot store NUL: the transaction is rolled back.
    file.sql().execute("UPDATE task SET context = ?1", &[&"a\0b"]).unwrap();
    let lines = export(&file, "nul.jsonl");
    let refused = database.tasktally(["import", lines.to_str().unwrap()]).finish();
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.output().contains("NUL") && refused.output().contains("nothing was imported"),
        "{}",
        refused.output()
    );
    assert_eq!(database.sql().row::<u64>("SELECT count(*) FROM task", &[]), 0);
    file.sql().execute("UPDATE task SET context = NULL", &[]).unwrap();
    import(&database, &export(&file, "good.jsonl"));
}

#[test]
fn an_export_goes_to_standard_output_and_leaves_no_files() {
    let Some(database) = Store::new_postgres() else { return };
    let missing = database.tasktally(["export"]).code(2).output();
    assert!(missing.contains("the database has no store"), "{missing}");
    assert_eq!(database.sql().tables(), [""; 0], "an export creates no tables");
    database.tasktally(["create-task", "--task-title", "Kept"]).success();
    let temporary = database.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = database.command();
    let ran = command.arg("export").env("TMPDIR", &temporary).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let lines = database.write("lines.jsonl", ran.stdout);
    assert_same(&lines, &export(&database, "again.jsonl"));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_batch_that_is_being_inserted_is_not_exported() {
    let Some(database) = Store::new_postgres() else { return };
    database.tasktally(["create-task", "--task-title", "Kept"]).success();
    database
        .sql()
        .execute_all(
            "INSERT INTO unpublished VALUES (10, 2, 10, 0);
             INSERT INTO item (chunk, position, batch, key, fields) VALUES (11, 0, 10, 'k', '{}');
             INSERT INTO resource_block VALUES (10, 0, 'k', '');",
        )
        .unwrap();
    let lines = std::fs::read_to_string(export(&database, "lines.jsonl")).unwrap();
    assert!(
        !lines.contains("\"line\":\"item\"") && !lines.contains("\"line\":\"resource_block\""),
        "{lines}"
    );
}

#[test]
fn an_import_whose_connection_ends_leaves_nothing_and_can_be_repeated() {
    let Some(database) = Store::new_postgres() else { return };
    let file = Store::new_sqlite();
    file.tasktally(["create-task", "--task-title", "Theirs"]).success();
    let id = file.sql().row::<String>("SELECT id FROM task", &[]);
    file.tasktally(["update-task", &id, "--body", "- a receipt"]).success();
    let lines = export(&file, "lines.jsonl");
    database.create();
    // The import can read the table, and waits when it has written the tasks.
    let blocking = database.sql();
    blocking.execute_all("BEGIN; LOCK TABLE receipt IN SHARE MODE").unwrap();
    let importing = std::thread::scope(|scope| {
        let import = scope.spawn(|| database.tasktally(["import", lines.to_str().unwrap()]).finish());
        let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let sql = database.sql();
        let pid =
            eventually("the import to wait", || sql.rows::<i64>(&format!("{waiting} LIMIT 1"), &[]).pop());
        let ended = sql.row::<bool>("SELECT pg_terminate_backend(?1::int)", &[&pid]);
        assert!(ended);
        import.join().unwrap()
    });
    assert_eq!(importing.code, Some(1), "{}", importing.output());
    assert!(importing.output().contains("nothing was imported"), "{}", importing.output());
    blocking.execute_all("ROLLBACK").unwrap();
    assert_eq!(database.sql().row::<u64>("SELECT count(*) FROM task", &[]), 0);
    import(&database, &lines);
    database.tasktally(["verify"]).success();
}
